"""The port of the audit log: no audit entry, no action, so entries are appended in the action's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import asyncpg


@dataclass(frozen=True)
class AuditEntry:
    """What happened: ``action`` is ``<object kind>.<past participle>``, for example ``grant.revoked``.

    ``details`` hold codes, ids, counts and digests; never a personal value, never a secret.
    """

    action: str
    actor: str
    object_kind: str
    object_id: str
    organisation_id: str | None = None
    basis: str | None = None
    reason: str | None = None
    request_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class AuditLog(Protocol):
    async def append(self, tx: asyncpg.Connection, entry: AuditEntry) -> int:
        """Append within the caller's transaction; returns the entry's sequence number."""

    def insertion(self, entries: Sequence[AuditEntry], first: int) -> tuple[str, tuple[Any, ...]]:
        """An INSERT … SELECT … FROM … of the entries, to be part of a larger statement, and its parameters.

        They are numbered from ``first``; a WHERE may follow the text. The text does not depend on the entries.
        """
