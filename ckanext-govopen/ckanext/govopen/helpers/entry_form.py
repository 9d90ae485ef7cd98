"""Helpers of the form of a catalog entry."""

from __future__ import annotations

import json
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen import masks, vocabularies
from ckanext.govopen.text import language


def govopen_options(vocabulary: str) -> list[dict[str, str]]:
    """A code list as options of a field."""
    return [{"value": term.value, "label": term.label(language())} for term in vocabularies.terms(vocabulary)]


def govopen_mask(mask: str) -> str:
    """A mask in words."""
    return masks.label(mask)


def govopen_entry_labels() -> dict[str, str]:
    """What each field of a catalog entry is called."""
    return {
        "title": tk._("Title"), "name": tk._("Address"), "notes": tk._("Abstract"), "category": tk._("Category"),
        "domain": tk._("Data domain"), "format": tk._("Kind of data"), "tag_string": tk._("Tags"), "tags": tk._("Tags"),
        "owner_org": tk._("Department"), "provider_code": tk._("Provider's credit code"),
        "contact_unit": tk._("Contact unit"), "contact_phone": tk._("Contact phone"),
        "contact_email": tk._("Contact e-mail"), "open_attribute": tk._("Open attribute"), "grade": tk._("Data grade"),
        "has_personal_info": tk._("Personal information"), "open_mode": tk._("How it is opened"),
        "use_requirements": tk._("What the user must keep to"),
        "security_measures": tk._("Security that is asked for"), "refuse_reason": tk._("Why it is not open"),
        "legal_basis": tk._("Legal basis"), "items": tk._("Description of the fields"),
        "update_cycle": tk._("Update cycle"), "issued": tk._("Published on"),
        "share_type": tk._("Sharing inside government"), "share_condition": tk._("Condition of sharing"),
        "share_method": tk._("Way of sharing"), "shared_from": tk._("Got by sharing from"), "region": tk._("Region"),
        "operator_uscc": tk._("Operator's credit code"),
        "time_start": tk._("Period covered from"), "time_end": tk._("Period covered to"),
        "theme": tk._("National theme"), "industry": tk._("Industry"), "scenarios": tk._("Scenarios"),
        "related_code": tk._("Related codes"), "source_system": tk._("Source system"),
        "duty_basis": tk._("Legal duty"), "source_url": tk._("Source"), "source_license": tk._("License of the source"),
        "version": tk._("Version"), "license_id": tk._("License"), "private": tk._("Who may see it"),
        "publish_gate": tk._("Check before publication"), "resources": tk._("Tables and files"),
    }


def govopen_entry_errors(errors: Any) -> dict[str, list[str]]:
    """CKAN's errors as {field: sentences} in the form's order; those of tables are gathered under ``resources``."""
    told: dict[str, list[str]] = {}
    for name, found in (errors or {}).items():
        if name in ("__type", "code"):
            continue
        place = "tag_string" if name == "tags" else name
        sentences = list(dict.fromkeys(_sentences(found)))
        if sentences:
            told.setdefault(place, []).extend(sentences)
    order = {name: at for at, name in enumerate(govopen_entry_labels())}
    return dict(sorted(told.items(), key=lambda one: order.get(one[0], len(order))))


def _sentences(found: Any) -> list[str]:
    if isinstance(found, str):
        return [found]
    if isinstance(found, dict):
        found = list(found.values())
    return [sentence for part in found for sentence in _sentences(part)] if isinstance(found, list) else []


def govopen_any_error(errors: dict[str, Any], names: list[str]) -> bool:
    return any(name in errors for name in names)


def govopen_item_words() -> str:
    """Labels and code lists of the field editor, as JSON for its script."""
    lists = {key: [[option["value"], option["label"]] for option in govopen_options(name)]
             for key, name in (("type", "item_type"), ("grade", "grade"), ("open_attribute", "open_attribute"))}
    offered = {kind: [[mask, masks.label(mask)] for mask in masks.offered(kind)] for kind, _ in lists["type"]}
    words = {
        "name": tk._("Name in the data"), "title": tk._("Field"), "type": tk._("Type"), "grade": tk._("Data grade"),
        "open_attribute": tk._("Open attribute"), "mask": tk._("Mask"), "description": tk._("Meaning"),
        "add": tk._("Add a field"), "remove": tk._("Remove"), "none": tk._("none"), "number": tk._("Field {n}"),
    }
    return json.dumps({"lists": lists, "masks": offered, "words": words}, ensure_ascii=False)


def govopen_entry(name: str) -> dict[str, Any] | None:
    """The dataset a table belongs to, as the person who asks may see it."""
    try:
        return dict(tk.get_action("package_show")({"user": tk.current_user.name}, {"id": name}))
    except (tk.ObjectNotFound, tk.NotAuthorized):
        return None
