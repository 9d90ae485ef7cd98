"""Applications at rest: ``licensing.application``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

import asyncpg

from authz import NotFound, PurposeClass, VersionConflict
from licensing.applications.model import Application, FieldAsked, ObjectSnapshot, Request, Review
from licensing.lifecycle import ApplicationState
from licensing.rows import Row

COLUMNS = (
    "id", "number", "version", "state", "party_id", "resource_id", "organisation_id", "object", "fields",
    "purpose_class", "purpose", "purpose_text", "scenario", "region_codes", "term_months", "delivery",
    "expected_rows_month", "review", "row_filter", "masks", "price_proposal", "offer", "created_by",
    "created_by_name", "created_at", "submitted_by", "submitted_at", "ended_at", "due_on", "lapses_on",
    "agreement_id", "grant_id",
)
FIXED = frozenset({"id", "number", "party_id", "created_by", "created_by_name", "created_at"})


def _from_row(row: Row) -> Application:
    request = Request(
        fields=tuple(FieldAsked(**one) for one in row["fields"]),
        purpose_class=PurposeClass(row["purpose_class"]), purpose=row["purpose"],
        purpose_text=row["purpose_text"], scenario=row["scenario"], region_codes=tuple(row["region_codes"]),
        term_months=row["term_months"], delivery=tuple(row["delivery"]),
        expected_rows_month=row["expected_rows_month"],
    )
    plain = {
        name: row[name] for name in (
            "id", "number", "version", "party_id", "resource_id", "organisation_id", "masks", "price_proposal",
            "offer", "created_by", "created_by_name", "created_at", "submitted_by", "submitted_at", "ended_at",
            "due_on", "lapses_on", "agreement_id", "grant_id",
        )
    }
    return Application(
        **plain, state=ApplicationState(row["state"]), object=ObjectSnapshot(**row["object"]), request=request,
        review=Review.from_document(row["review"]), row_filter=tuple(row["row_filter"]),
    )


def _values(application: Application) -> dict[str, Any]:
    request = application.request
    return {
        "id": application.id, "number": application.number, "version": application.version,
        "state": application.state.value, "party_id": application.party_id,
        "resource_id": application.resource_id, "organisation_id": application.organisation_id,
        "object": application.object.as_document(), "fields": [one.as_document() for one in request.fields],
        "purpose_class": request.purpose_class.value, "purpose": request.purpose,
        "purpose_text": request.purpose_text, "scenario": request.scenario,
        "region_codes": list(request.region_codes), "term_months": request.term_months,
        "delivery": list(request.delivery), "expected_rows_month": request.expected_rows_month,
        "review": application.review.as_document(), "row_filter": [dict(one) for one in application.row_filter],
        "masks": dict(application.masks), "price_proposal": application.price_proposal,
        "offer": application.offer, "created_by": application.created_by,
        "created_by_name": application.created_by_name, "created_at": application.created_at,
        "submitted_by": application.submitted_by, "submitted_at": application.submitted_at,
        "ended_at": application.ended_at, "due_on": application.due_on, "lapses_on": application.lapses_on,
        "agreement_id": application.agreement_id, "grant_id": application.grant_id,
    }


async def find(tx: asyncpg.Connection, application_id: str) -> Application | None:
    row = await tx.fetchrow("SELECT * FROM licensing.application WHERE id = $1", application_id)
    return _from_row(row) if row else None


async def locked(tx: asyncpg.Connection, application_id: str, version: int | None) -> Application:
    """The row, locked until the transaction ends; raises NotFound, or VersionConflict when it has moved on.

    Whoever comes second waits here, then sees the new version and is refused.
    """
    row = await tx.fetchrow("SELECT * FROM licensing.application WHERE id = $1 FOR UPDATE", application_id)
    if row is None:
        raise NotFound
    if version is not None and row["version"] != version:
        raise VersionConflict(current=row["version"], given=version)
    return _from_row(row)


async def insert(tx: asyncpg.Connection, application: Application) -> None:
    values = _values(application)
    places = ", ".join(f"${n}" for n in range(1, len(COLUMNS) + 1))
    await tx.execute(
        f"INSERT INTO licensing.application ({', '.join(COLUMNS)}) VALUES ({places})",
        *(values[name] for name in COLUMNS),
    )


async def save(tx: asyncpg.Connection, application: Application) -> None:
    values = _values(application)
    names = [name for name in COLUMNS if name not in FIXED]
    sets = ", ".join(f"{name} = ${n}" for n, name in enumerate(names, 2))
    await tx.execute(
        f"UPDATE licensing.application SET {sets} WHERE id = $1", application.id, *(values[n] for n in names)
    )


async def listing(
    tx: asyncpg.Connection, *, parties: Iterable[str], organisations: Iterable[str] | None,
    states: Iterable[str] | None = None, before: str | None = None, limit: int = 50,
) -> list[Application]:
    """Newest first: all of the ``parties``, and what has been submitted to the ``organisations`` (None: to any)."""
    rows = await tx.fetch(
        "SELECT * FROM licensing.application WHERE (party_id = ANY($1::text[]) OR (submitted_at IS NOT NULL"
        " AND ($2::text[] IS NULL OR organisation_id = ANY($2))))"
        " AND ($3::text[] IS NULL OR state = ANY($3)) AND ($4::text IS NULL OR id < $4) ORDER BY id DESC LIMIT $5",
        list(parties), list(organisations) if organisations is not None else None,
        list(states) if states is not None else None, before, limit,
    )
    return [_from_row(row) for row in rows]


async def waiting(
    tx: asyncpg.Connection, state: ApplicationState, organisations: Iterable[str] | None, limit: int
) -> list[Application]:
    """Applications in a state of the organisations (None: any), the most urgent first."""
    rows = await tx.fetch(
        "SELECT * FROM licensing.application WHERE state = $1 AND ($2::text[] IS NULL OR organisation_id = ANY($2))"
        " ORDER BY due_on NULLS LAST, id LIMIT $3",
        state.value, list(organisations) if organisations is not None else None, limit,
    )
    return [_from_row(row) for row in rows]


async def overdue(tx: asyncpg.Connection, today: date, limit: int) -> list[Application]:
    """Applications whose reviewer, pricer or countersigner let the due date pass, the longest overdue first."""
    rows = await tx.fetch(
        "SELECT * FROM licensing.application WHERE due_on < $1 AND lapses_on IS NULL AND ended_at IS NULL"
        " ORDER BY due_on, id LIMIT $2",
        today, limit,
    )
    return [_from_row(row) for row in rows]


async def lapsing(tx: asyncpg.Connection, today: date, limit: int) -> list[str]:
    """Ids of applications whose applicant let a limit pass before ``today``; locked ones are left for later."""
    rows = await tx.fetch(
        "SELECT id FROM licensing.application WHERE lapses_on < $1 AND ended_at IS NULL ORDER BY lapses_on, id LIMIT $2"
        " FOR UPDATE SKIP LOCKED",
        today, limit,
    )
    return [row["id"] for row in rows]
