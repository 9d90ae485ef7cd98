"""A billing period: one calendar month in Beijing, half-open, written ``2026-11``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from authz import BEIJING, FieldError, InvalidInput

PERIOD = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")


@dataclass(frozen=True, order=True)
class Period:
    """A month; orders by time."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Period:
        """Raises InvalidInput for anything but ``YYYY-MM`` of this century."""
        found = PERIOD.fullmatch(text)
        if found is None:
            raise InvalidInput([FieldError("period", "period_malformed", "账期应写作 2026-11 的形式",
                                           "a period is written like 2026-11")])
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, at: datetime) -> Period:
        local = at.astimezone(BEIJING)
        return cls(local.year, local.month)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    def following(self) -> Period:
        return Period(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def starts_at(self) -> datetime:
        return datetime(self.year, self.month, 1, tzinfo=BEIJING).astimezone(UTC)

    @property
    def ends_at(self) -> datetime:
        """The first instant that is no longer in the period."""
        return self.following().starts_at

    @property
    def last_on(self) -> date:
        following = self.following()
        return date(following.year, following.month, 1) - timedelta(days=1)
