"""A city in which everything private carries a canary: rows, places, keys, papers, bills."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import asyncpg

from authz import AuditEntry, DataObject, DecisionRequest, Runtime, new_id, objects
from authz.decision_log import facts_of
from ops import testing
from ops.leaks.canaries import Book
from ops.leaks.viewers import ATTRIBUTES
from ops.testing import Granted

MONTH = date(2026, 11, 1)
REGION = "330100"

FIELDS: Sequence[Mapping[str, Any]] = (
    {"name": "region", "title": "区划", "type": "text"},
    {"name": "firm", "title": "企业名称", "type": "text"},
    {"name": "person", "title": "联系人", "type": "text", "mask": "partial:name"},
    {"name": "digest", "title": "证照号", "type": "text"},
    {"name": "income", "title": "收入", "type": "integer"},
    {"name": "extra", "title": "未授权字段", "type": "text"},
    {"name": "note", "title": "监管备注", "type": "text", "open_attribute": "closed", "grade": "general-3"},
)
SQL = {
    "region": "text",
    "firm": "text",
    "person": "text",
    "digest": "text",
    "income": "numeric",
    "extra": "text",
    "note": "text",
}
GRANTED = ("region", "firm", "person", "digest", "income")
MASKS = {"digest": "hash", "income": "generalise_number:100000000000"}


@dataclass
class City:
    """What was planted, by the names of viewers and open attributes."""

    book: Book
    organisation_id: str
    objects: dict[str, DataObject] = field(default_factory=dict)
    grants: dict[tuple[str, str], Granted] = field(default_factory=dict)
    ids: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """(kind, viewer, attribute) -> id."""

    def id_of(self, kind: str, viewer: str, attribute: str) -> str:
        return (
            self.ids.get((kind, viewer, attribute))
            or self.ids.get((kind, viewer, ""))
            or self.ids.get((kind, "", ""))
            or f"{kind}_none"
        )


def party_of(viewer: str) -> str:
    return f"pty_leak_{viewer}"


def rows_of(book: Book, attribute: str) -> list[tuple[Any, ...]]:
    """Rows enough to be a crowd, and one in it, and one outside the grants' region, that carry canaries."""
    rows: list[tuple[Any, ...]] = [(REGION, f"企业{n}", f"王{n}", f"D{n}", 1_000_000 + n, "-", "-") for n in range(40)]
    reader = ("live",) if attribute == "conditional" else ()
    for where, region, may in (("inside", REGION, reader), ("outside", "440100", ())):

        def made(name: str, *may_know: str, where: str = where, digits: bool = False) -> str:
            return book.plant(f"row.{attribute}.{where}.{name}", *may_know, digits=digits)

        rows.append(
            (
                region,
                made("firm", *may),
                made("person"),
                made("digest"),
                int(made("income", digits=True)),
                made("extra"),
                made("note"),
            )
        )
    return rows


async def publish(runtime: Runtime, city: City, resource_ids: Mapping[str, str] | None = None) -> None:
    """The three objects, as a catalogue would have told of them; an open one has a closed field nonetheless."""
    named = resource_ids or {}
    for attribute in ATTRIBUTES:
        grade = {"unconditional": "general-1", "conditional": "general-3", "closed": "general-4"}[attribute]
        city.objects[attribute] = await testing.publish(
            runtime,
            testing.data_object(
                named.get(attribute) or new_id("res"),
                FIELDS,
                open_attribute=attribute,
                grade=grade,
                organisation_id=city.organisation_id,
                refuse_reason="依法不予开放" if attribute == "closed" else "",
            ),
        )


async def load(runtime: Runtime, city: City, attribute: str) -> None:
    """Rows behind an object: an open one's in the DataStore's place, another's in a restricted table."""
    data = city.objects[attribute]
    rows = rows_of(city.book, attribute)
    if attribute == "unconditional":
        open_row = ("open", *["open"] * 3, 1, "open", city.book.plant("row.unconditional.note"))
        await testing.fill_table(runtime.pool, "public", data.resource_id, SQL, [open_row])
        return
    table = f"r_{new_id('t')[2:]}"
    city.book.watch(f"location.{attribute}", table)
    await testing.fill_table(runtime.pool, "restricted", table, SQL, rows, key="_row")
    async with runtime.transaction() as tx:
        place = {"kind": "restricted", "schema": "restricted", "table": table}
        city.objects[attribute] = await objects.set_location(tx, data.resource_id, place)
        await insert(
            tx,
            "ops.restricted_load",
            id=new_id("lod"),
            resource_id=data.resource_id,
            version=1,
            table_name=table,
            state="current",
            rows=len(rows),
            bytes=1,
            sha256=b"0" * 32,
            format="csv",
            columns=[],
            loaded_by=city.book.plant(f"load.{attribute}.by", "owner"),
            loaded_at=runtime.clock.now(),
        )


async def insert(tx: asyncpg.Connection, table: str, **values: Any) -> None:
    """One row as it is, past every trigger: these rows are planted, not lived."""
    await tx.execute("SET LOCAL session_replication_role = replica")
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    names = ", ".join(f'"{name}"' for name in values)
    await tx.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", *values.values())


async def update(tx: asyncpg.Connection, table: str, key: str, **values: Any) -> None:
    await tx.execute("SET LOCAL session_replication_role = replica")
    sets = ", ".join(f"{name} = ${n}" for n, name in enumerate(values, 2))
    await tx.execute(f"UPDATE {table} SET {sets} WHERE id = $1", key, *values.values())


async def grant(runtime: Runtime, city: City, viewer: str, attribute: str) -> None:
    """A grant of one viewer on one object with its papers, in the state that the viewer's name says."""
    book, data, label = city.book, city.objects[attribute], f"{viewer}.{attribute}"
    both = (viewer, "owner")
    issued = await testing.issue_grant(
        runtime,
        data,
        GRANTED,
        party_id=party_of(viewer),
        masks=MASKS,
        row_filter=[{"field": "region", "op": "eq", "value": REGION}],
        quota={"rows_month": 1} if viewer == "over_quota" else {},
        delivery=("api", "download", "verify", "analysis"),
    )
    city.grants[viewer, attribute] = issued
    _, secret = issued.key.removeprefix("gok_").split("_")
    book.watch(f"key.{label}", secret)
    book.watch(f"key.{label}.digest", hashlib.sha256(secret.encode()).hexdigest())
    async with runtime.transaction() as tx:
        row = await tx.fetchrow("SELECT * FROM licensing.access_grant WHERE id = $1", issued.id)
        if row is None:
            raise LookupError(issued.id)
        city.ids["grant", viewer, attribute] = issued.id
        city.ids["application", viewer, attribute] = row["application_id"]
        city.ids["agreement", viewer, attribute] = row["agreement_id"]
        city.ids["key", viewer, attribute] = await tx.fetchval(
            "SELECT id FROM licensing.access_key WHERE grant_id = $1", issued.id
        )
        state = viewer if viewer in ("expired", "revoked", "suspended") else "active"
        await update(
            tx,
            "licensing.access_grant",
            issued.id,
            state=state,
            salt=book.plant(f"salt.{label}"),
            state_reason=book.plant(f"grant.{label}.reason", *both),
            number=book.plant(f"grant.{label}.number", *both),
        )
        await update(
            tx,
            "licensing.application",
            row["application_id"],
            purpose_text=book.plant(f"application.{label}", *both),
            submitted_at=runtime.clock.now(),
            object=_snapshot(data),
            number=book.plant(f"application.{label}.number", *both),
            price_proposal={
                "pricing": {},
                "note": book.plant(f"proposal.{label}", *(("owner",) if attribute in ATTRIBUTES else ())),
            },
        )
        await update(
            tx,
            "licensing.agreement",
            row["agreement_id"],
            text=book.plant(f"agreement.{label}", *both),
            terms=_terms(data, book.plant(f"agreement.{label}.terms", *both)),
        )
        await update(
            tx,
            "licensing.access_key",
            city.ids["key", viewer, attribute],
            label=book.plant(f"key.{label}.label", *both),
        )
        for kind, event, at in (
            ("application", "edit", "draft"),
            ("agreement", "sign", "drafted"),
            ("grant", "suspend", "active"),
        ):
            await insert(
                tx,
                "licensing.transition",
                object_kind=kind,
                object_id=city.ids[kind, viewer, attribute],
                version=1,
                at=runtime.clock.now(),
                actor_id="x",
                actor_name="x",
                event=event,
                from_state=at,
                to_state=at,
                reason=book.plant(f"history.{kind}.{label}", *both),
            )
        await _used(tx, runtime, city, viewer, attribute, issued.id)


def _snapshot(data: DataObject) -> dict[str, Any]:
    document = data.as_document()
    names = ("resource_id", "dataset_name", "dataset_title", "title", "organisation_id", "organisation_name")
    return {**{name: document[name] for name in names}, "version": data.version}


def _terms(data: DataObject, purpose: str) -> dict[str, Any]:
    return {
        "party": {"id": "x", "name": "某公司", "uscc": None},
        "object": _snapshot(data),
        "purpose": {"class": "industry", "code": testing.PURPOSE, "text": purpose, "scenario": "信贷风控"},
        "manner": {"delivery": ["api"]},
        "security_duties": [],
        "price": {"pricing": None, "use_class": "industry"},
        "scope": {
            "columns": list(GRANTED),
            "titles": {},
            "refused": {},
            "masks": {},
            "row_filter": [],
            "term_months": 12,
            "quota": {},
        },
    }


async def _used(
    tx: asyncpg.Connection, runtime: Runtime, city: City, viewer: str, attribute: str, grant_id: str
) -> None:
    book, data, label = city.book, city.objects[attribute], f"{viewer}.{attribute}"
    now = runtime.clock.now()
    await insert(tx, "billing.usage_counter", grant_id=grant_id, span="month", starts_on=MONTH, calls=1, rows=1)
    await insert(
        tx,
        "analysis.query",
        id=(query := new_id("ana")),
        at=now,
        day=now.date(),
        grant_id=grant_id,
        resource_id=data.resource_id,
        purpose="x",
        sql=book.plant(f"analysis.{label}", *((viewer, "owner") if attribute in ATTRIBUTES else ())),
    )
    await insert(tx, "analysis.outcome", query_id=query, at=now, groups=1, withheld=0, answer={})
    city.ids["decision", viewer, attribute] = str(await _decision(tx, runtime, city, viewer, attribute))
    await runtime.audit.append(
        tx,
        AuditEntry(
            "grant.changed", "x", "grant", grant_id, data.organisation_id, reason=book.plant(f"audit.{label}", "owner")
        ),
    )


async def _decision(tx: asyncpg.Connection, runtime: Runtime, city: City, viewer: str, attribute: str) -> int:
    """A line of the decision log."""
    digest, facts = facts_of(DecisionRequest("public", "", city.objects[attribute], runtime.clock.now()))
    await tx.execute(
        "INSERT INTO authz.decision_facts VALUES ($1, $2::text::jsonb) ON CONFLICT DO NOTHING", digest, facts
    )
    number: int = await tx.fetchval(
        "INSERT INTO authz.decision_log (at, request_id, subject_kind, subject_id, action, channel, resource_id,"
        " grant_id, effect, reasons, policy_version, facts_digest)"
        " VALUES ($1, 'x', 'grant', $2, 'read', 'api', $3, $4, 'permit', '{}', 'x', $5) RETURNING id",
        runtime.clock.now(),
        city.book.plant(f"decision.{viewer}.{attribute}", viewer, "owner"),
        city.objects[attribute].resource_id,
        city.ids["grant", viewer, attribute],
        digest,
    )
    return number
