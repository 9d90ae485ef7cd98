"""What the bench on Citus takes in the place of the product's statements says the same as they do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from billing.usage import corrections, recorder, staging
from billing.usage.model import UsageEvent
from ops.bench import citus
from ops.bench.citus import nodes, statements

AT = datetime(2026, 11, 20, 2, tzinfo=UTC)
SOURCE = "https://operator.example/credit"


def _event(name: str, grant: str = "grt_citus") -> UsageEvent:
    return UsageEvent(
        source=SOURCE, id=name, subject=grant, time=AT, resource_id="res", rows=3, calls=1, bytes=30, details={}
    )


async def _take(tx: asyncpg.Connection, events: list[UsageEvent]) -> dict[int, bool]:
    await staging.prepare(tx, events)
    await staging.stage(tx, [staging.row_of(place, one, one.digest) for place, one in enumerate(events)])
    known = await staging.identify(tx)
    await staging.write(tx, AT)
    await tx.execute("TRUNCATE usage_staging")
    return known


@pytest.mark.parametrize("there", [False, True])
async def test_known_identities_are_found(tx: asyncpg.Connection, there: bool) -> None:
    first, second = _event("a"), _event("b")
    assert await _take(tx, [first, second]) == {}
    again = [replace(first), _event("c"), replace(second, subject="grt_other")]
    with statements.on_citus() if there else pytest.MonkeyPatch.context():
        assert await _take(tx, again) == {0: True, 2: False}
    assert await tx.fetchval("SELECT count(*) FROM billing.usage_event WHERE source = $1", SOURCE) == 3


async def test_originals_of_corrections_are_found(tx: asyncpg.Connection) -> None:
    await _take(tx, [_event("a"), _event("b")])
    await tx.execute(
        "INSERT INTO billing.usage_identity (source, id, digest, number, time) VALUES ($1, 'moved', 'x', 1, $2)",
        SOURCE, AT,
    )
    asked = [(SOURCE, "a"), (SOURCE, "moved"), (SOURCE, "b"), (SOURCE, "a"), (SOURCE, "nobody")]
    own = await corrections._originals(tx, asked)
    other = await statements.originals(tx, asked)
    assert set(own) == set(other) == {(SOURCE, "a"), (SOURCE, "b"), (SOURCE, "moved")}
    for key, row in own.items():
        assert row["moved"] is other[key]["moved"] is (key[1] == "moved")
        if not row["moved"]:
            assert dict(row) == dict(other[key])


def test_the_products_own_statements_are_put_back() -> None:
    own = staging.compare, corrections._originals, recorder.record_at_once
    with statements.on_citus():
        assert staging.compare is statements.compare
    assert (staging.compare, corrections._originals, recorder.record_at_once) == own


def test_what_is_missing_is_said_in_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(nodes.VARIABLE, raising=False)
    with pytest.raises(SystemExit, match=r"请将 GOVOPEN_CITUS_BIN .* / set GOVOPEN_CITUS_BIN"):
        citus.measure(lambda line: None)
    monkeypatch.setenv(citus.VARIABLE, "plain, w9")
    with pytest.raises(nodes.Missing, match=r"没有布局 w9.* / no layout w9"):
        citus.layouts()
