"""How the site is asked: addresses, parameters, and what may be tried again. No I/O."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import httpx

from .faults import ApiError, ConnectionLost, QuotaExhausted

PAGE_ROWS_MAX = 1_000
OPERATORS = ("eq", "in", "prefix", "gte", "lte")
KEY = re.compile(r"gok_[0-9a-z]+_[0-9a-z]+")

Filters = Mapping[str, Any]
"""Field to value; ``name__prefix``, ``__gte``, ``__lte`` and ``__in`` (with a list) compare otherwise."""


@dataclass(frozen=True)
class Ask:
    """One request. ``metered``: it is counted when it is answered, so a lost answer is not asked for again."""

    method: str
    path: str
    params: Sequence[tuple[str, str]] = ()
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    metered: bool = False


@dataclass(frozen=True)
class Patience:
    """How often, and how long for, refusals that pass are waited for."""

    tries: int = 5
    wait_max_s: float = 60.0
    pause_s: float = 0.5

    def wait_after(self, ask: Ask, fault: Exception, attempt: int) -> float | None:
        """Seconds to wait before the next try; None when there is to be none. ``attempt`` counts from 1."""
        if attempt >= self.tries or not _may_repeat(ask, fault):
            return None
        told = fault.retry_after_s if isinstance(fault, ApiError) else None
        wait = self.pause_s * 2 ** (attempt - 1) if told is None else told
        return wait if wait <= self.wait_max_s else None


def _may_repeat(ask: Ask, fault: Exception) -> bool:
    if isinstance(fault, QuotaExhausted):
        return False
    if isinstance(fault, ApiError):
        if fault.status == 429 or (fault.status == 503 and fault.code == "busy"):
            return True
        return not ask.metered and fault.status in (502, 503, 504)
    if not isinstance(fault, ConnectionLost):
        return False
    never_sent = isinstance(fault.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return never_sent or not ask.metered


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)


def filter_params(filters: Filters | None) -> list[tuple[str, str]]:
    found = []
    for name, value in (filters or {}).items():
        field_name, _, operator = name.rpartition("__")
        if operator not in OPERATORS or not field_name:
            field_name, operator = name, "in" if isinstance(value, list | tuple | set | frozenset) else "eq"
        text = ",".join(shown(one) for one in value) if operator == "in" else shown(value)
        found.append((f"filter[{field_name}][{operator}]", text))
    return found


def filter_list(filters: Filters | None) -> list[dict[str, Any]]:
    """The same as documents, for export jobs."""
    found = []
    for name, value in (filters or {}).items():
        field_name, _, operator = name.rpartition("__")
        if operator not in OPERATORS or not field_name:
            field_name, operator = name, "in" if isinstance(value, list | tuple | set | frozenset) else "eq"
        plain = [shown(one) for one in value] if operator == "in" else shown(value)
        found.append({"field": field_name, "op": operator, "value": plain})
    return found


def selection(
    columns: Iterable[str] | None, filters: Filters | None, purpose: str | None, **more: Any
) -> list[tuple[str, str]]:
    params = [("columns", ",".join(columns))] if columns is not None else []
    params += filter_params(filters)
    if purpose is not None:
        params.append(("purpose", purpose))
    return params + [(name, shown(value)) for name, value in more.items() if value is not None]


def headers_for(key: str | None, token: str | None, language: str) -> dict[str, str]:
    headers = {"Accept-Language": "zh-CN" if language == "zh" else "en", "User-Agent": "govopen-client/0.1"}
    if key is not None and not KEY.fullmatch(key):
        raise ValueError("an access key begins with gok_")
    bearer = key or token
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    return headers


def digest_of(headers: httpx.Headers) -> str | None:
    """SHA-256 of the whole representation as the site tells it (RFC 9530), in hexadecimal."""
    found = re.search(r"sha-256=:([A-Za-z0-9+/=]+):", headers.get("repr-digest", ""))
    return base64.b64decode(found[1]).hex() if found else None


def is_resumable(headers: httpx.Headers) -> bool:
    etag = headers.get("etag", "")
    return bool(headers.get("accept-ranges") == "bytes" and etag.startswith('"'))
