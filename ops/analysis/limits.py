"""What analysis and verification allow. Figures of practice: a city sets its own by the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class AnalysisLimits:
    """``floor`` is the smallest group, counted in records, and the least that a condition may set apart.

    ``noise`` is the most, in records, by which a first answer is blurred either way; after ``fresh`` more it is by
    1.4 times as much, after three times as many by twice; ``dominance`` the largest share that one record may have in a
    sum; ``queries_day`` a grant's budget; ``wrong_a_key`` how often a day a grant may be
    wrong about one record before it is told nothing more of it.
    """

    floor: int = 10
    noise: int = 2
    fresh: int = 20
    dominance: float = 0.5
    queries_day: int = 200
    timeout_s: float = 5.0
    wrong_a_key: int = 5
    checks_a_call: int = 1_000

    @classmethod
    def from_env(cls) -> AnalysisLimits:
        """``GOVOPEN_ANALYSIS_FLOOR`` and so on; a floor below 3 or no budget is refused by ValueError."""
        told = {
            name: os.environ[f"GOVOPEN_ANALYSIS_{name.upper()}"]
            for name in cls.__dataclass_fields__ if f"GOVOPEN_ANALYSIS_{name.upper()}" in os.environ
        }
        own = cls(**{name: type(getattr(cls, name))(text) for name, text in told.items()})
        if own.floor < 3 or own.queries_day < 1 or not 0 < own.dominance < 1 or own.noise < 0 or own.fresh < 1:
            raise ValueError("GOVOPEN_ANALYSIS_*: floor from 3, queries_day from 1, dominance between 0 and 1")
        return own
