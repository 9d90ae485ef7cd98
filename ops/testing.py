"""Builders for tests: data objects with rows, open and restricted, and grants with keys, without the paperwork."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from authz import Call, DataObject, GrantState, Identity, Role, Runtime, new_id, objects
from authz.obligations import WrittenText, quoted
from authz.obligations.values import SQL_TYPES
from licensing import grants
from licensing.grants import keys, store
from ops.delivery.loading import service as loading
from ops.delivery.loading.made import definition, texts_worth_keeping

PUBLISHER = Identity("user-publisher", "publisher", "publisher")
ORGANISATION = "org-market"
PARTY = "pty_test"
PURPOSE = "lending_risk_control"


@dataclass(frozen=True)
class Granted:
    """A grant that was issued for a test, and the text of its key."""

    id: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def call_by(identity: Identity, runtime: Runtime) -> Call:
    return Call(identity, runtime.clock.now(), new_id("req"))


def data_object(
    resource_id: str, fields: Iterable[Mapping[str, Any]], *, open_attribute: str = "conditional",
    grade: str = "general-3", **more: Any,
) -> DataObject:
    """A data object of the test organisation."""
    document = {
        "resource_id": resource_id, "dataset_id": f"ds-{resource_id}", "dataset_name": f"ds-{resource_id}",
        "dataset_title": "企业登记信息", "title": "企业登记信息", "organisation_id": ORGANISATION,
        "organisation_name": "市市场监督管理局", "open_attribute": open_attribute, "grade": grade,
        "fields": list(fields), **more,
    }
    return DataObject.from_document(document)


async def publish(runtime: Runtime, data: DataObject) -> DataObject:
    async with runtime.transaction() as tx:
        return await objects.put(tx, runtime.audit, call_by(PUBLISHER, runtime), data)


async def fill_table(
    pool: asyncpg.Pool, schema: str, table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]], *,
    key: str = "_id", texts: Sequence[WrittenText] = (),
) -> None:
    """A table with an identity key and the given columns (name to SQL type), and ``texts`` made of them."""
    place = f"{quoted(schema)}.{quoted(table)}"
    async with pool.acquire() as connection:
        await connection.execute(f"CREATE TABLE {place} ({definition(list(columns.items()), texts, key=key)})")
        await connection.copy_records_to_table(table, schema_name=schema, columns=list(columns), records=rows)
        await connection.execute(f"ANALYZE {place}")


async def load_restricted(
    runtime: Runtime, data: DataObject, columns: Mapping[str, str], rows: Iterable[Sequence[Any]], *,
    written: bool = True,
) -> DataObject:
    """Publish the object and put rows behind it, with finished JSON of its fields (if ``written``) as a load does."""
    await publish(runtime, data)
    table = f"r_{new_id('t')[2:]}"
    fields = [one for one in data.fields if columns.get(one.name) == SQL_TYPES.get(one.type)]
    async with runtime.pool.acquire() as connection:
        server = connection.get_server_version().major
    texts = texts_worth_keeping(fields, 0, server) if written else []
    await fill_table(runtime.pool, "restricted", table, columns, rows, key="_row", texts=texts)
    async with runtime.transaction() as tx:
        return await objects.set_location(
            tx, data.resource_id, {"kind": "restricted", "schema": "restricted", "table": table}
        )


async def load_file(runtime: Runtime, data: DataObject, rows: Iterable[Sequence[Any]]) -> DataObject:
    """Publish the object and load a CSV file of these rows, as a department does."""
    await publish(runtime, data)
    text = io.StringIO(newline="")
    csv.writer(text).writerows([[one.name for one in data.fields], *rows])

    async def blocks() -> AsyncIterator[bytes]:
        yield text.getvalue().encode()

    call = call_by(replace(PUBLISHER, roles=frozenset({(Role.PUBLISHER, data.organisation_id)})), runtime)
    with loading.temporary_folder() as folder:
        upload = await loading.receive(blocks(), Path(folder))
        wanted = await loading.may_load(runtime, call, data.resource_id)
        await loading.replace(runtime, call, wanted, upload, Path(folder))
    async with runtime.transaction() as tx:
        loaded = await objects.get(tx, data.resource_id)
    assert loaded is not None
    return loaded


async def make_party(tx: asyncpg.Connection, party_id: str, runtime: Runtime) -> None:
    await tx.execute(
        "INSERT INTO licensing.party (id, kind, name, uscc, state, created_by, created_by_name, created_at)"
        " VALUES ($1, 'enterprise', '某科技有限公司', $1, 'verified', 'test', 'test', $2) ON CONFLICT DO NOTHING",
        party_id, runtime.clock.now(),
    )


async def issue_grant(
    runtime: Runtime, data: DataObject, columns: Sequence[str], *, party_id: str = PARTY,
    masks: Mapping[str, str] | None = None, row_filter: Sequence[Mapping[str, Any]] = (),
    quota: Mapping[str, int] | None = None, purpose: str = PURPOSE, days: int = 365, delivery: Sequence[str] = ("api",),
    scopes: Sequence[str] = keys.SCOPES_USUAL, ip_allow: Sequence[str] = (),
) -> Granted:
    """A grant in force and a key of it, as an application and an agreement would have led to."""
    now = runtime.clock.now()
    application, agreement, prefix = new_id("app"), new_id("agr"), keys._random(keys.PREFIX_DIGITS)
    secret = keys._random(keys.SECRET_DIGITS)
    grant = grants.Grant(
        id=new_id("gra"), number=new_id("QX"), version=1, state=GrantState.ACTIVE, state_reason=None,
        party_id=party_id, resource_id=data.resource_id, organisation_id=data.organisation_id,
        object=data.as_document(), application_id=application, agreement_id=agreement, columns=tuple(columns),
        masks=masks or {}, row_filter=tuple(row_filter), purpose_class="industry", purpose=purpose,
        scenario="信贷风控", delivery=tuple(delivery), quota=quota or {}, price={}, valid_from=now,
        valid_until=now + timedelta(days=days), created_at=now, salt="a" * 64,
    )
    async with runtime.transaction() as tx:
        await make_party(tx, party_id, runtime)
        await tx.execute(
            "INSERT INTO licensing.application (id, number, state, party_id, resource_id, organisation_id, object,"
            " fields, purpose_class, purpose, purpose_text, scenario, term_months, delivery, expected_rows_month,"
            " created_by, created_by_name, created_at) VALUES ($1, $1, 'granted', $2, $3, $4, '{}'::jsonb, '[]'::jsonb,"
            " 'industry', $5, 'test', 'test', 12, '[\"api\"]'::jsonb, 1, 'test', 'test', $6)",
            application, party_id, data.resource_id, data.organisation_id, purpose, now,
        )
        await tx.execute(
            "INSERT INTO licensing.agreement (id, number, state, application_id, party_id, organisation_id, terms,"
            " text, sha256, created_at) VALUES ($1, $1, 'in_force', $2, $3, $4, '{}'::jsonb, '', '', $5)",
            agreement, application, party_id, data.organisation_id, now,
        )
        await store.insert(tx, grant)
        await tx.execute(
            "INSERT INTO licensing.access_key (id, grant_id, label, prefix, secret_sha256, created_by,"
            " created_by_name, created_at, scopes, ip_allow)"
            " VALUES ($1, $2, 'test', $3, $4, 'test', 'test', $5, $6, $7)",
            new_id("key"), grant.id, prefix, keys._digest(secret), now, list(scopes), list(ip_allow),
        )
    return Granted(grant.id, f"gok_{prefix}_{secret}")


async def set_grant_state(runtime: Runtime, grant_id: str, state: str) -> None:
    """Change the state as the lifecycle would; running deliveries hear of it by the table's trigger."""
    await runtime.pool.execute("UPDATE licensing.access_grant SET state = $2 WHERE id = $1", grant_id, state)
