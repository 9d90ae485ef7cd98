"""What the routes share: decisions, pages, strict fields."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import Query
from pydantic import BeforeValidator, Field, StrictInt

from authz import Body
from billing.prices.proposals import Verdict, Verdictum

ShortText = Annotated[str, Field(min_length=1, max_length=200)]
LongText = Annotated[str, Field(max_length=2_000)]
Id = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")]
Version = Annotated[StrictInt, Field(ge=1, le=2_000_000_000)]


def _iso(value: Any) -> Any:
    if not isinstance(value, str) or len(value) != 10:
        raise ValueError("应为日期，例如 2026-11-21 / must be a date such as 2026-11-21")
    return value


IsoDate = Annotated[
    date, BeforeValidator(_iso), Field(ge=date(2000, 1, 1), le=date(2100, 12, 31))
]
"""A date as text; numbers are not read as seconds since 1970."""
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=100)]


class Decision(Body):
    verdict: Verdict
    reason: LongText = ""
    version: Version

    def given(self) -> Verdictum:
        return Verdictum(self.verdict, self.reason, self.version)


class Reasoned(Body):
    """The body of ``/approve`` and ``/reject``."""

    reason: LongText = ""
    version: Version

    def given(self, verdict: Verdict) -> Verdictum:
        return Verdictum(verdict, self.reason, self.version)
