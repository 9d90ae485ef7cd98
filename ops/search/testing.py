"""Builders for tests of the search service: documents like CKAN's, and an engine to ask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.search.documents import prepare
from ops.search.engine import Change, Engine
from ops.search.select import Select

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SITE = "test.govopen"
CKAN_DISMAX = {
    "defType": "dismax", "qf": "name^4 title^4 tags^2 groups^2 text", "mm": "2<-1 5<80%", "tie": "0.1",
}
"""What CKAN sends with a query that names no field."""


def dataset(name: str, **values: Any) -> dict[str, Any]:
    """A document as CKAN's indexer sends it."""
    document: dict[str, Any] = {
        "id": f"id-{name}", "name": name, "title": name, "site_id": SITE, "state": "active",
        "entity_type": "package", "dataset_type": "dataset", "capacity": "public", "permission_labels": ["public"],
        "metadata_created": "2026-01-01T00:00:00Z", "metadata_modified": "2026-01-02T00:00:00Z",
        "data_dict": f'{{"name": "{name}"}}', "validated_data_dict": f'{{"name": "{name}", "valid": true}}',
        **values,
    }
    document.setdefault("title_string", document["title"])
    document["index_id"] = hashlib.md5(f"{document['id']}{SITE}".encode(), usedforsecurity=False).hexdigest()
    return document


class Catalogue:
    """An engine with short words for what tests do."""

    def __init__(self, home: Path) -> None:
        self.engine = Engine(home, clock=lambda: NOW)

    def add(self, *documents: dict[str, Any], commit: bool = True) -> None:
        puts = [prepare(document, NOW) for document in documents]
        self.engine.submit([Change(puts=puts)], commit=commit).result(30)

    def delete(self, *names: str) -> None:
        keys = [str(dataset(name)["index_id"]) for name in names]
        self.engine.submit([Change(keys=keys)], commit=True).result(30)

    def answer(self, q: str = "*:*", **parameters: str | Iterable[str]) -> dict[str, Any]:
        """The whole answer; ``facet_field`` stands for ``facet.field``."""
        asked = {"q": q, "q.op": "AND", "df": "text", **{name.replace("__", "."): v for name, v in parameters.items()}}
        return Select(
            self.engine, {name: [value] if isinstance(value, str) else list(value) for name, value in asked.items()}
        ).answer()

    def names(self, q: str = "*:*", **parameters: str | Iterable[str]) -> list[str]:
        """Names of the hits in order."""
        found = self.answer(q, **{"fl": "name", "rows": "1000", **parameters})
        return [document["name"] for document in found["response"]["docs"]]

    def typed(self, q: str, **parameters: str | Iterable[str]) -> list[str]:
        """Names of what CKAN finds when a person types ``q``."""
        return self.names(q, **{**CKAN_DISMAX, **parameters})

    def facet(self, field: str, q: str = "*:*", **parameters: str | Iterable[str]) -> list[Any]:
        options = {"facet": "true", "facet.field": field, "facet.mincount": "1", "rows": "0", **parameters}
        counts: list[Any] = self.answer(q, **options)["facet_counts"]["facet_fields"][field]
        return counts

    def close(self) -> None:
        self.engine.close()
