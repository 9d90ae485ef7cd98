"""The dataset's schema: core metadata of the national guide, and what its fields demand of each other."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.logic import validators as v
from ckanext.govopen.logic.rules import (
    assign_catalog_code,
    consistent,
    default_issued,
    default_provider_code,
    derive_access,
    seal_resources,
)

Schema = dict[str, Any]

REQUIRED: dict[str, v.Validator] = {
    "category": v.govopen_category,
    "provider_code": v.govopen_uscc,
    "format": v.code_of("format"),
    "share_type": v.code_of("share_type"),
    "open_attribute": v.code_of("open_attribute"),
    "update_cycle": v.code_of("update_cycle"),
    "grade": v.code_of("grade"),
    "domain": v.code_of("domain"),
}
OPTIONAL: dict[str, v.Validator] = {
    "share_condition": v.govopen_paragraph,
    "share_method": v.code_of("share_method"),
    "open_mode": v.govopen_paragraph,
    "use_requirements": v.govopen_paragraph,
    "security_measures": v.govopen_paragraph,
    "refuse_reason": v.govopen_paragraph,
    "legal_basis": v.govopen_paragraph,
    "related_code": v.govopen_related_codes,
    "theme": v.govopen_short_text,
    "industry": v.govopen_short_text,
    "scenarios": v.govopen_paragraph,
    "region": v.govopen_region,
    "time_start": v.govopen_date,
    "time_end": v.govopen_date,
    "contact_unit": v.govopen_short_text,
    "contact_phone": v.govopen_phone,
    "contact_email": v.govopen_short_text,
    "source_system": v.govopen_short_text,
    "duty_basis": v.govopen_paragraph,
    "source_url": v.govopen_text,
    "source_license": v.govopen_short_text,
    "shared_from": v.govopen_short_text,
    "operator_uscc": v.govopen_uscc,
}
ITEMS = "items"
YES_NO = "has_personal_info"
ASSIGNED = ("catalog_code", "issued")
KEYS = (*REQUIRED, *OPTIONAL, ITEMS, YES_NO, *ASSIGNED)
"""Keys of the catalogue beyond CKAN's own, all kept as extras."""

CORE_TEXT = ("name", "title", "notes", "url", "version", "author", "author_email", "maintainer", "maintainer_email")
RESOURCE_TEXT = ("name", "description", "format", "url", "mimetype", "resource_type", "hash")
RESOURCE_DERIVED = "govopen_access"


def _field(name: str, *checks: Any) -> list[Any]:
    return [*checks, tk.get_converter("convert_to_extras")]


def modify(schema: Schema) -> Schema:
    """CKAN's create or update schema with ours in it."""
    ignore_missing, ignore_empty = tk.get_validator("ignore_missing"), tk.get_validator("ignore_empty")
    not_empty, email = tk.get_validator("not_empty"), tk.get_validator("email_validator")
    schema = dict(schema)
    for name in CORE_TEXT:
        if name in schema:
            schema[name] = [_checked_text, *schema[name]]
    schema["title"] = [not_empty, v.govopen_short_text]
    schema["notes"] = [not_empty, v.govopen_text]
    for name, check in REQUIRED.items():
        schema[name] = _field(name, not_empty, check)
    for name, check in OPTIONAL.items():
        schema[name] = _field(name, ignore_empty, check)
    schema["contact_email"] = _field("contact_email", ignore_empty, v.govopen_short_text, email)
    schema["provider_code"] = _field("provider_code", default_provider_code, not_empty, v.govopen_uscc)
    schema[ITEMS] = _field(ITEMS, ignore_empty, v.govopen_items)
    schema[YES_NO] = _field(YES_NO, _absent_is_no, v.govopen_yes_no)
    schema["issued"] = _field("issued", default_issued, v.govopen_date)
    schema["catalog_code"] = _field("catalog_code", assign_catalog_code, ignore_missing)
    schema["resources"] = _resources(dict(schema["resources"]), ignore_missing, ignore_empty)
    schema["extras"] = {**schema["extras"], "value": [_checked_value, *schema["extras"]["value"]]}
    schema["__after"] = [*schema.get("__after", []), consistent, seal_resources]
    return schema


def _resources(schema: Schema, ignore_missing: Any, ignore_empty: Any) -> Schema:
    for name in RESOURCE_TEXT:
        schema[name] = [_checked_text, *schema[name]]
    schema["name"] = [ignore_missing, v.govopen_short_text]
    schema["open_attribute"] = [ignore_empty, v.code_of("open_attribute")]
    schema["grade"] = [ignore_empty, v.code_of("grade")]
    schema["has_personal_info"] = [ignore_empty, v.govopen_yes_no]
    schema["govopen_fields"] = [ignore_empty, v.govopen_items]
    schema[RESOURCE_DERIVED] = [derive_access]
    return schema


def show(schema: Schema) -> Schema:
    """CKAN's show schema with our extras brought back to the top."""
    from_extras, ignore_missing = tk.get_converter("convert_from_extras"), tk.get_validator("ignore_missing")
    schema = dict(schema)
    for name in KEYS:
        schema[name] = [from_extras, ignore_missing]
    return schema


def _checked_text(key: Any, data: Any, errors: Any, context: Any) -> None:
    """Stop wrong types, control characters and oversize before CKAN's own validators see the value."""
    value = data.get(key)
    if value is tk.missing or value is None:
        return
    data[key] = v.govopen_text(value)


def _checked_value(value: Any) -> Any:
    return v.govopen_text(value) if isinstance(value, str) else value


def _absent_is_no(value: Any) -> Any:
    return "false" if value is tk.missing or value is None or value == "" else value

