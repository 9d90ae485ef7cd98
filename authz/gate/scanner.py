"""Finding personal information in rows by checksums, not only by patterns. Findings name places, never values."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stdnum.cn import ric, uscc

PLACES_MAX = 20
"""Rows named per column and kind; the count goes on."""
VALUE_LENGTH_MAX = 20_000

KINDS: Mapping[str, tuple[str, str]] = {
    "id_number": ("居民身份证号码", "resident identity number"),
    "phone": ("手机号码", "mobile phone number"),
    "bank_card": ("银行卡号", "bank card number"),
    "email": ("电子邮箱", "e-mail address"),
    "uscc_sole_trader": ("个体工商户统一社会信用代码", "credit code of a sole trader"),
    "column_name": ("列名提示含个人信息", "column name that suggests personal information"),
}
PERSONAL_KINDS = frozenset({"id_number", "phone", "bank_card"})
"""Personal information wherever it stands; the other kinds are notes for whoever publishes."""

_ID_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{6}[ -]?\d{8}[ -]?\d{3}[0-9Xx](?![0-9A-Za-z])")
_PHONE = re.compile(r"(?<![0-9A-Za-z.])(?:\+?86[ -]?)?(1[3-9]\d[ -]?\d{4}[ -]?\d{4})(?![0-9A-Za-z])")
_CARD = re.compile(r"(?<![0-9A-Za-z.])(?:62|4\d|5[1-5]|3[47])(?:[ -]?\d){13,17}(?![0-9A-Za-z])")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}")
_USCC = re.compile(r"(?<![0-9A-Za-z])92[0-9A-HJ-NP-RT-UW-Ya-hj-np-rt-uw-y]{16}(?![0-9A-Za-z])")
_NAMES = re.compile(
    r"身份证|证件号|手机|移动电话|联系电话|银行卡|银行账号|住址|家庭|出生日期|姓名"
    r"|id_?card|idcard|id_?number|mobile|cell_?phone|bank_?(card|account)|home_?address|birth(day|_?date)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Finding:
    """One place: what was found, in which row (1 is the first data row) and column; never the value."""

    kind: str
    row: int
    column: str

    def as_document(self) -> dict[str, Any]:
        zh, en = KINDS[self.kind]
        return {"kind": self.kind, "row": self.row, "column": self.column, "zh": zh, "en": en}


@dataclass
class Scan:
    """What a scan found: the first places per column and kind, and how many there are in all."""

    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, kind: str, row: int, column: str) -> None:
        key = (column, kind)
        self.counts[key] = self.counts.get(key, 0) + 1
        if self.counts[key] <= PLACES_MAX:
            self.findings.append(Finding(kind, row, column))

    def by_column(self) -> dict[str, list[str]]:
        """Kinds found per column, as the publish gate reads them."""
        found: dict[str, list[str]] = {}
        for column, kind in sorted(self.counts):
            found.setdefault(column, []).append(kind)
        return found

    def rows_of(self, column: str, kinds: frozenset[str]) -> list[int]:
        """Rows named for a column and kinds, without repeats."""
        return sorted({one.row for one in self.findings if one.column == column and one.kind in kinds})


def scan(rows: Iterable[Mapping[str, Any]], columns: Iterable[tuple[str, str]] = ()) -> Scan:
    """Scan rows (column name to value); ``columns`` are (name, title) pairs whose names are looked at too.

    Identity numbers count when their check digit, birth date and province hold. A column's long numbers count as bank
    cards when at least half of them pass Luhn's check, since one in ten passes by chance.
    """
    found = Scan()
    for name, title in columns:
        if _NAMES.search(name) or _NAMES.search(title):
            found.add("column_name", 0, name)
    cards: dict[str, tuple[int, list[int]]] = {}
    for number, row in enumerate(rows, 1):
        found.rows = number
        for column, value in row.items():
            if value is None or isinstance(value, bool):
                continue
            text = unicodedata.normalize("NFKC", str(value)[:VALUE_LENGTH_MAX])
            for kind in _kinds(text):
                found.add(kind, number, column)
            for passed in _cards(text):
                seen, places = cards.get(column, (0, []))
                cards[column] = (seen + 1, [*places, number] if passed else places)
    for column, (seen, places) in cards.items():
        if 2 * len(places) >= seen:
            for number in places:
                found.add("bank_card", number, column)
    return found


def _kinds(text: str) -> Iterator[str]:
    if any(ric.is_valid(re.sub(r"[ -]", "", one.group())) for one in _ID_NUMBER.finditer(text)):
        yield "id_number"
    if _PHONE.search(text):
        yield "phone"
    if "@" in text and _EMAIL.search(text):
        yield "email"
    if any(uscc.is_valid(one.group().upper()) for one in _USCC.finditer(text)):
        yield "uscc_sole_trader"


def _cards(text: str) -> Iterator[bool]:
    """Whether each card-like number passes Luhn's check; identity numbers are not cards."""
    for one in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", one.group())
        if not ric.is_valid(digits):
            yield luhn(digits)


def luhn(digits: str) -> bool:
    """Luhn's check of ISO/IEC 7812-1."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
