"""Validators of the catalogue's fields. Every refusal is a sentence; none depends on anything but its input."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen import codes
from ckanext.govopen import vocabularies as lists

Validator = Callable[[Any], Any]

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
BREAKS = re.compile(r"[\t\n\r\u0085\u2028\u2029]+")
TURNING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
SHORT_CHARS = 500
PARAGRAPH_CHARS = 5000
ITEM_KEYS = frozenset({
    "name", "title", "type", "length", "range", "grade", "open_attribute", "mask", "description", "sensitive",
})
TRUE, FALSE = frozenset({"true", "yes", "1", "on", "是"}), frozenset({"false", "no", "0", "off", "否", ""})

__all__ = [
    "govopen_category", "govopen_date", "govopen_items", "govopen_mask", "govopen_paragraph", "govopen_phone",
    "govopen_region", "govopen_related_codes", "govopen_short_text", "govopen_text", "govopen_uscc", "govopen_yes_no",
]


def _text(value: Any, chars_max: int) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise tk.Invalid(tk._("Must be text"))
    text = str(value).strip()
    if len(text) > chars_max:
        raise tk.Invalid(tk._("Must have at most {n} characters").format(n=chars_max))
    if CONTROL.search(text):
        raise tk.Invalid(tk._("Contains characters that cannot be stored"))
    return text


def govopen_text(value: Any) -> str:
    """Text of any length up to the configured limit, trimmed."""
    return _text(value, int(tk.config["ckanext.govopen.text_chars_max"]))


def govopen_paragraph(value: Any) -> str:
    """Text of a paragraph's length."""
    return _text(value, PARAGRAPH_CHARS)


def govopen_short_text(value: Any) -> str:
    """Text of one line: breaks become spaces, signs that turn the direction of writing go."""
    return _text(TURNING.sub("", BREAKS.sub(" ", value)) if isinstance(value, str) else value, SHORT_CHARS)


def code_of(name: str) -> Validator:
    """A validator that takes a value (or national code) of a code list and gives the stored value."""

    def in_list(value: Any) -> str:
        text = _text(value, SHORT_CHARS)
        term = lists.find(name, text)
        if term is None:
            known = ", ".join(known.value for known in lists.terms(name))
            raise tk.Invalid(tk._("Is not in the code list: {codes}").format(codes=known))
        return term.value

    return in_list


def govopen_uscc(value: Any) -> str:
    """Unified social credit code with its check character (GB 32100-2015)."""
    text = _text(value, SHORT_CHARS).upper()
    if not codes.is_uscc(text):
        raise tk.Invalid(tk._("Is not a unified social credit code: 18 characters with a right check digit"))
    return text


def govopen_region(value: Any) -> str:
    text = _text(value, SHORT_CHARS)
    if not codes.is_region(text):
        raise tk.Invalid(tk._("Is not an administrative division code: 6 or 12 digits"))
    return text


def govopen_category(value: Any) -> str:
    text = _text(value, SHORT_CHARS)
    known_item = len(text) < 3 or text[0] != "1" or lists.find("category", text[:3])
    if not codes.CATEGORY.fullmatch(text) or not known_item:
        raise tk.Invalid(tk._("Is not a category code: 1, 3, 6 or more digits beginning with 1, 2 or 3"))
    return text


def govopen_date(value: Any) -> str:
    text = _text(value, SHORT_CHARS)
    try:
        found = date.fromisoformat(text[:10] if re.fullmatch(r".{10}T00:00:00", text) else text)
    except ValueError:
        raise tk.Invalid(tk._("Is not a date such as 2026-11-21")) from None
    if not 1000 <= found.year <= 2200:
        raise tk.Invalid(tk._("Is not a date such as 2026-11-21"))
    return found.isoformat()


def govopen_yes_no(value: Any) -> str:
    """Truth as ``true`` or ``false``; absent is false."""
    text = str(value).strip().lower() if isinstance(value, bool | str | int) else None
    if text in TRUE:
        return "true"
    if text in FALSE:
        return "false"
    raise tk.Invalid(tk._("Must be yes or no"))


def govopen_phone(value: Any) -> str:
    text = _text(value, SHORT_CHARS)
    if not codes.PHONE.fullmatch(text):
        raise tk.Invalid(tk._("Is not a telephone number"))
    return text


def govopen_mask(value: Any) -> str:
    text = _text(value, SHORT_CHARS)
    if not codes.is_mask(text):
        raise tk.Invalid(tk._("Is not a mask, such as partial:name, hash or hide"))
    return text


def govopen_related_codes(value: Any) -> str:
    """Codes of related catalogue entries, separated by commas."""
    found = [part.strip() for part in re.split(r"[,，;；\s]+", govopen_text(value)) if part.strip()]
    if not all(codes.CATALOG_CODE.fullmatch(part) for part in found):
        raise tk.Invalid(tk._("Must be catalogue codes separated by commas"))
    return ",".join(dict.fromkeys(found))


def govopen_items(value: Any) -> str:
    """Description of fields: a list of objects, or its JSON text; gives JSON text with every key checked."""
    if isinstance(value, str):
        if len(value) > 2_000_000:
            raise tk.Invalid(tk._("Must have at most {n} characters").format(n=2_000_000))
        try:
            value = json.loads(value, parse_constant=_no_constant) if value.strip() else []
        except (ValueError, RecursionError):
            raise tk.Invalid(tk._("Is not a JSON list of fields")) from None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise tk.Invalid(tk._("Is not a JSON list of fields"))
    most = int(tk.config["ckanext.govopen.items_max"])
    if len(value) > most:
        raise tk.Invalid(tk._("Must have at most {n} fields").format(n=most))
    items, names = [], set()
    for number, raw in enumerate(value, start=1):
        try:
            item = _item(raw)
        except tk.Invalid as problem:
            raise tk.Invalid(tk._("Field {n}: {problem}").format(n=number, problem=problem.error)) from None
        if item["name"].casefold() in names:
            raise tk.Invalid(tk._("Field {n}: the name {name} occurs twice").format(n=number, name=item["name"]))
        names.add(item["name"].casefold())
        items.append(item)
    return json.dumps(items, ensure_ascii=False)


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _item(raw: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(str(key)[:40] for key in raw if key not in ITEM_KEYS)
    if unknown:
        raise tk.Invalid(tk._("unknown key {key}").format(key=unknown[0]))
    item: dict[str, Any] = {}
    for key, check in _ITEM_CHECKS.items():
        value = raw.get(key)
        if value is None or value == "":
            continue
        try:
            item[key] = check(value)
        except tk.Invalid as problem:
            raise tk.Invalid(f"{key}: {problem.error}") from None
    for key in ("name", "title", "type"):
        if not item.get(key):
            raise tk.Invalid(tk._("{key} is required").format(key=key))
    return item


def _field_name(value: Any) -> str:
    name = _text(value, 63)
    if not codes.FIELD_NAME.fullmatch(name) or len(name.encode()) > 63:
        raise tk.Invalid(tk._("Is not a column name of at most 63 bytes"))
    return name


def _length(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value)):
        raise tk.Invalid(tk._("Must be a whole number"))
    return int(value)


def _sensitive(value: Any) -> bool:
    return govopen_yes_no(value) == "true"


_ITEM_CHECKS: dict[str, Validator] = {
    "name": _field_name, "title": govopen_short_text, "type": code_of("item_type"), "length": _length,
    "range": govopen_paragraph, "grade": code_of("grade"), "open_attribute": code_of("open_attribute"),
    "mask": govopen_mask, "description": govopen_paragraph, "sensitive": _sensitive,
}
