"""Verification 核验: yes or no on values that the caller already has, one by one or many at once.

The value of a masked field may be verified, for nothing but yes or no is told. What is not there is a no as well. Who
is wrong about one record too often in a day is told nothing more of it, so that values cannot be found by trying.

A record is meant by whatever sets it apart, not by the field alone that a check matches by: in ``match income, claim
code`` the code may be what is known and the income what is tried. So a wrong check counts against its match, and
against all of it but one value, for each value, wherever fewer records than the floor have the rest.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Literal

from starlette.requests import Request

from authz import AuditEntry, FieldError, InvalidInput, beijing_date
from authz.model import RowFilter
from authz.obligations import compile_select, quoted
from authz.obligations.values import SQL_TYPES, ValueUnfit, typed
from billing.usage import Ask, Quota, Served
from ops.analysis.entry import Admitted, admit
from ops.analysis.limits import AnalysisLimits
from ops.delivery.connections import acquired
from ops.delivery.parts import DeliveryParts

COUNT_S = 30.0
Result = Literal["yes", "no", "locked"]


Rest = tuple[tuple[str, Any], ...]
"""Fields and values, in the order of their names."""


@dataclass(frozen=True)
class Claim:
    """``match`` finds the record (one field and its value), ``claims`` are what is said of it."""

    field: str
    value: Any
    claims: Mapping[str, Any]

    @property
    def match(self) -> Rest:
        return ((self.field, self.value),)

    @property
    def rests(self) -> list[Rest]:
        """All that is said but for one value, for each of them: what the others may be known to mean."""
        said = sorted({**self.claims, self.field: self.value}.items())
        return [tuple(one for one in said if one[0] != left_out) for left_out, _ in said if len(said) > 1]


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
    right = [
        any(all(row[name] == value for name, value in one.claims.items())
            for row in truths.get((one.field, one.value), ()))
        for one in found
    ]
    tried = {rest for one, true in zip(found, right, strict=True) if not true for rest in one.rests}
    rare = await rare_among(parts, admitted, tried, limits.floor)
    return await _told(parts, admitted, found, right, rare, limits), admitted.limits


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
    parts: DeliveryParts, admitted: Admitted, checks: Sequence[Claim], right: Sequence[bool], rare: Set[Rest],
    limits: AnalysisLimits,
) -> list[Result]:
    """Yes or no, counting the wrong ones against each record, also among the checks of one call."""
    runtime, grant, data = parts.runtime, admitted.grant, admitted.data
    day, told = beijing_date(runtime.clock.now()), list[Result]()
    async with runtime.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 6))", f"{grant.id} {data.resource_id}")
        abouts = [{rest: _about(grant.salt, rest) for rest in (one.match, *one.rests)} for one in checks]
        rows = await tx.fetch(
            "SELECT about, times FROM analysis.wrong_answer WHERE grant_id = $1 AND resource_id = $2 AND day = $3"
            " AND about = ANY($4::bytea[])",
            grant.id, data.resource_id, day, list({about for of_one in abouts for about in of_one.values()}),
        )
        wrong = {row["about"]: row["times"] for row in rows}
        before = dict(wrong)
        for one, about, true in zip(checks, abouts, right, strict=True):
            if any(wrong.get(digest, 0) >= limits.wrong_a_key for digest in about.values()):
                told.append("locked")
                continue
            told.append("yes" if true else "no")
            for rest, digest in about.items():
                if not true and (rest == one.match or rest in rare):
                    wrong[digest] = wrong.get(digest, 0) + 1
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


async def rare_among(parts: DeliveryParts, admitted: Admitted, tried: Set[Rest], floor: int) -> set[Rest]:
    """Those that fewer records than the floor have, none included: that one is there must not show either."""
    by_fields: dict[tuple[str, ...], list[Rest]] = {}
    for rest in tried:
        by_fields.setdefault(tuple(name for name, _ in rest), []).append(rest)
    plain, rare = replace(admitted.obligations, masks={}, k_floor=None), set(tried)
    for fields, rests in by_fields.items():
        inner = compile_select(plain, admitted.data, fields, (), salt=admitted.grant.salt)
        numbered, kinds = list(enumerate(fields)), [SQL_TYPES[admitted.data.by_name[name].type] for name in fields]
        arrays = ", ".join(f"${len(inner.params) + n + 1}::{kinds[n]}[]" for n, _ in numbered)
        alike = " AND ".join(f"t.{quoted(name)} = v.f{n}" for n, name in numbered)
        sql = (
            f"SELECT v.place FROM unnest({arrays}) WITH ORDINALITY AS v ({', '.join(f'f{n}' for n, _ in numbered)},"
            f" place) JOIN ({inner.sql}) AS t ON {alike} GROUP BY v.place HAVING count(*) >= {int(floor)}"
        )
        async with acquired(parts.restricted) as connection:
            values = [[rest[n][1] for rest in rests] for n, _ in numbered]
            for row in await connection.fetch(sql, *inner.params, *values, timeout=COUNT_S):
                rare.discard(rests[row["place"] - 1])
    return rare


def _about(salt: str, rest: Rest) -> bytes:
    """What is said of a record, so that it can be counted without being kept."""
    return hmac.new(salt.encode(), f"verify\0{rest!r}".encode(), hashlib.sha256).digest()
