"""Check digits and forms of official codes; plain functions without CKAN."""

from __future__ import annotations

import re

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""Characters of the unified social credit code, GB 32100-2015 (no I, O, S, V, Z)."""
USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
PROVINCES = frozenset(
    str(code)
    for first, last in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 82))
    for code in range(first, last + 1)
)
REGION = re.compile(r"[0-9]{6}(?:[0-9]{6})?")
CATEGORY = re.compile(r"[123](?:[0-9]{2}(?:[0-9]{3}[0-9]{0,10})?)?")
CATALOG_CODE = re.compile(r"[123][0-9]{5}[0-9]{0,10}/[0-9]{1,12}")
PHONE = re.compile(r"\+?[0-9][0-9 ()\-]{4,28}[0-9](?:(?:转|-|ext\.? ?)[0-9]{1,6})?")
ECONOMIC_CODE = re.compile(r"([A-T])?([0-9]{2})?[0-9]{0,2}")
SECTION_ENDS = {5: "A", 12: "B", 43: "C", 46: "D", 50: "E", 52: "F", 60: "G", 62: "H", 65: "I", 69: "J", 70: "K",
                72: "L", 75: "M", 79: "N", 82: "O", 83: "P", 85: "Q", 90: "R", 96: "S", 97: "T"}
"""Last division (two digits) of each section of GB/T 4754-2017 -> the section."""
FIELD_NAME = re.compile(r"[^\W\d_][\w ./()（）·%°\-]{0,62}")
MASK_DETAILS: dict[str, frozenset[str]] = {
    "generalise_date": frozenset({"year", "quarter", "month"}),
    "generalise_region": frozenset({"2", "4", "6", "9"}),
    "partial": frozenset({"", "name", "phone", "id", "middle"}),
    "hash": frozenset({""}), "null": frozenset({""}), "hide": frozenset({""}),
}


def uscc_check_character(first_17: str) -> str:
    """Check character of a unified social credit code; raises ValueError for a character that cannot occur."""
    total = sum(USCC_ALPHABET.index(char) * weight for char, weight in zip(first_17, USCC_WEIGHTS, strict=True))
    return USCC_ALPHABET[(31 - total % 31) % 31]


def is_uscc(value: str) -> bool:
    """Whether the 18 characters are a unified social credit code with a right check character."""
    if len(value) != 18 or not set(value) <= set(USCC_ALPHABET):
        return False
    return value[-1] == uscc_check_character(value[:17])


def is_region(value: str) -> bool:
    """Whether the digits are an administrative division code: 6 (GB/T 2260) or 12 (down to villages)."""
    return bool(REGION.fullmatch(value)) and value[:2] in PROVINCES


def economic_section(value: str) -> str | None:
    """The section of GB/T 4754-2017 that a code names (``C``, ``C39``, ``39``, ``3911``); None for other texts."""
    found = ECONOMIC_CODE.fullmatch(value.strip().upper())
    if found is None or not value.strip():
        return None
    letter, division = found.groups()
    if division is None:
        return letter if len(value.strip()) == 1 else None
    section = next((name for last, name in SECTION_ENDS.items() if 1 <= int(division) <= last), None)
    return section if letter in (None, section) else None


def is_mask(value: str) -> bool:
    """Whether the text names a mask, ``kind`` or ``kind:detail``."""
    kind, _, detail = value.partition(":")
    if kind == "generalise_number":
        return bool(re.fullmatch(r"[1-9][0-9]{0,11}", detail))
    return detail in MASK_DETAILS.get(kind, ())


def catalog_prefix(category: str) -> str:
    """The part before the slash: class 1 digit, item 2, category 3, subcategory as long as it is."""
    return category if len(category) >= 6 else category.ljust(3, "0").ljust(6, "0")
