"""Verification 核验: yes or no on values that the caller already has, one by one or many at once.

The value of a masked field may be verified, for nothing but yes or no is told. What is not there is a no as well. Who
is wrong about one record too often in a day is told nothing more of it, so that values cannot be found by trying.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from starlette.requests import Request

from authz import AuditEntry, FieldError, InvalidInput, beijing_date
from authz.model import RowFilter
from authz.obligations import compile_select
from authz.obligations.values import ValueUnfit, typed
from billing.usage import Ask, Quota, Served
from ops.analysis.entry import Admitted, admit
from ops.analysis.limits import AnalysisLimits
from ops.delivery.connections import acquired
from ops.delivery.parts import DeliveryParts

Result = Literal["yes", "no", "locked"]


@dataclass(frozen=True)
class Claim:
    """``match`` finds the record (one field and its value), ``claims`` are what is said of it."""

    field: str
    value: Any
    claims: Mapping[str, Any]


async def verify(
    parts: DeliveryParts, request: Request, resource_id: str, checks: Sequence[Claim], purpose: str | None,
    limits: AnalysisLimits,
) -> tuple[list[Result], dict[str, str]]:
    """A result for each check, in order. Durably metered (one call, a row for each check) before it is told."""
    fields = tuple(dict.fromkeys(name for one in checks for name in (one.field, *one.claims)))
    admitted = await admit(parts, request, resource_id, "verify", purpose=purpose, fields=fields)
    found = _typed(checks, admitted)
    await _meter(parts, admitted, fields, len(checks))
    truths = await _truths(parts, admitted, found, fields)
    return await _told(parts, admitted, found, truths, limits), admitted.limits


def _typed(checks: Sequence[Claim], admitted: Admitted) -> list[Claim]:
    """Values as their fields hold them; raises InvalidInput naming the check."""
    faults, found = [], []
    for place, one in enumerate(checks):
        told: dict[str, Any] = {}
        for name, value in {**one.claims, one.field: one.value}.items():
            try:
                told[name] = typed(value, admitted.data.by_name[name].type)
            except ValueUnfit:
                faults.append(FieldError(
                    f"checks.{place}.{name}", "unfit", "与该字段的类型不符", "does not fit the field"
                ))
                told[name] = None
        found.append(Claim(one.field, told[one.field], {name: told[name] for name in one.claims}))
    if faults:
        raise InvalidInput(faults[:50])
    return found


async def _meter(parts: DeliveryParts, admitted: Admitted, fields: tuple[str, ...], rows: int) -> None:
    grant, quota = admitted.grant, admitted.obligations.quota
    await parts.recorder.record(
        Ask(
            grant_id=grant.id, resource_id=admitted.data.resource_id, purpose=grant.purpose, columns=fields, rows=rows,
            at=parts.runtime.clock.now(), quota=Quota.of(quota),
        ),
        Served(rows, rows),
    )


async def _truths(
    parts: DeliveryParts, admitted: Admitted, checks: Sequence[Claim], fields: tuple[str, ...]
) -> dict[tuple[str, Any], list[Mapping[str, Any]]]:
    """The real values of the records that are asked about, within the grant's row filter. They stay in here."""
    found: dict[tuple[str, Any], list[Mapping[str, Any]]] = {}
    plain = replace(admitted.obligations, masks={}, k_floor=None)
    for field in dict.fromkeys(one.field for one in checks):
        values = tuple({one.value for one in checks if one.field == field and one.value is not None})
        if not values:
            continue
        query = compile_select(
            plain, admitted.data, fields, [RowFilter(field, "in", [str(value) for value in values])],
            salt=admitted.grant.salt,
        )
        async with acquired(parts.restricted) as connection:
            for row in await connection.fetch(query.sql, *query.params):
                found.setdefault((field, row[field]), []).append(dict(row))
    return found


async def _told(
    parts: DeliveryParts, admitted: Admitted, checks: Sequence[Claim],
    truths: Mapping[tuple[str, Any], list[Mapping[str, Any]]], limits: AnalysisLimits,
) -> list[Result]:
    """Yes or no, counting the wrong ones against each record, also among the checks of one call."""
    runtime, grant, data = parts.runtime, admitted.grant, admitted.data
    day, told = beijing_date(runtime.clock.now()), list[Result]()
    async with runtime.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 6))", f"{grant.id} {data.resource_id}")
        abouts = [_about(grant.salt, one) for one in checks]
        rows = await tx.fetch(
            "SELECT about, times FROM analysis.wrong_answer WHERE grant_id = $1 AND resource_id = $2 AND day = $3"
            " AND about = ANY($4::bytea[])",
            grant.id, data.resource_id, day, list(set(abouts)),
        )
        wrong = {row["about"]: row["times"] for row in rows}
        before = dict(wrong)
        for one, about in zip(checks, abouts, strict=True):
            if wrong.get(about, 0) >= limits.wrong_a_key:
                told.append("locked")
                continue
            true = any(
                all(row[name] == value for name, value in one.claims.items())
                for row in truths.get((one.field, one.value), ())
            )
            told.append("yes" if true else "no")
            if not true:
                wrong[about] = wrong.get(about, 0) + 1
        changed = [(about, times) for about, times in wrong.items() if before.get(about) != times]
        await tx.executemany(
            "INSERT INTO analysis.wrong_answer (grant_id, resource_id, day, about, times) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (grant_id, resource_id, day, about) DO UPDATE SET times = EXCLUDED.times",
            [(grant.id, data.resource_id, day, about, times) for about, times in changed],
        )
        counts = {kind: told.count(kind) for kind in ("yes", "no", "locked")}
        await runtime.audit.append(tx, AuditEntry(
            "data.verified", grant.party_id, "data_object", data.resource_id, organisation_id=data.organisation_id,
            details={"grant_id": grant.id, "checks": len(told), **counts},
        ))
    return told


def _about(salt: str, one: Claim) -> bytes:
    """The record asked about, so that it can be counted without being kept."""
    return hmac.new(salt.encode(), f"verify\0{one.field}\0{one.value}".encode(), hashlib.sha256).digest()
