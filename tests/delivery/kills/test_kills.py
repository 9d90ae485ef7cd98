"""A few kills in every run of the tests; hundreds with ``make test-kills``."""

from __future__ import annotations

import os

from kill_harness import run

KILLS = int(os.environ.get("GOVOPEN_KILLS") or 8)


async def test_whatever_dies_served_is_recorded_once() -> None:
    report = await run(KILLS, seed=11)
    assert report.faults == [], report
    assert report.kills.total() == KILLS
    assert report.whole > 0
