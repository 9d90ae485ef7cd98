"""Lookups by key: up to 1,000 values of one field in a call, what was found and what was not.

The same path as every delivery: decided, masked, filtered, recorded before it is answered. A masked field is compared
as the mask shows it, so a lookup tells no more than a download would.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import asyncpg
import orjson
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr
from starlette.requests import Request

from authz import Body, FieldError, InvalidInput, RowFilter, beijing_date
from authz.obligations import CompiledQuery, quoted
from authz.obligations.values import SQL_TYPES, ValueUnfit, typed
from billing.usage import Served
from ops.delivery import service
from ops.delivery.connections import acquired
from ops.delivery.parts import DeliveryParts
from ops.delivery.query import PURPOSE, DataQuery
from ops.delivery.refusals import DataNotLoaded, KeyInAddress, LookupTooLarge
from ops.delivery.service import Permit

VALUES_MAX = 1_000
ROWS_MAX = 10_000
READ_S = 30.0

Name = Annotated[str, Field(min_length=1, max_length=200)]
Value = StrictStr | StrictInt | StrictFloat | StrictBool


class LookupBody(Body):
    """The field that is the key, the values to look for, and what to show of the rows that have them."""

    key: Name
    values: Annotated[list[Value], Field(min_length=1, max_length=VALUES_MAX)]
    columns: Annotated[list[Name], Field(min_length=1, max_length=500)] | None = None
    purpose: Annotated[str, Field(max_length=64)] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    headers: dict[str, str]


async def look_up(parts: DeliveryParts, request: Request, resource_id: str, body: LookupBody) -> Answer:
    """The rows that have one of the values, in the order of their row key, and the values that no row has.

    Metered as one call, the rows that are shown, and the distinct values that were asked for, found or not. Raises
    what ``service.permit`` raises, InvalidInput for values that do not fit, LookupTooLarge, QuotaExhausted.
    """
    query = _query(body)
    permit = await service.permit(parts, request, resource_id, query, scope="lookup")
    values, wanted = _typed_values(permit, body)
    query = replace(query, columns=query.columns or permit.access.obligations.columns)
    shown = query.columns or ()
    hidden = () if body.key in shown else (body.key,)
    compiled = replace(query, columns=(*shown, *hidden), filters=(RowFilter(body.key, "in", tuple(values)),))
    found = permit.compile(compiled, limit=ROWS_MAX + 1, with_key=True)
    row = await _read(permit, found, shown, body.key)
    rows: int = row["rows"]
    if rows > ROWS_MAX:
        raise LookupTooLarge(limit=ROWS_MAX)
    missing = [values[place - 1] for place in sorted(row["missing"] or ())]
    headers = {**permit.limits, "Cache-Control": "private, no-store" if permit.grant else "no-cache"}
    if found.watermark:
        headers["X-Govopen-Watermark"] = found.watermark
    answer = b'{"items":[%b],"not_found":%b}' % (row["items"] or b"", orjson.dumps(missing))
    if permit.grant is None:
        day = beijing_date(parts.runtime.clock.now())
        parts.recorder.count_open(resource_id, day, rows, len(answer), downloads=0)
        return Answer(answer, headers)
    digests = _digests(permit, body.key, wanted)
    ask = permit.ask(tuple(shown), rows, len(answer), digests)
    await parts.recorder.record(ask, Served(rows, len(answer)))
    return Answer(answer, {**headers, "X-Govopen-Usage-Id": ask.id})


def _query(body: LookupBody) -> DataQuery:
    errors = []
    if any(isinstance(one, str) and one.startswith("gok_") for one in body.values):
        raise KeyInAddress(parameter="values")
    if body.columns is not None and len(set(body.columns)) < len(body.columns):
        errors.append(FieldError("columns", "repeated_name", "字段重复", "names a field twice"))
    if body.purpose is not None and not PURPOSE.fullmatch(body.purpose):
        errors.append(FieldError("purpose", "malformed", "应为用途代码", "must be the code of a purpose"))
    if errors:
        raise InvalidInput(errors)
    return DataQuery(
        format="json", columns=tuple(body.columns) if body.columns else None, purpose=body.purpose,
    )


def _typed_values(permit: Permit, body: LookupBody) -> tuple[list[Value], list[Any]]:
    """The distinct values as they were sent, and as what the caller sees of the field reads them; InvalidInput."""
    field = permit.data.by_name.get(body.key)
    if field is None:
        known = list(permit.data.by_name)
        raise InvalidInput([FieldError(
            "key", "unknown_field", f"没有该字段，可用：{'、'.join(known)}",
            f"is no field; there are {', '.join(known)}",
        )])
    mask = permit.access.obligations.masks.get(body.key)
    rounded = mask is not None and mask.kind == "generalise_number"
    kind = field.type if mask is None else "numeric" if rounded else "text"
    sent: dict[Any, Value] = {}
    errors: list[FieldError] = []
    for place, value in enumerate(body.values):
        try:
            sent.setdefault(typed(value, kind), value)
        except ValueUnfit as fault:
            if len(errors) < 20:
                errors.append(FieldError(f"values.{place}", "value_unfit", fault.zh, fault.en))
    if errors:
        raise InvalidInput(errors)
    return list(sent.values()), list(sent)


def _digests(permit: Permit, key: str, wanted: Sequence[Any]) -> tuple[bytes, ...]:
    """The values under the grant's salt: equal ones are known again, and nothing else can be told from them."""
    assert permit.grant is not None  # noqa: S101 - only metered calls count keys
    secret = permit.grant.salt.encode() or permit.grant.id.encode()
    return tuple(
        hmac.digest(secret, f"{permit.data.resource_id}\0{key}\0{one}".encode(), "sha256")[:16] for one in wanted
    )


async def _read(permit: Permit, found: CompiledQuery, shown: Sequence[str], key: str) -> asyncpg.Record:
    """Rows as JSON, how many, and the places (from 1) of the values that none of them has."""
    columns = ", ".join(
        f"f.{quoted(name)}::jsonb AS {quoted(name)}" if found.types[name] == "json" else f"f.{quoted(name)}"
        for name in shown
    )
    kind = SQL_TYPES[found.types[key]]
    assert found.key is not None  # noqa: S101 - compiled with its key
    sql = (
        f"WITH f AS MATERIALIZED ({found.sql}) SELECT (SELECT count(*) FROM f) AS rows,"
        f" (SELECT convert_to(string_agg(row_to_json(x)::text, E'\\n,'), 'UTF8')"
        f" FROM (SELECT {columns} FROM f ORDER BY f.{quoted(found.key)}) AS x) AS items,"
        f" (SELECT array_agg(v.place) FROM unnest(${len(found.params)}::{kind}[]) WITH ORDINALITY AS v (value, place)"
        f" WHERE NOT EXISTS (SELECT FROM f WHERE f.{quoted(key)} = v.value)) AS missing"
    )
    try:
        async with acquired(permit.pool) as connection:
            row = await connection.fetchrow(sql, *found.params, timeout=READ_S)
    except asyncpg.UndefinedTableError as fault:
        raise DataNotLoaded from fault
    assert row is not None  # noqa: S101 - aggregates always give a row
    return row
