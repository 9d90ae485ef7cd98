"""One act of one caller: the transaction it happens in and where its evidence goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import asyncpg

from authz import AuditEntry, AuditLog, Call, Identity, NotFound, VersionConflict, beijing_date, may, require


@dataclass(frozen=True)
class Act:
    """Handed to every service function: ``tx`` is open, and is committed by who opened it."""

    tx: asyncpg.Connection
    call: Call
    audit: AuditLog

    @property
    def who(self) -> Identity:
        return self.call.identity

    @property
    def now(self) -> datetime:
        return self.call.now

    @property
    def today(self) -> date:
        return beijing_date(self.call.now)

    def require(self, action: str, organisation_id: str | None = None) -> None:
        """Raise a refusal of 403 unless the caller may do this to matters of the organisation."""
        require(self.who, action, organisation_id)

    def may(self, action: str, organisation_id: str | None = None) -> bool:
        return may(self.who, action, organisation_id).permitted

    def require_sight(self, action: str, organisation_id: str) -> None:
        """Raise NotFound for a stranger: that a thing exists is not for them to know."""
        if not self.may(action, organisation_id):
            raise NotFound

    async def record(
        self, action: str, object_id: str, *, organisation_id: str | None = None, reason: str | None = None,
        basis: str | None = None, details: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the audit entry ``<kind>.<participle>`` in the same transaction."""
        await self.audit.append(
            self.tx,
            AuditEntry(
                action, self.who.name, action.partition(".")[0], object_id, organisation_id=organisation_id,
                basis=basis, reason=reason, request_id=self.call.request_id, details=details or {},
            ),
        )


def check_version(current: int, given: int) -> None:
    """Raise VersionConflict when somebody decided meanwhile."""
    if current != given:
        raise VersionConflict(current=current, given=given)


def page(rows: list[dict[str, Any]], limit: int, key: str = "id") -> dict[str, Any]:
    """``{"items", "next"}`` of rows fetched with ``limit + 1``."""
    return {"items": rows[:limit], "next": rows[limit - 1][key] if len(rows) > limit else None}
