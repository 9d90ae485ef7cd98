"""A made catalogue in English, a few hundred documents like CKAN's, the same for the same seed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.search.testing import dataset

SEED = 20261123
SIZE = 320
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)

_WORDS = """
river rivers water quality qualities data city cities national nation air noise road roads roading traffic bus buses
school schools schooling student hospital hospitals health healthy budget budgets budgeting spending permit permits
company companies register registered registration address addresses parcel parcels planning plan plans zone zones
forest forests tree trees flood floods flooding weather rain rainfall energy solar wind power grid population census
birth births death deaths election elections vote votes voting park parks parking map maps mapping
"""
WORDS = tuple(_WORDS.split())
JOINED = (
    "geo-data",
    "open-air",
    "OpenData",
    "WaterLevel",
    "KM7.5",
    "CO2",
    "covid-19",
    "city's",
    "wi-fi",
    "2024",
    "2025",
    "3D",
    "e-mail",
    "B&K",
    "x-ray",
    "data_set",
    "v1.2.3",
    "café",
    "Zürich",
    "naïve",
    "A/B",
    "24/7",
    "state-of-the-art",
)
TAGS = (
    "water",
    "Water",
    "air quality",
    "roads",
    "open data",
    "budget-2024",
    "geo",
    "health",
    "noise",
    "空气",
    "transport",
    "transit",
    "C++",
    "a:b",
    "50%",
    "quality",
)
GROUPS = ("environment", "economy", "transport", "society")
LICENSES = (
    ("cc-by", "Creative Commons Attribution"),
    ("odc-odbl", "Open Database License"),
    ("other-open", "Other Open"),
)
FORMATS = ("CSV", "XLSX", "JSON", "PDF", "GeoJSON", "API")
PEOPLE = ("Ada Lovelace", "Alan Turing", "Grace Hopper", "Edsger Dijkstra", "Barbara Liskov", "Ada Byron")
FREQUENCIES = ("daily", "weekly", "monthly", "Yearly", "real-time")
LABELS = ("public", "member-a", "member-b", "creator-c")


def text(chance: random.Random, least: int, most: int) -> str:
    """Some words, now and then one that the word delimiter splits."""
    words = [
        chance.choice(JOINED) if chance.random() < 0.12 else _cased(chance, chance.choice(WORDS))
        for _ in range(chance.randint(least, most))
    ]
    return " ".join(words)


def _cased(chance: random.Random, word: str) -> str:
    form = chance.random()
    return word.upper() if form < 0.04 else word.capitalize() if form < 0.15 else word


def _instant(chance: random.Random) -> str:
    moment = NOW - timedelta(seconds=chance.randint(0, 4 * 365 * 86400))
    moment = moment.replace(microsecond=chance.choice((0, 0, 0, 120_000, 7_000)))
    if chance.random() < 0.2:
        moment = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    shown = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{shown}.{moment.microsecond // 1000:03d}Z" if moment.microsecond else shown + "Z"


def document(number: int, seed: int = SEED) -> dict[str, Any]:
    """The document of a number; some have no tags, no counts, no dates."""
    chance = random.Random(f"{seed}/{number}")
    license_id, license_title = chance.choice(LICENSES)
    values: dict[str, Any] = {
        "title": text(chance, 2, 7),
        "notes": text(chance, 4, 40),
        "license_id": license_id,
        "license": license_title,
        "tags": chance.sample(TAGS, chance.randint(0, 4)),
        "groups": chance.sample(GROUPS, chance.randint(0, 2)),
        "organization": f"org-{chance.randint(1, 6)}",
        "owner_org": f"{chance.randint(1, 6):08x}",
        "author": chance.choice(PEOPLE),
        "maintainer": chance.choice(PEOPLE),
        "author_email": f"{chance.choice(WORDS)}@example.org",
        "version": chance.choice(("1.0", "1.1", "2", "10")),
        "res_name": [text(chance, 1, 4) for _ in range(chance.randint(0, 3))],
        "res_description": [text(chance, 2, 9) for _ in range(chance.randint(0, 2))],
        "res_format": chance.sample(FORMATS, chance.randint(0, 3)),
        "state": "active",
        "url": f"https://example.org/{chance.choice(WORDS)}/{number}",
        "extras_frequency": chance.choice(FREQUENCIES),
        "vocab_theme": chance.sample(GROUPS, chance.randint(0, 2)),
        "metadata_created": _instant(chance),
        "metadata_modified": _instant(chance),
        "permission_labels": chance.sample(LABELS, chance.randint(1, 3)),
    }
    if chance.random() < 0.8:
        values["views_total"] = int(chance.paretovariate(0.6)) % 100_000
        values["views_recent"] = chance.randint(0, 50)
    if chance.random() < 0.5:
        values["resources_accessed_total"] = chance.randint(-5, 30)
    if chance.random() < 0.7:
        values["issued_date"] = _instant(chance)
    if chance.random() < 0.5:
        values["rank_code"] = chance.choice(("a1", "b2", "B2", "c 3", "d-4"))
    name = f"{chance.choice(WORDS)}-{chance.choice(WORDS)}-{number}"
    made = dataset(name, **{key: value for key, value in values.items() if value != []})
    del made["data_dict"], made["validated_data_dict"]
    return made


def documents(size: int = SIZE, seed: int = SEED) -> list[dict[str, Any]]:
    return [document(number, seed) for number in range(size)]
