"""Masks that forms offer, and what they are called. The service knows which are allowed."""

from __future__ import annotations

from collections.abc import Mapping

import ckan.plugins.toolkit as tk
from ckanext.govopen import vocabularies
from ckanext.govopen.text import language

FREE = ("hash", "null", "hide")
NUMBERS = ("generalise_number:10", "generalise_number:100", "generalise_number:1000", "generalise_number:10000")
DATES = ("generalise_date:month", "generalise_date:quarter", "generalise_date:year")
BY_TYPE: Mapping[str, tuple[str, ...]] = {
    "text": ("partial:name", "partial:phone", "partial:id", "partial:middle", "generalise_region:2",
             "generalise_region:4", "generalise_region:6", "generalise_region:9"),
    "integer": NUMBERS, "numeric": NUMBERS, "date": DATES, "timestamp": DATES,
}


def offered(kind: str) -> tuple[str, ...]:
    """Masks for a field of that type, from the weakest."""
    return (*BY_TYPE.get(kind, ()), *FREE)


def label(mask: str | None) -> str:
    """A mask in words: 部分遮盖（姓名）."""
    if not mask:
        return tk._("as it is")
    kind, _, detail = str(mask).partition(":")
    details = {
        "name": tk._("name"), "phone": tk._("phone number"), "id": tk._("identity number"),
        "middle": tk._("middle part"), "year": tk._("to the year"), "quarter": tk._("to the quarter"),
        "month": tk._("to the month"),
    }
    known = vocabularies.label("mask", kind, language())
    if not detail:
        return known
    said = details.get(detail)
    if said is None and kind == "generalise_region":
        said = tk._("first {n} digits").format(n=detail)
    return f"{known} · {said or detail}"
