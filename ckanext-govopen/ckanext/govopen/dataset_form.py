"""The dataset type of the catalogue, for every dataset (IDatasetForm)."""

from __future__ import annotations

from typing import Any

from ckan.lib.plugins import DefaultDatasetForm
from ckanext.govopen.logic import schema


class DatasetForm(DefaultDatasetForm):
    """CKAN's form with our schema; also the fallback, so that no other type is a way around it."""

    def is_fallback(self) -> bool:
        return True

    def package_types(self) -> list[str]:
        return ["dataset"]

    def create_package_schema(self) -> dict[str, Any]:
        return schema.modify(super().create_package_schema())

    def update_package_schema(self) -> dict[str, Any]:
        return schema.modify(super().update_package_schema())

    def show_package_schema(self) -> dict[str, Any]:
        return schema.show(super().show_package_schema())

    def resource_validation_dependencies(self, package_type: str) -> list[str]:
        return ["open_attribute", "grade", "has_personal_info", "items"]
