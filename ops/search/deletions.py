"""Deletions that meant more than the serving index held, kept while a rebuild is under way.

The serving index need not hold what a query or a key means: a write of it may have been refused, while the rebuild has
it from CKAN's database. Each such deletion is kept with its sequence number in the serving generation's store, in the
transaction of the deletion itself, until the rebuild has made up for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tantivy import Query, Schema

from ops.search import lucene
from ops.search.compile import Compiler


@dataclass(frozen=True, slots=True)
class ByQuery:
    """A query whose hits are deleted; ``asked`` is what NOW means in it."""

    text: str
    asked: datetime

    def compiled(self, schema: Schema, searcher: Any) -> Query:
        node = lucene.parse(self.text, conjunction=False)
        return Compiler(schema, searcher, self.asked, conjunction=False).query(node)


def written(keys: list[str], query: ByQuery | None) -> str:
    """A deletion as it is kept."""
    return json.dumps({"keys": keys} if query is None else {"query": query.text, "asked": query.asked.isoformat()})


def read(text: str) -> list[str] | ByQuery:
    """Keys, or the query: what ``written`` wrote."""
    kept = json.loads(text)
    if "query" not in kept:
        return [str(key) for key in kept["keys"]]
    return ByQuery(kept["query"], datetime.fromisoformat(kept["asked"]))
