"""What a process remembers of keys, by key and data object. See ``holders`` for why it may be remembered."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime
from typing import Any, Protocol

HOLDERS_MAX = 2_000


class Known(Protocol):
    """Something that is true for a while."""

    def fresh(self, now: datetime) -> bool: ...


class Holders:
    """Holders by key and object, for one process."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, str], Known] = {}
        self.loading: dict[tuple[bytes, str], asyncio.Future[Any]] = {}

    @staticmethod
    def name(key: str, resource_id: str) -> tuple[bytes, str]:
        return hashlib.sha256(key.encode()).digest(), resource_id

    def get(self, key: str, resource_id: str, now: datetime) -> Known | None:
        holder = self._known.get(self.name(key, resource_id))
        return holder if holder is not None and holder.fresh(now) else None

    def drop(self, key: str, resource_id: str) -> None:
        self._known.pop(self.name(key, resource_id), None)

    def keep(self, key: str, resource_id: str, holder: Known) -> None:
        if len(self._known) >= HOLDERS_MAX:
            self._known.clear()
        self._known[self.name(key, resource_id)] = holder
