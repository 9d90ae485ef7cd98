"""Limits, validity and codes of registration as configuration."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from stdnum.iso7064 import mod_37_36

from licensing.limits import Limit


@dataclass(frozen=True)
class RegistrationRules:
    acceptance: Limit
    review: Limit
    notice: Limit
    objection: Limit
    validity_years_max: int
    code_issuer: str
    code_region: str


@lru_cache(maxsize=4)
def _load(path: str) -> RegistrationRules:
    document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    limits = {
        name: Limit(name, int(entry["days"]), str(entry["unit"]), str(entry["source"]))
        for name, entry in document["limit"].items()
    }
    return RegistrationRules(
        limits["acceptance"], limits["review"], limits["notice"], limits["objection"],
        int(document["validity"]["years_max"]), str(document["code"]["issuer"]), str(document["code"]["region"]),
    )


def rules() -> RegistrationRules:
    """The rules in force for this process."""
    given = os.environ.get("GOVOPEN_REGISTRATION_LIMITS")
    return _load(given or str(Path(__file__).with_name("limits.toml")))


def make_code(serial: int, on: date, given: RegistrationRules) -> str:
    """A 登记结果查询码: issuer, region, year and month, serial of eight digits, check character (ISO 7064)."""
    body = f"{given.code_issuer}{given.code_region}{on:%Y%m}{serial:08d}"
    return body + str(mod_37_36.calc_check_digit(body))


def years_later(day: date, years: int) -> date:
    """The last day of a validity of whole years that begins on ``day`` (29 February ends on 28)."""
    try:
        after = day.replace(year=day.year + years)
    except ValueError:
        after = day.replace(year=day.year + years, day=28)
        return after
    return date.fromordinal(after.toordinal() - 1)
