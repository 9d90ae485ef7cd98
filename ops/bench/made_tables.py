"""The made catalogue in CKAN's own tables: as if its departments had entered all of it, without waiting for that."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from ops.bench.framework import Say
from ops.bench.made_catalogue import Catalogue, batches
from ops.bench.search import cache

COLUMNS = {
    "group": "id name title description created state type is_organization approval_status image_url",
    "package": "id name title version url notes state license_id author author_email maintainer maintainer_email "
    "owner_org private type creator_user_id metadata_created metadata_modified extras",
    "resource": "id url format description position package_id hash size state last_modified mimetype name created "
    "url_type resource_type extras",
    "tag": "id name",
    "package_tag": "id package_id tag_id state",
    "member": "id table_id group_id state table_name capacity",
}
"""In the order in which rows may refer to each other."""
SAY_EACH = 20_000


async def fill(address: str, datasets: int, say: Say, site_url: str) -> None:
    """Put so many datasets into an empty CKAN's database, with departments, themes, tags and resources.

    As the platform keeps them: a resource that is not open has the address at which it is applied for.
    """
    connection = await asyncpg.connect(address)
    try:
        await connection.set_type_codec(
            "jsonb", encoder=lambda value: b"\1" + orjson.dumps(value), decoder=lambda raw: orjson.loads(raw[1:]),
            schema="pg_catalog", format="binary",
        )
        tables = Tables(site_url)
        done = 0
        for body in batches(Catalogue(), datasets, cache()):
            documents = orjson.loads(body)
            async with connection.transaction():
                for table, rows in tables.rows(documents):
                    await connection.copy_records_to_table(table, records=rows, columns=COLUMNS[table].split())
            done += len(documents)
            if done % SAY_EACH == 0 or done == datasets:
                say(f"{done:,} datasets in CKAN's tables")
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


class Tables:
    """Rows of documents; what many datasets share is given once."""

    def __init__(self, site_url: str) -> None:
        self._apply = f"{site_url.rstrip('/')}/apply/"
        self._groups: set[str] = set()
        self._tags: dict[str, str] = {}

    def rows(self, documents: list[dict[str, Any]]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        found: dict[str, list[tuple[Any, ...]]] = {table: [] for table in COLUMNS}
        for document in documents:
            self._one(orjson.loads(document["data_dict"]), orjson.loads(document["validated_data_dict"]), found)
        yield from found.items()

    def _one(
        self, stored: dict[str, Any], shown: dict[str, Any], found: dict[str, list[tuple[Any, ...]]]
    ) -> None:
        id_, organization = stored["id"], stored["organization"]
        self._group({**organization, "description": organization["description"]}, found)
        found["member"].append((_id(), id_, organization["id"], "active", "package", "organization"))
        for group in stored["groups"]:
            self._group({**group, "is_organization": False, "created": organization["created"]}, found)
            found["member"].append((_id(), id_, group["id"], "active", "package", "public"))
        given = {
            **stored, "version": "", "url": "", "type": "dataset",
            "extras": {extra["key"]: extra["value"] for extra in stored["extras"]},
            "metadata_created": _moment(stored["metadata_created"]),
            "metadata_modified": _moment(stored["metadata_modified"]),
        }
        found["package"].append(tuple(given[name] for name in COLUMNS["package"].split()))
        access = "open" if shown["open_attribute"] == "unconditional" else "restricted"
        for resource in stored["resources"]:
            extras = {"govopen_access": access, **({"datastore_active": True} if resource["datastore_active"] else {})}
            row = {
                **resource, "url_type": None, "extras": json.dumps(extras), "created": _moment(resource["created"]),
                "last_modified": _moment(resource["last_modified"]),
            }
            if access == "restricted":
                row["url"] = self._apply + row["id"]
            found["resource"].append(tuple(row[name] for name in COLUMNS["resource"].split()))
        for tag in stored["tags"]:
            name = tag["name"]
            if name not in self._tags:
                self._tags[name] = _id()
                found["tag"].append((self._tags[name], name))
            found["package_tag"].append((_id(), id_, self._tags[name], "active"))

    def _group(self, group: dict[str, Any], found: dict[str, list[tuple[Any, ...]]]) -> None:
        if group["id"] in self._groups:
            return
        self._groups.add(group["id"])
        kind = "organization" if group["is_organization"] else "group"
        found["group"].append((
            group["id"], group["name"], group["title"], group.get("description") or "", _moment(group["created"]),
            "active", kind, group["is_organization"], "approved", "",
        ))


def _id() -> str:
    return str(uuid.uuid4())


def _moment(text: str) -> datetime:
    """As CKAN keeps it: universal time without saying so."""
    return datetime.fromisoformat(text).replace(tzinfo=None)
