"""Facets of the search and department pages."""

from __future__ import annotations

from collections import OrderedDict

import ckan.plugins.toolkit as tk


def _facets() -> OrderedDict[str, str]:
    return OrderedDict(
        organization=tk._("Departments"),
        govopen_open_attribute=tk._("Open attribute"),
        govopen_domain=tk._("Data domains"),
        govopen_industry=tk._("Industry"),
        govopen_grade=tk._("Data grade"),
        res_format=tk._("File formats"),
        vocab_govopen_region=tk._("Region"),
        govopen_update_cycle=tk._("Update cycle"),
        tags=tk._("Tags"),
    )


class Facets:
    """Departments, attributes, domains, grades, formats, cycles and tags, in this order."""

    def dataset_facets(self, facets_dict: OrderedDict[str, str], package_type: str) -> OrderedDict[str, str]:
        return _facets()

    def group_facets(
        self, facets_dict: OrderedDict[str, str], group_type: str, package_type: str | None
    ) -> OrderedDict[str, str]:
        return _facets()

    def organization_facets(
        self, facets_dict: OrderedDict[str, str], organization_type: str, package_type: str | None
    ) -> OrderedDict[str, str]:
        facets = _facets()
        facets.pop("organization")
        return facets
