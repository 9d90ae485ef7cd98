"""A province's catalogue as CKAN sends it to its search index: made, seeded, of real words and real divisions.

Every document has what CKAN's indexing and the platform's own hooks put in: the dataset as stored and as shown, the
extras in both spellings, tags, resources, columns' names, facets of the catalogue and permission labels.
"""

from __future__ import annotations

import hashlib
import json
import random
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ops.bench import vocabulary as words

DIVISIONS = Path(__file__).parents[1] / "demo/data/divisions"
SITE_ID = "govopen"
PROVINCE = "32"
BATCH = 500
VERSION = 1
"""Raise it when the documents change, so that kept batches are made anew."""
_SPACE = uuid.UUID("6d7f3c1e-8a57-4c7e-9a0e-3f6a1f1d9c20")
_END = datetime(2026, 6, 30, tzinfo=UTC)
_GRADES = ("general-1", "general-2", "general-3", "general-4", "important", "core")
_CYCLES = ("monthly", "yearly", "daily", "quarterly", "irregular", "weekly", "half_yearly", "realtime", "hourly")


@dataclass(frozen=True)
class Place:
    code: str
    name: str
    upper: str


@dataclass(frozen=True)
class Department:
    id: str
    name: str
    title: str
    place: Place
    domain: words.Domain


def _uuid(what: str) -> str:
    return str(uuid.uuid5(_SPACE, what))


def _places() -> list[Place]:
    """The province, its cities and their counties; streets lend their names to titles."""
    cities = {row["code"]: row["name"] for row in _rows("cities") if row["provinceCode"] == PROVINCE}
    found = [Place("320000", "江苏省", "江苏省")]
    found += [Place(code + "00", name, name) for code, name in cities.items()]
    found += [
        Place(row["code"], cities[row["cityCode"]] + row["name"], cities[row["cityCode"]])
        for row in _rows("areas")
        if row["provinceCode"] == PROVINCE and row["name"] != "市辖区"
    ]
    return found


def _rows(level: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = pq.read_table(DIVISIONS / f"{level}.parquet").to_pylist()
    return found


class Catalogue:
    """``document(n)`` is the n-th dataset, the same for the same seed whatever else is made."""

    def __init__(self, seed: int = 2026) -> None:
        self.seed = seed
        self.places = _places()
        self.streets: dict[str, list[str]] = {}
        for row in _rows("streets"):
            if row["provinceCode"] == PROVINCE:
                self.streets.setdefault(row["areaCode"], []).append(row["name"])
        self.departments = [
            Department(
                _uuid(f"{place.code}/{title}"), f"d{place.code}-{number}-{at}", place.name + title, place, domain
            )
            for place in self.places
            for number, domain in enumerate(words.DOMAINS)
            for at, title in enumerate(domain.departments)
        ]
        self.users = [_uuid(f"user/{number}") for number in range(2000)]

    def labels_of(self, user: int) -> list[str]:
        """What CKAN asks for in a user's name: public, what they made, and up to three departments."""
        chance = random.Random(f"{self.seed}/user/{user}")
        own = chance.sample(self.departments, chance.choice((0, 1, 1, 2, 3)))
        return ["public", f"creator-{self.users[user]}", *(f"member-{one.id}" for one in own)]

    def document(self, number: int) -> dict[str, Any]:
        chance = random.Random(f"{self.seed}/{number}")
        department = self.departments[int(len(self.departments) * chance.random() ** 1.6)]
        subject = department.domain.subjects[int(len(department.domain.subjects) * chance.random() ** 1.5)]
        kind = words.KINDS[int(len(words.KINDS) * chance.random() ** 1.8)]
        place = department.place
        shown = self._shown(chance, number, department, subject, kind)
        stored = _stored(shown)
        data_dict, validated = json.dumps(stored), json.dumps(shown)
        resources = shown["resources"]
        document = {name: value for name, value in stored.items() if not isinstance(value, (list, dict))}
        for extra in stored["extras"]:
            document["extras_" + extra["key"]] = extra["value"]
            document.setdefault(extra["key"], extra["value"])
        document.pop("items", None)
        for name in ("open_attribute", "grade", "domain", "format", "update_cycle", "share_type", "region"):
            document["govopen_" + name] = shown[name]
        columns = [text for item in shown["items"] for text in (item["title"], item["name"])]
        document.update(
            data_dict=data_dict,
            validated_data_dict=validated,
            title_string=shown["title"],
            tags=[tag["name"] for tag in shown["tags"]],
            groups=[group["name"] for group in shown["groups"]],
            capacity="private" if shown["private"] else "public",
            organization=department.name,
            entity_type="package",
            dataset_type="dataset",
            site_id=SITE_ID,
            index_id=hashlib.md5((shown["id"] + SITE_ID).encode(), usedforsecurity=False).hexdigest(),
            res_name=[one["name"] for one in resources],
            res_description=[one["description"] for one in resources],
            res_format=[one["format"] for one in resources],
            res_url=[one["url"] for one in resources],
            res_type=[one["resource_type"] for one in resources],
            extras_items=" ".join(dict.fromkeys(columns)),
            govopen_access=["restricted" if shown["open_attribute"] == "conditional" else "open"],
            permission_labels=self._labels(chance, shown, department),
            metadata_created=shown["metadata_created"] + "Z",
            metadata_modified=shown["metadata_modified"] + "Z",
        )
        if place.code.endswith("0000"):
            document["vocab_level"] = ["province"]
        return document

    def _labels(self, chance: random.Random, shown: dict[str, Any], department: Department) -> list[str]:
        if not shown["private"] and shown["state"] == "active":
            return ["public"]
        return [f"member-{department.id}", f"creator-{chance.choice(self.users)}"]

    def _shown(
        self, chance: random.Random, number: int, department: Department, subject: str, kind: str
    ) -> dict[str, Any]:
        domain, place = department.domain, department.place
        where = place.name
        streets = self.streets.get(place.code)
        if streets and chance.random() < 0.25:
            where += chance.choice(streets)
        title = f"{where}{subject}{kind}"
        if chance.random() < 0.12:
            title += f"（{chance.randint(2016, 2026)}年）"
        if chance.random() < 0.03:
            title += " " + chance.choice(words.ENGLISH)
        picked = chance.sample(domain.columns, min(len(domain.columns), chance.randint(4, 9)))
        notes = (
            f"{department.title}{chance.choice(words.VERBS)}的{where}{subject}{kind}，包括{'、'.join(picked)}等字段，"
            f"{'，'.join(chance.sample(words.PURPOSES, chance.randint(1, 3)))}。"
        )
        attribute = chance.choices(("unconditional", "conditional", "closed"), (72, 20, 8))[0]
        grade = _GRADES[min(5, int(6 * chance.random() ** 3))] if attribute != "unconditional" else "general-1"
        id_ = _uuid(f"dataset/{number}")
        formats = chance.sample(words.FORMATS, chance.choices((1, 2, 3, 5), (35, 30, 25, 10))[0])
        modified = _END - timedelta(seconds=int(chance.random() ** 2 * 4 * 365 * 86400), microseconds=number % 10**6)
        created = modified - timedelta(days=chance.randint(0, 1500))
        tags = dict.fromkeys(
            [
                subject,
                *chance.sample(domain.subjects, chance.randint(0, 3)),
                place.upper,
                *([kind] if chance.random() < 0.3 else []),
                department.title[len(place.name) :],
            ]
        )
        return {
            "author": None,
            "author_email": None,
            "creator_user_id": chance.choice(self.users),
            "id": id_,
            "isopen": True,
            "license_id": words.LICENSES[min(4, int(5 * chance.random() ** 2))],
            "license_title": "知识共享署名",
            "license_url": "http://www.opendefinition.org/licenses/cc-by",
            "maintainer": None,
            "maintainer_email": None,
            "metadata_created": created.strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "metadata_modified": modified.strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "name": f"{domain.value}-{number}",
            "notes": notes,
            "num_resources": len(formats),
            "num_tags": len(tags),
            "organization": {
                "id": department.id,
                "name": department.name,
                "title": department.title,
                "type": "organization",
                "description": "公共数据目录",
                "image_url": "",
                "created": "2026-01-01T00:00:00",
                "is_organization": True,
                "approval_status": "approved",
                "state": "active",
            },
            "owner_org": department.id,
            "private": chance.random() < 0.06,
            "title": title,
            "type": "dataset",
            "state": chance.choices(("active", "draft", "deleted"), (970, 25, 5))[0],
            "url": None,
            "version": None,
            "category": chance.choice(("101", "102", "103", "104", "105", "2", "3")),
            "provider_code": "11320000MB1532847U",
            "format": chance.choice(("database", "spreadsheet", "interface", "electronic_file")),
            "share_type": chance.choice(("unconditional", "conditional", "closed")),
            "open_attribute": attribute,
            "update_cycle": _CYCLES[min(8, int(9 * chance.random() ** 2))],
            "grade": grade,
            "domain": domain.value,
            "region": place.code,
            "contact_unit": department.title,
            "contact_phone": f"025-8{number % 10**7:07d}",
            "catalog_code": f"{chance.randint(1, 3)}{number:08d}/{number % 1000:06d}",
            "issued": f"{created:%Y-%m-%d}",
            "has_personal_info": "true" if grade > "general-2" else "false",
            "duty_basis": f"{subject}管理职责",
            "items": [
                {"name": f"c{at}", "title": column, "type": "text", "grade": grade, "open_attribute": attribute}
                for at, column in enumerate(picked)
            ],
            "tags": [
                {"display_name": tag, "id": _uuid(f"tag/{tag}"), "name": tag, "state": "active", "vocabulary_id": None}
                for tag in tags
            ],
            "groups": [{"name": f"theme-{domain.value}", "title": domain.value, "id": _uuid(domain.value)}],
            "resources": [
                {
                    "id": _uuid(f"{id_}/{at}"),
                    "name": f"{title}.{form.lower()}",
                    "format": form,
                    "description": notes[:60],
                    "url": f"https://data.example.gov.cn/dataset/{id_}/resource/{at}/download",
                    "package_id": id_,
                    "url_type": "upload",
                    "resource_type": "file",
                    "mimetype": None,
                    "size": chance.randint(1000, 10**7),
                    "hash": "",
                    "state": "active",
                    "position": at,
                    "created": created.isoformat(),
                    "last_modified": modified.isoformat(),
                    "datastore_active": form == "CSV",
                }
                for at, form in enumerate(formats)
            ],
            "extras": [],
            "relationships_as_subject": [],
            "relationships_as_object": [],
        }

    def keyword(self, chance: random.Random) -> str:
        """What a visitor types: mostly a subject, often with a place, a kind or an authority."""
        domain = chance.choice(words.DOMAINS)
        subject = domain.subjects[int(len(domain.subjects) * chance.random() ** 1.5)]
        place = chance.choice(self.places).name
        shape = chance.random()
        if shape < 0.40:
            return subject
        if shape < 0.60:
            return f"{place} {subject}"
        if shape < 0.72:
            return f"{subject}{chance.choice(words.KINDS)}"
        if shape < 0.80:
            return f"{chance.choice(domain.departments)} {subject}"
        if shape < 0.86:
            return f"{place}{subject}"
        if shape < 0.92:
            return chance.choice(domain.columns)
        if shape < 0.96:
            return chance.choice(words.ENGLISH).lower()
        return chance.choice(("企业", "许可", "信息", "学校", "医院", "统计", "数据", "名录"))


_EXTRAS = (
    "category",
    "provider_code",
    "format",
    "share_type",
    "open_attribute",
    "update_cycle",
    "grade",
    "domain",
    "region",
    "contact_unit",
    "contact_phone",
    "catalog_code",
    "issued",
    "has_personal_info",
    "duty_basis",
    "items",
)


def _stored(shown: dict[str, Any]) -> dict[str, Any]:
    """The dataset in CKAN's own schema: ours are extras."""
    stored = {name: value for name, value in shown.items() if name not in _EXTRAS}
    stored["extras"] = [
        {"key": name, "value": shown[name] if isinstance(shown[name], str) else json.dumps(shown[name])}
        for name in _EXTRAS
    ]
    return stored


def batches(catalogue: Catalogue, count: int, folder: Path) -> Iterator[bytes]:
    """Bodies of update requests, ``BATCH`` documents each; made once and kept, so that making is not measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(0, count, BATCH):
        path = folder / f"v{VERSION}-{catalogue.seed}-{at}-{min(at + BATCH, count)}"
        if not path.exists():
            made = [catalogue.document(number) for number in range(at, min(at + BATCH, count))]
            present = [{name: value for name, value in one.items() if value is not None} for one in made]
            waiting = path.with_suffix(".part")
            waiting.write_bytes(zlib.compress(json.dumps(present).encode(), 1))
            waiting.rename(path)
        yield zlib.decompress(path.read_bytes())
