"""Asking the database what may be told: conditions that set too few apart fall away, near sets are those told before.

Nothing here is refused, or left out, because a few records are there: that would tell of them. Whether none or a few
make the difference, the answer is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from authz import InvalidInput
from ops.analysis.compile import AnalysisSql, Statement
from ops.analysis.disclosure import Row, shown
from ops.analysis.entry import Admitted
from ops.analysis.limits import AnalysisLimits
from ops.analysis.nearness import Asker, RecordSet, alone, in_group, keep, seed_of, told_near, union
from ops.analysis.query import AnalysisQuery, Condition
from ops.analysis.refusals import QueryNotAllowed, TooFewRows, TooNear
from ops.delivery.parts import DeliveryParts

GROUPS_MAX = 100_000
NEAR_MAX = 200
"""Groups of one answer that may be looked at anew because they are near to sets that were told."""


@dataclass(frozen=True)
class Question:
    """One query of one party over what its grant lets it see, on a connection that sees one state of the data."""

    connection: Any
    admitted: Admitted
    query: AnalysisQuery
    limits: AnalysisLimits

    def sql(self, query: AnalysisQuery) -> AnalysisSql:
        return AnalysisSql(self.admitted.obligations, self.admitted.data, self.admitted.grant.salt, query)

    @property
    def seeds(self) -> tuple[int, int]:
        """Of the noise, which is the grant's own, and of sketches, which are the data's."""
        digest = hashlib.sha256(f"analysis\0{self.admitted.grant.salt}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True), seed_of(self.admitted.data.resource_id)

    async def fetch(self, statement: Statement) -> list[dict[str, Any]]:
        found = await self.connection.fetch(statement.sql, *statement.params)
        if len(found) > GROUPS_MAX:
            zh, en = f"分组超过 {GROUPS_MAX:,} 个", f"there are more than {GROUPS_MAX:,} groups"
            raise QueryNotAllowed(what_zh=zh, what_en=en)
        return [dict(row) for row in found]

    async def rows(self, query: AnalysisQuery) -> list[dict[str, Any]]:
        return await self.fetch(self.sql(query).groups(*self.seeds))

    async def reduced(self) -> tuple[AnalysisQuery, int]:
        """The query without the conditions that set fewer records apart than the floor; the state of the data.

        One at a time, the last first, for two may set apart the same. Raises TooFewRows.
        """
        query = self.query
        while True:
            (sizes,) = await self.fetch(self.sql(query).sizes(self.seeds[1]))
            matched = int(sizes["matched"])
            if matched < self.limits.floor:
                raise TooFewRows(floor=self.limits.floor)
            idle = [
                place for place in range(len(query.conditions))
                if int(sizes[f"without_{place}"]) - matched < self.limits.floor
            ]
            if not idle:
                return query, int(sizes["state"])
            kept = tuple(one for place, one in enumerate(query.conditions) if place != idle[-1])
            query = replace(query, conditions=kept)


async def tellable(
    parts: DeliveryParts, question: Question, query_id: str
) -> tuple[list[Row], int]:
    """The groups that may be told, each with its rank, and of how many; kept as told before they are."""
    query, state = await question.reduced()
    asker = Asker(question.admitted.grant.party_id, question.admitted.data.resource_id, state)
    async with parts.runtime.transaction() as tx:
        await alone(tx, asker)
        query, rows, whole = await _whole(tx, asker, question, query)
        visible = shown(rows, question.limits)
        sets = [RecordSet.of(one, (*query.conditions, *in_group(query.groups, one))) for one in visible]
        near = await told_near(tx, asker, sets, question.limits.floor)
        if len(near) > NEAR_MAX:
            raise TooNear(floor=question.limits.floor)
        for place, conditions in near.items():
            visible[place] = await _as_told(question, query, visible[place], conditions)
            sets[place] = RecordSet.of(visible[place], conditions)
        ranks = await keep(tx, asker, query_id, [whole, *sets], parts.runtime.clock.now())
    return [{**one, "rank": rank} for one, rank in zip(visible, ranks[1:], strict=True)], len(rows)


async def _whole(
    tx: asyncpg.Connection, asker: Asker, question: Question, query: AnalysisQuery
) -> tuple[AnalysisQuery, list[dict[str, Any]], RecordSet]:
    """The query, or one under the conditions of a set that was told and is near; its groups, and all their records."""
    rows = await question.rows(query)
    whole = union([RecordSet.of(one, ()) for one in rows], query.conditions)
    near = await told_near(tx, asker, [whole], question.limits.floor)
    if not near:
        return query, rows, whole
    query = replace(query, conditions=near[0])
    rows = await _under(question, query)
    whole = union([RecordSet.of(one, ()) for one in rows], query.conditions)
    if await told_near(tx, asker, [whole], question.limits.floor):
        raise TooNear(floor=question.limits.floor)  # under another grant the conditions are those of another set
    return query, rows, whole


async def _under(question: Question, query: AnalysisQuery) -> list[dict[str, Any]]:
    """Groups under conditions of an earlier question; TooNear where this grant cannot ask it."""
    try:
        return await question.rows(query)
    except (InvalidInput, QueryNotAllowed) as fault:
        raise TooNear(floor=question.limits.floor) from fault


async def _as_told(
    question: Question, query: AnalysisQuery, row: Mapping[str, Any], conditions: tuple[Condition, ...]
) -> dict[str, Any]:
    """The group with the figures of the set that was told."""
    (told,) = await _under(question, replace(query, groups=(), conditions=conditions))
    return {**{f"g{n}": row[f"g{n}"] for n in range(len(query.groups))}, **told}
