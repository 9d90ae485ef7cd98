"""Keys that somebody found where they do not belong: whoever shows one may end it, as scanners for secrets do.

Showing the key is the proof, so no account is needed; the worst that a finder can do with the report is less than what
they could do with the key. The answer is the same for every text, so that it tells nothing about keys.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from authz import AuditEntry, AuditLog
from licensing.grants.keys import FORM, NOBODY, _digest

REPORTER = "leak-report"
REPORTER_NAME = "泄露举报 Leak report"


@dataclass(frozen=True)
class Ended:
    """A key that was ended by a report."""

    key_id: str
    grant_id: str


async def report(
    tx: asyncpg.Connection, text: str, now: datetime, request_id: str | None, *, audit: AuditLog
) -> Ended | None:
    """End the key that the text is, when it is a live one, with the evidence; None otherwise, which nobody is told."""
    parts = FORM.fullmatch(text.strip())
    row = await tx.fetchrow(
        "SELECT k.id, k.grant_id, k.prefix, k.secret_sha256, k.revoked_at, g.party_id FROM licensing.access_key k"
        " JOIN licensing.access_grant g ON g.id = k.grant_id WHERE k.prefix = $1 FOR UPDATE OF k",
        parts[1] if parts else "",
    )
    given = _digest(parts[2]) if parts else NOBODY[::-1]
    same = hmac.compare_digest(given, bytes(row["secret_sha256"]) if row else NOBODY)
    if row is None or not same or row["revoked_at"] is not None:
        return None
    await tx.execute(
        "UPDATE licensing.access_key SET revoked_at = $2, leaked_at = $2, revoked_by_name = $3 WHERE id = $1",
        row["id"], now, REPORTER_NAME,
    )
    await audit.append(tx, AuditEntry(
        "key.leaked", REPORTER, "key", row["id"], organisation_id=row["party_id"], request_id=request_id,
        details={"grant_id": row["grant_id"], "prefix": row["prefix"]},
    ))
    return Ended(row["id"], row["grant_id"])
