"""What can go wrong: refusals of the site as exceptions, and faults on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx


class GovOpenError(Exception):
    """Base of everything that this package raises."""


class ApiError(GovOpenError):
    """The site refused. ``code`` is stable; ``detail`` and ``next`` are sentences for people.

    ``reasons`` are all reasons of a denial, ``errors`` all faults of what was sent, each with ``code`` and ``detail``.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.code = str(problem.get("code") or f"http_{status}")
        self.detail = str(problem.get("detail") or problem.get("title") or "")
        self.next = str(problem.get("next") or "")
        self.reasons: list[dict[str, Any]] = list(problem.get("reasons") or ())
        self.errors: list[dict[str, Any]] = list(problem.get("errors") or ())
        self.request_id: str | None = problem.get("request_id")
        self.retry_after_s = retry_after_s
        more = "; ".join(str(one.get("detail", "")) for one in [*self.reasons, *self.errors])
        super().__init__(f"{self.code} ({status}): {self.detail}" + (f" [{more}]" if more else ""))


class NotAuthenticated(ApiError):
    """A key or a token is missing or not valid (401)."""


class Denied(ApiError):
    """Not within the grant (403); ``reasons`` tells why."""


class NotThere(ApiError):
    """Not there, not there any more, or not yours to see (404, 410)."""


class Invalid(ApiError):
    """What was sent is faulty (400, 409, 413, 416, 422)."""


class RateLimited(ApiError):
    """Too many calls in too short a time (429), for longer than the client may wait."""


class QuotaExhausted(ApiError):
    """The grant's quota does not hold what was asked for (429); waiting for seconds does not help."""


class Unavailable(ApiError):
    """The site, or a part of it, is away or busy (5xx)."""


class ConnectionLost(GovOpenError):
    """The answer did not arrive. A metered call may have been counted all the same."""


class IncompleteDownload(GovOpenError):
    """The rows ended before they were whole, and nobody knows where to go on."""


class ChecksumMismatch(GovOpenError):
    """What arrived is not what the site says it sent; it has been thrown away."""


class ExportFailed(GovOpenError):
    """An export job ended without a file; ``state`` and ``code`` tell why."""

    def __init__(self, state: str, code: str | None) -> None:
        self.state, self.code = state, code
        super().__init__(f"the export ended as {state}" + (f": {code}" if code else ""))


KINDS: Mapping[int, type[ApiError]] = {401: NotAuthenticated, 403: Denied, 404: NotThere, 410: NotThere}


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the site asks to wait, None when it says nothing that can be read."""
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def fault_of(response: httpx.Response) -> ApiError:
    """The exception for an answer that is no success; its body has been read."""
    try:
        found = response.json()
        problem = found if isinstance(found, dict) else {}
    except ValueError:
        problem = {}
    status = response.status_code
    kind: type[ApiError] = Unavailable if status >= 500 else KINDS.get(status, Invalid)
    if status == 429:
        kind = QuotaExhausted if problem.get("code") == "quota_exhausted" else RateLimited
    return kind(status, problem, retry_after(response))
