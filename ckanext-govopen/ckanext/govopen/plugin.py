"""The plugin: a list of what CKAN is told about; the work is in the modules named here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ckan.plugins as p
import ckan.plugins.toolkit as tk
from ckan.lib.plugins import DefaultTranslation
from ckanext.govopen import (
    dataset_form,
    facets,
    indexing,
    outbox,
    privacy,
    publication,
    search_connection,
    transition,
    views,
)
from ckanext.govopen import helpers as template_helpers
from ckanext.govopen.logic import action
from ckanext.govopen.uploads import ScannedUpload
from flask import Blueprint

HERE = Path(__file__).parent


@tk.blanket.actions(action.actions)
@tk.blanket.auth_functions
@tk.blanket.validators
@tk.blanket.cli
@tk.blanket.config_declarations
class GovOpenPlugin(
    facets.Facets, indexing.Indexing, publication.Publication, dataset_form.DatasetForm, DefaultTranslation,
    p.SingletonPlugin,
):
    """Catalogue of government data with open attributes, grades and the guards that go with them."""

    p.implements(p.IConfigurer)
    p.implements(p.IConfigurable)
    p.implements(p.ITranslation)
    p.implements(p.ITemplateHelpers)
    p.implements(p.IBlueprint)
    p.implements(p.IDatasetForm)
    p.implements(p.IFacets, inherit=True)
    p.implements(p.IPackageController, inherit=True)
    p.implements(p.IUploader, inherit=True)

    def update_config(self, config: Any) -> None:
        for folder, register in (
            ("templates", tk.add_template_directory), ("public", tk.add_public_directory),
        ):
            if (HERE / folder).is_dir():
                register(config, folder)
        if (HERE / "assets" / "webassets.yml").exists():
            tk.add_resource("assets", "govopen")

    def configure(self, config: Any) -> None:
        outbox.listen()
        transition.listen()
        search_connection.install()

    def get_uploader(self, upload_to: str, old_filename: str | None) -> None:
        return None

    def get_resource_uploader(self, data_dict: dict[str, Any]) -> ScannedUpload:
        return ScannedUpload(data_dict)

    def get_helpers(self) -> dict[str, Any]:
        return {**template_helpers.HELPERS, "linked_user": privacy.linked_user}

    def get_blueprint(self) -> list[Blueprint]:
        return views.BLUEPRINTS
