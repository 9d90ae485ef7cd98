"""The ledger keeps its promises whoever writes."""

from datetime import UTC, datetime

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import ledger
from billing.errors import AccountsNotAllowed, LedgerKeyReused, Unbalanced
from billing.ledger import Entry, Leg, legs_of
from billing.money import FractionOfFen

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def an_invoice_entry(key: str, net: int = 943, tax: int = 57, party: str = "pty_a") -> Entry:
    return Entry(
        key, "invoice", "账单",
        legs_of((f"receivable:{party}", net + tax), ("revenue:res", -net), ("vat_payable", -tax)),
        "invoice", key,
    )


def test_an_entry_that_does_not_balance_cannot_be_made() -> None:
    with pytest.raises(Unbalanced):
        Entry("k", "invoice", "", (Leg("receivable:p", 2), Leg("vat_payable", -1)), "invoice", "i")
    with pytest.raises(Unbalanced):
        Entry("k", "invoice", "", (), "invoice", "i")


def test_a_balanced_entry_over_the_wrong_accounts_cannot_be_made() -> None:
    with pytest.raises(AccountsNotAllowed):
        Entry("k", "payout", "", legs_of(("bank", 5), ("payable:p", -5)), "payout", "i")
    with pytest.raises(AccountsNotAllowed):
        Entry("k", "invoice", "", legs_of(("nowhere", 5), ("vat_payable", -5)), "invoice", "i")


def test_fractions_of_a_fen_cannot_be_posted() -> None:
    with pytest.raises(FractionOfFen):
        Entry("k", "invoice", "", (Leg("receivable:p", 0.5), Leg("vat_payable", -0.5)), "i", "i")  # type: ignore[arg-type]


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_a_reversal_sums_with_its_entry_to_nothing(net: int, tax: int) -> None:
    entry = an_invoice_entry("k", net, tax)
    back = entry.reversed("jne_1", "开错")
    totals: dict[str, int] = {}
    for leg in (*entry.legs, *back.legs):
        totals[leg.account] = totals.get(leg.account, 0) + leg.amount_fen
    assert set(totals.values()) == {0}


async def test_posting_twice_changes_nothing_and_other_content_is_refused(tx: asyncpg.Connection) -> None:
    (first,) = await ledger.post(tx, [an_invoice_entry("inv-1")], "li", NOW)
    (again,) = await ledger.post(tx, [an_invoice_entry("inv-1")], "wang", NOW)
    assert (again.id, again.replayed) == (first.id, True)
    assert await ledger.balance(tx, "receivable:pty_a") == 1_000
    with pytest.raises(LedgerKeyReused):
        await ledger.post(tx, [an_invoice_entry("inv-1", net=944)], "li", NOW)


async def test_correction_adds_and_a_second_reversal_changes_nothing(tx: asyncpg.Connection) -> None:
    (posted,) = await ledger.post(tx, [an_invoice_entry("inv-2", party="pty_b")], "li", NOW)
    back = await ledger.reverse(tx, posted.id, "开错", "li", NOW)
    assert (await ledger.reverse(tx, posted.id, "开错", "li", NOW)).id == back.id
    assert await ledger.balance(tx, "receivable:pty_b") == 0
    assert len(await tx.fetch("SELECT 1 FROM billing.posting WHERE entry_id = ANY($1)", [posted.id, back.id])) == 6


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE billing.posting SET amount_fen = amount_fen + 1",
        "DELETE FROM billing.posting",
        "UPDATE billing.journal_entry SET description = 'x'",
        "DELETE FROM billing.journal_entry",
        "TRUNCATE billing.posting",
        "DELETE FROM billing.account",
    ],
)
async def test_the_database_refuses_every_change(tx: asyncpg.Connection, sql: str) -> None:
    await ledger.post(tx, [an_invoice_entry("inv-3")], "li", NOW)
    with pytest.raises(asyncpg.CheckViolationError):
        await tx.execute(sql)


async def test_the_database_refuses_what_does_not_balance(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await ledger.post(connection, [an_invoice_entry("inv-4")], "li", NOW)
        entry = await connection.fetchval("SELECT id FROM billing.journal_entry WHERE idempotency_key = 'inv-4'")
        await connection.execute(
            "INSERT INTO billing.posting VALUES ($1, 9, 'vat_payable', 'CNY', 1)", entry
        )
        with pytest.raises(asyncpg.CheckViolationError):
            await transaction.commit()
    assert await pool.fetchval("SELECT count(*) FROM billing.journal_entry") == 0


async def test_postings_cannot_be_added_to_an_entry_afterwards(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        (posted,) = await ledger.post(connection, [an_invoice_entry("inv-5")], "li", NOW)
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(
            "INSERT INTO billing.posting VALUES ($1, 8, 'vat_payable', 'CNY', 1), ($1, 9, 'vat_payable', 'CNY', -1)",
            posted.id,
        )


async def test_verify_finds_what_was_altered_behind_its_back(pool: asyncpg.Pool, tx: asyncpg.Connection) -> None:
    await ledger.post(tx, [an_invoice_entry("inv-6", party="pty_c")], "li", NOW)
    report = await ledger.verify(tx)
    assert [fault["code"] for fault in report["faults"] if fault["id"] == "pty_c"] == ["receivable_differs"]
    await tx.execute("ALTER TABLE billing.posting DISABLE TRIGGER keep")
    await tx.execute("UPDATE billing.posting SET amount_fen = amount_fen + 1 WHERE account_code = 'receivable:pty_c'")
    report = await ledger.verify(tx)
    assert not report["balanced"]
    assert "entry_unbalanced" in [fault["code"] for fault in report["faults"]]
