"""Whatever is sent to whichever address of billing, the answer is a problem that says what is wrong, never a 500."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

PATHS = (
    "/v1/ceilings", "/v1/ceilings/x/approve", "/v1/rate-cards", "/v1/rate-cards/x/reject",
    "/v1/applications/x/price/simulate", "/v1/applications/x/price", "/v1/applications/x/price/approve",
    "/v1/billing/periods/2026-10/close", "/v1/invoices/x/credit-notes", "/v1/invoices/x/payments/bank",
    "/v1/invoices/x/payments/stripe/checkout", "/v1/payments/bank", "/v1/payments/x/allocations",
    "/v1/payments/x/refunds", "/v1/payments/stripe/webhook", "/v1/payments/stripe/reconciliation", "/v1/share-rules",
    "/v1/share-rules/x/approve", "/v1/settlements", "/v1/settlements/x/approve", "/v1/settlements/x/payouts",
)
GOOD: dict[str, Any] = {
    "resource_id": "res", "meter": "rows", "max_amount_fen": 1, "per": 1, "stage": "trial", "source_document": "文件",
    "effective_on": "2026-11-01", "use_class": "industry", "reason": "理由", "version": 1, "verdict": "approve",
    "pricing": {"kind": "flat", "flat_fen": 0}, "rows_month": [1], "quota": {"rows_month": 1}, "amount_fen": 1,
    "lines": [{"line": 1, "amount_fen": 1}], "reference": "ZD-202611-0001", "payer": "甲", "received_on": "2026-11-01",
    "bank_serial": "B-0001", "invoice_id": "x", "holder_bp": 10_000, "operator_bp": 0, "exchange_bp": 0,
    "operator_id": "o", "exchange_id": "x", "period": "2026-10", "party_id": "p", "paid_on": "2026-11-01",
}
FIELDS = {
    "/v1/ceilings": "resource_id meter max_amount_fen per stage source_document effective_on",
    "/v1/rate-cards": "resource_id use_class pricing effective_on reason",
    "/v1/applications/x/price/simulate": "pricing rows_month",
    "/v1/applications/x/price": "pricing quota reason version",
    "/v1/applications/x/price/approve": "verdict reason version",
    "/v1/invoices/x/credit-notes": "lines reason version",
    "/v1/invoices/x/payments/bank": "reference amount_fen payer received_on bank_serial",
    "/v1/payments/bank": "reference amount_fen payer received_on bank_serial",
    "/v1/payments/x/allocations": "invoice_id amount_fen",
    "/v1/payments/x/refunds": "amount_fen reason",
    "/v1/share-rules": "holder_bp operator_bp exchange_bp operator_id exchange_id source_document effective_on",
    "/v1/settlements": "period",
    "/v1/settlements/x/payouts": "party_id amount_fen bank_serial paid_on",
}
WRONG: tuple[Any, ...] = (
    None, [], {}, "", " ", "\x00", "a\x00b", "\ud800", "<script>alert(1)</script>", "'; DROP TABLE billing.invoice; --",
    -1, 0, 1.5, 10**40, True, "x" * 5_000, [[[]]], {"a": 1}, "2026-13-45", "１２", "9999-12-31", [1.5], [None],
    float("1e308"),
)
PEOPLE = ("authority-1", "pricer", "approver", "officer")


@pytest.mark.parametrize("path", PATHS)
async def test_bodies_that_are_no_bodies(client: httpx.AsyncClient, staff: Any, path: str) -> None:
    for body in (b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"a": NaN}', b"[" * 5_000, b'{"version": 1e400}'):
        for who in PEOPLE:
            answer = await client.post(path, content=body, headers={**staff(who), "Content-Type": "application/json"})
            assert answer.status_code < 500 or answer.json()["code"] == "provider_not_configured", (body, answer.text)
            if answer.status_code >= 400:
                assert answer.json()["detail"]


@pytest.mark.parametrize("path", FIELDS)
async def test_each_field_with_each_kind_of_wrong_value(client: httpx.AsyncClient, staff: Any, path: str) -> None:
    who = staff("authority-1" if "ceilings" in path else "pricer" if "rate" in path or "price" in path else "officer")
    if path.endswith("price/approve"):
        who = staff("approver")
    names = FIELDS[path].split()
    for name in names:
        for wrong in WRONG:
            body = {key: GOOD[key] for key in names} | {name: wrong}
            content = json.dumps(body).encode()
            answer = await client.post(path, content=content, headers={**who, "Content-Type": "application/json"})
            assert answer.status_code < 500, (name, wrong, answer.text)


@pytest.mark.parametrize(
    "path",
    ["/v1/invoices?limit=0", "/v1/invoices?limit=9999", "/v1/invoices?state=lost", "/v1/invoices?cursor=%00",
     "/v1/invoices?period=%F0%9F%92%A9", "/v1/invoices/%00", "/v1/invoices/x/usage?line=0",
     "/v1/invoices/x/usage?cursor=-1",
     "/v1/invoices/x/usage?format=xlsx", "/v1/ceilings?state=x", "/v1/settlements/x", "/v1/settlements/x/statements/y",
     "/v1/ceilings/nope", "/v1/rate-cards/nope", "/v1/settlements?period='", "/v1/invoices?mine=maybe",
     f"/v1/invoices/x/usage?cursor={2**70}"],
)
async def test_queries_that_ask_nonsense(client: httpx.AsyncClient, staff: Any, path: str) -> None:
    answer = await client.get(path, headers={**staff("officer"), "Accept-Language": "en"})
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.json()["detail"].isascii()


async def test_nobody_gets_anywhere_without_signing_in(client: httpx.AsyncClient) -> None:
    for path in PATHS:
        if "webhook" not in path:
            assert (await client.post(path, json={})).status_code in (401, 422), path
    for path in ("/v1/invoices", "/v1/ledger/balances", "/v1/ledger/verify", "/v1/settlements", "/v1/payments"):
        assert (await client.get(path)).status_code == 401, path
    assert (await client.get("/v1/prices")).status_code == 200
