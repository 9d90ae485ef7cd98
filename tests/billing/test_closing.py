"""Closing a month: the invoice equals what anyone can recompute from the delivered rows."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import asyncpg
import httpx
import pytest

from authz import Call, FixedClock, Role, Runtime
from billing.errors import EarlierPeriodOpen, PeriodNotEnded, PeriodPassed, ReservationsOpen
from billing.invoices.closing import close_period
from billing.periods import Period
from billing.testing.builders import OFFICER, a_billed_city

OCTOBER, NOVEMBER, DECEMBER = Period(2026, 10), Period(2026, 11), Period(2026, 12)
IN_NOVEMBER = datetime(2026, 11, 10, tzinfo=UTC)
LAST_SECOND = datetime(2026, 11, 30, 15, 59, 59, 999_999, tzinfo=UTC)
FIRST_OF_DECEMBER = datetime(2026, 11, 30, 16, 0, tzinfo=UTC)
"""Midnight in Beijing."""


def by_hand(rows: int) -> tuple[int, int]:
    """(gross, tax) of the demo price, written once more and differently: first 10,000 at 0.2 fen, the rest at 0.1."""
    fen = Decimal(1)
    first = (Decimal(min(rows, 10_000)) * Decimal("0.2")).quantize(fen, ROUND_HALF_UP)
    rest = (Decimal(max(rows - 10_000, 0)) * Decimal("0.1")).quantize(fen, ROUND_HALF_UP)
    gross = first + rest
    return int(gross), int(gross - (gross / Decimal("1.06")).quantize(fen, ROUND_HALF_UP))


def officer(runtime: Runtime) -> Call:
    return Call(OFFICER, runtime.clock.now(), "req-close")


@pytest.fixture(scope="module")
def city() -> dict[str, str]:
    return {}


@pytest.fixture
async def grants(city: dict[str, str], committed: Any, runtime: Runtime) -> dict[str, str]:
    """The city is built once for the module."""
    if not city:
        async with committed() as scene:
            city |= await a_billed_city(scene, since=datetime(2026, 11, 2, tzinfo=UTC))
            await scene.use(city["alpha"], IN_NOVEMBER, 9_999)
            await scene.use(city["alpha"], LAST_SECOND, 2_346)
            await scene.use(city["alpha"], FIRST_OF_DECEMBER, 77)
            await scene.use(city["beta"], IN_NOVEMBER, 333)
            await scene.use(city["charity"], IN_NOVEMBER, 5_000)
    return city


async def lines_of(pool: asyncpg.Pool, period: Period, party: str) -> list[asyncpg.Record]:
    return list(await pool.fetch(
        "SELECT l.* FROM billing.invoice_line l JOIN billing.invoice i ON i.id = l.invoice_id"
        " WHERE i.period = $1 AND i.party_id = $2 ORDER BY line", str(period), party,
    ))


async def test_a_month_that_has_not_ended_is_refused(runtime: Runtime, grants: dict[str, str]) -> None:
    with pytest.raises(PeriodNotEnded):
        await close_period(runtime, officer(runtime), NOVEMBER)


async def test_deliveries_under_way_hold_the_close(
    runtime: Runtime, clock: FixedClock, grants: dict[str, str], pool: asyncpg.Pool
) -> None:
    clock.at = FIRST_OF_DECEMBER
    await pool.execute(
        "INSERT INTO billing.usage_reservation (id, process_id, grant_id, resource_id, purpose, columns, rows_reserved,"
        " reserved_at, day) VALUES ('r1', 'p', $1, 'res-city', 'x', '[]', 5, $2, '2026-11-30')",
        grants["alpha"], LAST_SECOND,
    )
    with pytest.raises(ReservationsOpen):
        await close_period(runtime, officer(runtime), NOVEMBER)
    await pool.execute("UPDATE billing.usage_reservation SET state = 'void', settled_at = $1", FIRST_OF_DECEMBER)


async def test_two_closes_at_once_make_one_set_of_invoices(
    runtime: Runtime, clock: FixedClock, grants: dict[str, str], pool: asyncpg.Pool
) -> None:
    clock.at = datetime(2027, 1, 5, tzinfo=UTC)
    with pytest.raises(EarlierPeriodOpen):
        await close_period(runtime, officer(runtime), DECEMBER)
    clock.at = FIRST_OF_DECEMBER
    answers = await asyncio.gather(*(close_period(runtime, officer(runtime), NOVEMBER) for _ in range(4)))
    assert sorted(a["already_closed"] for a in answers) == [False, True, True, True]
    assert await pool.fetchval("SELECT count(*) FROM billing.invoice") == 3
    with pytest.raises(PeriodPassed):
        await close_period(runtime, officer(runtime), OCTOBER)


async def test_invoices_equal_an_independent_recomputation(pool: asyncpg.Pool, grants: dict[str, str]) -> None:
    delivered = await pool.fetch(
        "SELECT subject, sum(rows)::bigint AS rows FROM billing.usage_event WHERE time < $1 GROUP BY 1",
        FIRST_OF_DECEMBER,
    )
    rows = {row["subject"]: row["rows"] for row in delivered}
    for name in ("alpha", "beta"):
        gross, tax = by_hand(rows[grants[name]])
        invoice = await pool.fetchrow("SELECT * FROM billing.invoice WHERE party_id = $1", f"pty_{name}")
        assert (invoice["total_fen"], invoice["tax_fen"], invoice["state"]) == (gross, tax, "open")
        lines = await lines_of(pool, NOVEMBER, f"pty_{name}")
        assert sum(line["amount_fen"] for line in lines) == gross
        assert sum(line["tax_fen"] for line in lines) == tax
        assert sum(line["quantity"] for line in lines) == rows[grants[name]]
    alpha = await lines_of(pool, NOVEMBER, "pty_alpha")
    assert [(line["tier"], line["quantity"], line["amount_fen"]) for line in alpha] == [
        (1, 10_000, 2_000), (2, 2_345, 235),
    ]


async def test_public_welfare_is_metered_and_free(pool: asyncpg.Pool, grants: dict[str, str]) -> None:
    invoice = await pool.fetchrow("SELECT * FROM billing.invoice WHERE party_id = 'pty_charity'")
    (line,) = await lines_of(pool, NOVEMBER, "pty_charity")
    assert (invoice["state"], invoice["total_fen"], line["quantity"], line["amount_fen"]) == ("free", 0, 5_000, 0)


async def test_the_ledger_says_what_the_invoices_say(
    client: httpx.AsyncClient, staff: Any, grants: dict[str, str]
) -> None:
    report = (await client.get("/v1/ledger/verify", headers=staff("officer"))).json()
    assert (report["balanced"], report["faults"], report["total_fen"]) == (True, [], 0)
    balances = (await client.get("/v1/ledger/balances", headers=staff("officer"))).json()
    by_code = {item["code"]: item["balance_fen"] for item in balances["items"]}
    assert by_code["receivable:pty_alpha"] == 2_235
    assert by_code["vat_payable"] == -(by_hand(12_345)[1] + by_hand(333)[1])
    assert balances["total_fen"] == 0


async def test_late_use_is_billed_next_month_at_the_tier_it_fell_in(
    runtime: Runtime, clock: FixedClock, grants: dict[str, str], pool: asyncpg.Pool, committed: Any
) -> None:
    async with committed() as scene:
        await scene.use(grants["beta"], IN_NOVEMBER + timedelta(days=1), 10_000)
    clock.at = datetime(2027, 1, 5, tzinfo=UTC)
    await close_period(runtime, officer(runtime), DECEMBER)
    beta = await lines_of(pool, DECEMBER, "pty_beta")
    facts = ("kind", "usage_period", "tier", "from_unit", "quantity")
    assert [tuple(line[fact] for fact in facts) for line in beta] == [
        ("adjustment", "2026-11", 1, 334, 9_667), ("adjustment", "2026-11", 2, 10_001, 333),
    ]
    both = await pool.fetchval("SELECT sum(total_fen)::bigint FROM billing.invoice WHERE party_id = 'pty_beta'")
    assert both == by_hand(10_333)[0]
    alpha = await lines_of(pool, DECEMBER, "pty_alpha")
    assert [(line["kind"], line["quantity"]) for line in alpha] == [("usage", 77)]


async def test_usage_behind_a_line_can_be_listed_and_downloaded(
    client: httpx.AsyncClient, staff: Any, pool: asyncpg.Pool, grants: dict[str, str]
) -> None:
    rows = await pool.fetch("SELECT id, period FROM billing.invoice WHERE party_id = 'pty_beta' ORDER BY period")
    first, second = rows[0]["id"], rows[1]["id"]
    listed = (await client.get(f"/v1/invoices/{first}/usage?line=1", headers=staff("officer"))).json()
    assert [item["rows"] for item in listed["items"]] == [333]
    late = await client.get(f"/v1/invoices/{second}/usage?format=csv", headers=staff("officer"))
    table = list(csv.DictReader(io.StringIO(late.text)))
    assert [(row["rows"], row["usage_period"]) for row in table] == [("10000", "2026-11")]
    shown = (await client.get(f"/v1/invoices/{second}", headers=staff("officer"))).json()
    assert shown["usage"][0]["events"] == 1


async def test_a_party_sees_its_own_invoices_only(
    client: httpx.AsyncClient, staff: Any, give_role: Any, pool: asyncpg.Pool, grants: dict[str, str]
) -> None:
    await give_role("alice", Role.ENTERPRISE_ADMIN, "pty_alpha")
    mine = (await client.get("/v1/invoices", headers=staff("alice"))).json()["items"]
    assert {item["party_id"] for item in mine} == {"pty_alpha"}
    other = await pool.fetchval("SELECT id FROM billing.invoice WHERE party_id = 'pty_beta' LIMIT 1")
    for path in ("", "/usage", "/usage?format=csv"):
        answer = await client.get(f"/v1/invoices/{other}{path}", headers=staff("alice"))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    answer = await client.post(f"/v1/invoices/{other}/payments/stripe/checkout", headers=staff("alice"))
    assert answer.status_code in (404, 503)
    assert (await client.get("/v1/invoices", headers=staff("stranger"))).json()["items"] == []
    assert (await client.get("/v1/ledger/balances", headers=staff("alice"))).status_code == 403


@pytest.mark.parametrize("period", ["2026-13", "26-11", "2026-11-01", "2026-00", "x", "２０２６-11"])
async def test_malformed_periods_are_named(client: httpx.AsyncClient, staff: Any, period: str) -> None:
    answer = await client.post(f"/v1/billing/periods/{period}/close", headers=staff("officer"))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "period_malformed")


async def test_only_the_officer_closes(client: httpx.AsyncClient, staff: Any) -> None:
    answer = await client.post("/v1/billing/periods/2026-10/close", headers=staff("pricer"))
    assert answer.status_code == 403


async def test_unpaid_invoices_fall_due(runtime: Runtime, clock: FixedClock, pool: asyncpg.Pool) -> None:
    from billing.jobs import mark_overdue

    clock.at = datetime(2026, 12, 31, 16, 0, tzinfo=UTC)
    await mark_overdue(runtime)
    states = await pool.fetch("SELECT party_id, state FROM billing.invoice WHERE period = '2026-11' ORDER BY 1")
    assert [tuple(row) for row in states] == [
        ("pty_alpha", "overdue"), ("pty_beta", "overdue"), ("pty_charity", "free"),
    ]
