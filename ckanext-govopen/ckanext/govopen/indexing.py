"""What goes into the search index: our facets and names of fields, nothing that leads to restricted data."""

from __future__ import annotations

import json
from typing import Any

from ckanext.govopen import sealing

FACETED = ("open_attribute", "grade", "domain", "format", "update_cycle", "share_type", "region")
RESOURCE_FIELDS = ("res_url",)


def read_items(value: Any) -> list[dict[str, Any]]:
    """Described fields from a stored text or a list; what cannot be read is no fields."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


class Indexing:
    """Hooks of IPackageController that face the index."""

    def before_dataset_search(self, search_params: dict[str, Any]) -> dict[str, Any]:
        """Terms counted zero times name values of datasets that the caller may not see: they are never listed.

        The engine takes the same setting from the name of a facet, in braces before it; such names are left out.
        """
        try:
            least = int(search_params.get("facet.mincount") or 1)
        except (TypeError, ValueError):
            least = 1
        search_params["facet.mincount"] = max(least, 1)
        named = search_params.get("facet.field")
        if isinstance(named, list):
            search_params["facet.field"] = [one for one in named if "{" not in str(one)]
        return search_params

    def before_dataset_index(self, pkg_dict: dict[str, Any]) -> dict[str, Any]:
        try:
            stored = json.loads(pkg_dict.get("data_dict") or "{}")
            shown = json.loads(pkg_dict.get("validated_data_dict") or "{}")
        except ValueError:
            stored, shown = {}, {}
        for name in FACETED:
            if shown.get(name):
                pkg_dict[f"govopen_{name}"] = shown[name]
        resources = shown.get("resources") or []
        items = [*read_items(shown.get("items"))]
        for resource in resources:
            items += read_items(resource.get("govopen_fields"))
        names = [str(item.get(key) or "") for item in items for key in ("title", "name", "description")]
        if names:
            pkg_dict["extras_items"] = " ".join(dict.fromkeys(name for name in names if name))
        pkg_dict.pop("items", None)
        pkg_dict["govopen_access"] = sorted({
            str(resource["govopen_access"]) for resource in resources if resource.get("govopen_access")
        })
        if self._seal(stored) | self._seal(shown):
            pkg_dict["data_dict"], pkg_dict["validated_data_dict"] = json.dumps(stored), json.dumps(shown)
        pkg_dict["res_url"] = [resource.get("url") or "" for resource in stored.get("resources") or []]
        return pkg_dict

    def _seal(self, package: dict[str, Any]) -> bool:
        """Replace what a restricted resource of an older record may still hold; True when anything changed."""
        changed = False
        for resource in package.get("resources") or []:
            if resource.get("govopen_access") == "restricted" and resource.get("url") != sealing.sentinel(
                str(resource.get("id"))
            ):
                for name in ("hash", "cache_url"):
                    resource[name] = ""
                resource["url"] = sealing.sentinel(str(resource.get("id")))
                changed = True
        return changed
