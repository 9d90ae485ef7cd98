"""What goes into the search index: facets, figures and the words of the fields, nothing that leads to restricted data.

Of the fields only what the dataset's own pages print is sent (``presentation.shown_fields``). Figures are padded with
zeros so that they sort as text where an index has no column for them.
"""

from __future__ import annotations

import json
from typing import Any

import orjson
from ckan.lib.search import index
from ckanext.govopen import codes, figures, presentation, regions, sealing, search_feed

FACETED = ("open_attribute", "grade", "domain", "format", "update_cycle", "share_type")
FIELD_KEYS = ("title", "name", "description", "range")
"""Of a field, what the pages print as text."""
FIELD_CHARS_MAX = 200_000
DIGITS = 12
KEY_CHARS = frozenset(index.KEY_CHARS)
TEXTS = ("data_dict", "validated_data_dict")
"""A dataset as CKAN's own schema shows it and as ours does, both as JSON."""


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
        stored, shown = (_read(pkg_dict.get(name)) for name in TEXTS)
        for name, package in zip(TEXTS, (stored, shown), strict=True):
            if _seal(package):
                pkg_dict[name] = _sealed(pkg_dict[name])
        for name in ("items", "extras_items", "res_extras_govopen_fields", ""):
            pkg_dict.pop(name, None)
        pkg_dict.update(_nameless(stored))
        pkg_dict.update(_facets(shown))
        pkg_dict.update(_words(shown))
        pkg_dict.update(_figures(shown))
        pkg_dict[search_feed.STAMP] = search_feed.stamp(stored.get("organization"), stored.get("groups") or [])
        pkg_dict["res_url"] = [resource.get("url") or "" for resource in stored.get("resources") or []]
        return pkg_dict


def _facets(shown: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {f"govopen_{name}": shown[name] for name in FACETED if shown.get(name)}
    industry = str(shown.get("industry") or "")
    if industry:
        found["govopen_industry"] = codes.economic_section(industry) or industry
    found["vocab_govopen_region"] = regions.lineage(shown.get("region"))
    found["res_format"] = presentation.formats(shown)
    updated = presentation.updated_at(shown)
    if updated:
        found["govopen_updated_date"] = f"{updated.removesuffix('Z').removesuffix('+00:00')}Z"
    found["govopen_access"] = sorted({
        str(resource["govopen_access"]) for resource in shown.get("resources") or [] if resource.get("govopen_access")
    })
    return found


def _words(shown: dict[str, Any]) -> dict[str, str]:
    """What the pages print of the fields, each text once, in their order; and the names of region and department."""
    texts = [str(field.get(key) or "").strip() for field in presentation.shown_fields(shown) for key in FIELD_KEYS]
    words = "; ".join(dict.fromkeys(text for text in texts if text))[:FIELD_CHARS_MAX]
    place = regions.name(lineage[-1]) if (lineage := regions.lineage(shown.get("region"))) else ""
    department = str((shown.get("organization") or {}).get("title") or "")
    found = (("extras_items", words), ("extras_place", place), ("extras_department", department))
    return {key: value for key, value in found if value}


def _nameless(stored: dict[str, Any]) -> dict[str, str]:
    """CKAN leaves of a key only Latin letters and digits: values whose keys have none come together, under one name."""
    values = [str(extra.get("value") or "") for extra in stored.get("extras") or []
              if not KEY_CHARS.intersection(str(extra.get("key") or ""))]
    return {"extras_": "; ".join(value for value in values if value)} if values else {}


def _figures(shown: dict[str, Any]) -> dict[str, str]:
    known = figures.of_dataset(shown)
    numbers = {"rows": known.rows, "downloads": known.downloads, "rating": known.rating.score}
    return {f"govopen_{name}": f"{number:0{DIGITS}d}" for name, number in numbers.items() if number is not None}


def _read(text: str | None) -> dict[str, Any]:
    """A dataset of a text of CKAN's; an empty one where it cannot be read."""
    for loads in (orjson.loads, json.loads):  # the first one is quick, and refuses half characters
        try:
            found = loads(text or "{}")
        except ValueError:
            continue
        return found if isinstance(found, dict) else {}
    return {}


def _sealed(text: str) -> str:
    """The same text, sealed: read by what gives back large numbers as they were."""
    package = json.loads(text)
    _seal(package)
    return json.dumps(package)


def _seal(package: dict[str, Any]) -> bool:
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
