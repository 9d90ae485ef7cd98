"""Helpers about the catalogue's own vocabulary, fields and conditions."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen import sealing, text
from ckanext.govopen import vocabularies as lists
from ckanext.govopen.described import read_items

FACET_LISTS = {
    "govopen_open_attribute": "open_attribute", "govopen_grade": "grade", "govopen_domain": "domain",
    "govopen_format": "format", "govopen_update_cycle": "update_cycle", "govopen_share_type": "share_type",
    "govopen_access": "access",
}


def govopen_vocabulary(name: str) -> list[dict[str, str]]:
    """A code list for a form: ``[{"value", "text"}]`` in the current language."""
    lang = text.language()
    return [{"value": term.value, "text": term.label(lang)} for term in lists.terms(name)]


def govopen_label(name: str, value: Any) -> str:
    """What people read for a code of a list."""
    return lists.label(name, value, text.language())


def govopen_facet_label(facet: str, value: str) -> str:
    """What people read for a value of one of our facets; other facets' values stand for themselves."""
    return govopen_label(FACET_LISTS[facet], value) if facet in FACET_LISTS else value


def govopen_items(holder: dict[str, Any]) -> list[dict[str, Any]]:
    """Described fields of a resource (its own, else none) or of a dataset."""
    return read_items(holder.get("govopen_fields") or holder.get("items"))


def govopen_fields_of(package: dict[str, Any], resource: dict[str, Any]) -> list[dict[str, Any]]:
    """Fields of a resource with the grade and open attribute that hold for each."""
    attribute = govopen_open_attribute(package, resource)
    grade = resource.get("grade") or package.get("grade")
    described = read_items(resource.get("govopen_fields")) or read_items(package.get("items"))
    return [{"open_attribute": attribute, "grade": grade, **item} for item in described]


def govopen_open_attribute(package: dict[str, Any], resource: dict[str, Any] | None = None) -> str:
    """The open attribute that holds for a resource, or for a dataset as a whole."""
    own = (resource or {}).get("open_attribute")
    return str(own or package.get("open_attribute") or "closed")


def govopen_is_restricted(resource: dict[str, Any]) -> bool:
    """Whether the resource can only be used after an application."""
    return resource.get("govopen_access", "open") != "open"


def govopen_apply_url(resource_id: str) -> str:
    """Address of the page to apply at."""
    return sealing.sentinel(resource_id)


def govopen_lang() -> str:
    """``zh-CN`` or ``en``, for the html element and for the service."""
    return text.accept_language()


def govopen_data_url(resource_id: str) -> str:
    """Address of the service's data interface for a resource."""
    return f"{str(tk.config['ckan.site_url']).rstrip('/')}/data/v1/{resource_id}"
