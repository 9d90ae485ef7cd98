"""Operators' products: which source may report which events on which grants. What is not named is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from authz import Conflict, NotFound, new_id, organisations_where
from billing.acting import Act
from billing.licences import reportable_grants
from billing.usage.cloudevents import CANCELLED, CORRECTED, Fault
from billing.usage.model import UsageEvent

MANAGE = "usage:product"
REPORT = "usage:report"
AHEAD = timedelta(minutes=5)
"""How far a sender's clock may be ahead of ours."""


class SourceTaken(Conflict):
    code = "usage_source_taken"
    zh = "来源 {source} 已被登记。"
    en = "The source {source} is already registered."
    next_zh = "请使用本单位自己的网址作为来源，例如 https://单位域名/产品名。"
    next_en = "Use an address of your own as the source, such as https://your-domain/product."


@dataclass(frozen=True)
class Product:
    id: str
    party_id: str
    source: str
    title: str
    types: tuple[str, ...]
    grants: tuple[str, ...]
    created_at: datetime
    retired_at: datetime | None

    def as_document(self) -> dict[str, Any]:
        return {
            "id": self.id, "party_id": self.party_id, "source": self.source, "title": self.title,
            "types": list(self.types), "grants": list(self.grants), "created_at": self.created_at.isoformat(),
            "retired_at": self.retired_at.isoformat() if self.retired_at else None,
        }


@dataclass(frozen=True)
class NewProduct:
    party_id: str
    source: str
    title: str
    types: tuple[str, ...]
    grants: tuple[str, ...]


SELECT = """
SELECT p.id, p.party_id, p.source, p.title, p.types, p.created_at, p.retired_at,
    array(SELECT g.grant_id FROM billing.usage_product_grant g WHERE g.product_id = p.id ORDER BY 1) AS grants
FROM billing.usage_product p
"""


def _product(row: asyncpg.Record) -> Product:
    return Product(**{**dict(row), "types": tuple(row["types"]), "grants": tuple(row["grants"])})


async def register(act: Act, given: NewProduct) -> Product:
    """Register a product of a party for some of that party's own grants. Raises SourceTaken, NotFound."""
    act.require_sight("grant:view", given.party_id)
    act.require(MANAGE, given.party_id)
    await _require_own(act, given.party_id, given.grants)
    product_id = new_id("prd")
    made = await act.tx.fetchval(
        "INSERT INTO billing.usage_product (id, party_id, source, title, types, created_by, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (source) DO NOTHING RETURNING id",
        product_id, given.party_id, given.source, given.title, list(given.types), act.who.user_id, act.now,
    )
    if made is None:
        raise SourceTaken(source=given.source)
    await _link(act, product_id, given.grants)
    await act.record(
        "product.registered", product_id, organisation_id=given.party_id,
        details={"source": given.source, "types": list(given.types), "grants": list(given.grants)},
    )
    return await find(act.tx, product_id)


async def _require_own(act: Act, party_id: str, grant_ids: Sequence[str]) -> None:
    own = {one.id for one in await reportable_grants(act.tx, grant_ids) if one.party_id == party_id}
    if not own.issuperset(grant_ids):
        raise NotFound


async def _link(act: Act, product_id: str, grant_ids: Sequence[str]) -> None:
    await act.tx.execute(
        "INSERT INTO billing.usage_product_grant SELECT $1, g FROM unnest($2::text[]) AS g ON CONFLICT DO NOTHING",
        product_id, list(grant_ids),
    )


async def find(tx: asyncpg.Connection, product_id: str) -> Product:
    """The product; raises NotFound."""
    row = await tx.fetchrow(f"{SELECT} WHERE p.id = $1", product_id)
    if row is None:
        raise NotFound
    return _product(row)


async def change(act: Act, product_id: str, grants: Sequence[str] | None, *, retire: bool) -> Product:
    """Replace the grants that a product may report on, or retire it; its source stays taken."""
    product = await find(act.tx, product_id)
    act.require_sight("grant:view", product.party_id)
    act.require(MANAGE, product.party_id)
    if grants is not None:
        await _require_own(act, product.party_id, grants)
        await act.tx.execute("DELETE FROM billing.usage_product_grant WHERE product_id = $1", product_id)
        await _link(act, product_id, grants)
    if retire:
        await act.tx.execute(
            "UPDATE billing.usage_product SET retired_at = coalesce(retired_at, $2) WHERE id = $1", product_id, act.now
        )
    await act.record(
        "product.retired" if retire else "product.changed", product_id, organisation_id=product.party_id,
        details={"grants": list(grants) if grants is not None else list(product.grants)},
    )
    return await find(act.tx, product_id)


async def listed(act: Act, limit: int, after: str | None) -> list[Product]:
    """Products of the parties whose grants the caller may see."""
    allowed = organisations_where(act.who, "grant:view")
    rows = await act.tx.fetch(
        f"{SELECT} WHERE ($1::text[] IS NULL OR p.party_id = ANY($1)) AND ($2::text IS NULL OR p.id > $2)"
        " ORDER BY p.id LIMIT $3",
        None if allowed is None else list(allowed), after, limit,
    )
    return [_product(row) for row in rows]


@dataclass(frozen=True)
class Reporter:
    """Who sends events: a person of some parties (None: of all), or a key that opens one grant."""

    name: str
    parties: frozenset[str]
    grant_id: str | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """What one source may report on one grant."""

    types: frozenset[str]
    resource_id: str
    starts_at: datetime
    ends_at: datetime
    party_id: str


Permits = Mapping[tuple[str, str], Permit]
"""By (source, grant)."""


async def permits(tx: asyncpg.Connection, reporter: Reporter, pairs: Collection[tuple[str, str]]) -> Permits:
    """Of the pairs of source and grant those that the reporter may report on."""
    wanted = sorted(pairs)
    rows = await tx.fetch(
        """
        SELECT p.source, p.party_id, p.types, g.grant_id
        FROM unnest($1::text[], $2::text[]) AS k (source, grant_id)
        JOIN billing.usage_product p ON p.source = k.source
        JOIN billing.usage_product_grant g ON g.product_id = p.id AND g.grant_id = k.grant_id
        WHERE p.retired_at IS NULL
        """,
        [source for source, _ in wanted], [grant for _, grant in wanted],
    )
    allowed, own = reporter.parties, reporter.grant_id
    rows = [row for row in rows if row["party_id"] in allowed and own in (None, row["grant_id"])]
    known = {one.id: one for one in await reportable_grants(tx, sorted({row["grant_id"] for row in rows}))}
    return {
        (row["source"], row["grant_id"]): Permit(
            frozenset(row["types"]), grant.resource_id, grant.starts_at, grant.ends_at, grant.party_id
        )
        for row in rows
        if (grant := known.get(row["grant_id"])) is not None and grant.party_id == row["party_id"]
    }


NOT_PERMITTED = Fault(
    "subject", "usage_not_permitted", "未登记该来源可就该授权报送此类事件",
    "this source is not registered to report such events on this grant",
)


def check(event: UsageEvent, known: Permits, now: datetime) -> Permit | Fault:
    """Whether the reporter may report this event. What exists but is another's looks like what does not exist."""
    permit = known.get((event.source, event.subject))
    kind, at = event.type, event.time
    correction = kind in (CORRECTED, CANCELLED)
    if permit is None or not (correction or kind in permit.types):
        return NOT_PERMITTED
    if at > now and at > now + AHEAD:
        return Fault("time", "time_in_future", "时间晚于当前时间", "is in the future")
    if not correction and not permit.starts_at <= at < permit.ends_at:
        return Fault("time", "grant_not_valid_then", "该时间不在授权有效期内", "lies outside the term of the grant")
    if correction and event.corrects and event.corrects[0] != event.source:
        return Fault("data.source", "usage_not_permitted", "只能更正同一来源的事件", "must be the same source")
    return permit
