"""Time limits and procedure as configuration: ``limits.toml``, or the file named by GOVOPEN_LICENSING_LIMITS."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from licensing.working_days import Deadline, WorkingDays, add_calendar_days, add_working_days

REVIEWERS = ("form_review", "owner_review")
UNITS = ("working_days", "calendar_days")


class LimitsMalformed(ValueError):
    """The configuration of limits cannot be used; the message names the entry."""


@dataclass(frozen=True)
class Limit:
    """A time limit and the text it comes from."""

    name: str
    days: int
    unit: str
    source: str

    @property
    def working_days(self) -> WorkingDays:
        if self.unit != "working_days":
            raise LimitsMalformed(f"limit {self.name} is in calendar days")
        return WorkingDays(self.days)

    def deadline(self, start: date) -> Deadline:
        """The last day when the limit begins by an event on ``start``."""
        if self.unit == "working_days":
            return add_working_days(start, WorkingDays(self.days))
        return add_calendar_days(start, self.days)


@dataclass(frozen=True)
class Procedure:
    """What a city decides about its procedures."""

    reviewers: tuple[str, ...]
    supplements_per_step_max: int
    extensions_per_step_max: int
    term_months_max: int
    keys_per_grant_max: int
    limits: Mapping[str, Limit]

    def limit(self, name: str) -> Limit:
        return self.limits[name]


def parse(document: Mapping[str, Any]) -> Procedure:
    """Read a configuration; raises LimitsMalformed naming what is wrong."""
    rules = dict(document.get("procedure", {}))
    reviewers = tuple(rules.get("reviewers", ()))
    if not reviewers or set(reviewers) - set(REVIEWERS) or len(set(reviewers)) != len(reviewers):
        raise LimitsMalformed(f"procedure.reviewers must be an order of {', '.join(REVIEWERS)}")
    if "owner_review" not in reviewers:
        raise LimitsMalformed("procedure.reviewers must contain owner_review: the data's department decides")
    limits = {}
    for name, entry in document.get("limit", {}).items():
        days, unit, source = entry.get("days"), entry.get("unit"), entry.get("source")
        if not isinstance(days, int) or isinstance(days, bool) or days < 1:
            raise LimitsMalformed(f"limit.{name}.days must be a whole number from 1")
        if unit not in UNITS:
            raise LimitsMalformed(f"limit.{name}.unit must be one of {', '.join(UNITS)}")
        if not source:
            raise LimitsMalformed(f"limit.{name}.source must name the text it comes from")
        limits[name] = Limit(name, days, unit, source)
    numbers = {}
    for name in ("supplements_per_step_max", "extensions_per_step_max", "term_months_max", "keys_per_grant_max"):
        value = rules.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise LimitsMalformed(f"procedure.{name} must be a whole number")
        numbers[name] = value
    return Procedure(reviewers=reviewers, limits=limits, **numbers)


@lru_cache(maxsize=4)
def _load(path: str) -> Procedure:
    return parse(tomllib.loads(Path(path).read_text(encoding="utf-8")))


def procedure() -> Procedure:
    """The procedure in force for this process."""
    given = os.environ.get("GOVOPEN_LICENSING_LIMITS")
    return _load(given or str(Path(__file__).with_name("limits.toml")))
