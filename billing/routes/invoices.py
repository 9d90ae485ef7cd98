"""Closing months; invoices, their usage, credit notes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import Field, StrictInt, model_validator

from authz import Body, CallDep, Runtime, RuntimeDep, organisations_where
from authz import once as only_once
from billing.acting import Act, page
from billing.invoices import credit, views
from billing.invoices.closing import close_period
from billing.money import AmountFen
from billing.periods import Period
from billing.routes.common import Cursor, Limit, Version

router = APIRouter(tags=["invoices"])
State = Literal["open", "partly_paid", "overdue", "paid", "credited", "free"]


@router.post("/v1/billing/periods/{period}/close")
async def close(period: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Close a month that has ended; again is harmless."""
    return await close_period(runtime, call, Period.parse(period))


@router.get("/v1/billing/periods")
async def list_periods(runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Months that were closed, newest first."""
    async with runtime.transaction() as tx:
        Act(tx, call, runtime.audit).require("invoice:view")
        rows = await tx.fetch(
            "SELECT period, closed_at, invoices, total_fen, tax_rate_bp FROM billing.period_close ORDER BY 1 DESC"
        )
        return {"items": [dict(row) for row in rows], "next": None}


@router.get("/v1/invoices")
async def list_invoices(
    runtime: RuntimeDep, call: CallDep, mine: bool = False, state: State | None = None, period: str | None = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> dict[str, Any]:
    """Invoices the caller may see; ``mine=1`` only those of the caller's own organisations."""
    allowed = organisations_where(call.identity, "invoice:view")
    if mine:
        own = call.identity.organisations()
        allowed = own if allowed is None else allowed & own
    async with runtime.snapshot() as tx:
        return page(await views.listed(tx, allowed, state, period, limit + 1, cursor), limit)


@router.get("/v1/invoices/{invoice_id}")
async def show_invoice(invoice_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """An invoice with its lines; 404 for anybody it does not concern."""
    async with runtime.snapshot() as tx:
        Act(tx, call, runtime.audit).require_sight("invoice:view", await views.party_of(tx, invoice_id))
        return await views.show(tx, invoice_id)


@router.get("/v1/invoices/{invoice_id}/usage", response_model=None)
async def list_usage(
    invoice_id: str, runtime: RuntimeDep, call: CallDep, line: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
    format: Literal["json", "csv"] = "json", limit: Limit = 100,
    cursor: Annotated[int, Query(ge=0, le=2**62)] = 0,
) -> dict[str, Any] | StreamingResponse:
    """The usage events behind an invoice or one of its lines; ``format=csv`` downloads all of them."""
    async with runtime.snapshot() as tx:
        Act(tx, call, runtime.audit).require_sight("invoice:view", await views.party_of(tx, invoice_id))
        if format == "json":
            folder = runtime.settings.archive_folder
            return page(await views.usage_page(tx, folder, invoice_id, line, limit + 1, cursor), limit, "number")
        await views.behind(tx, invoice_id, line)
    return _csv(runtime, invoice_id, line)


def _csv(runtime: Runtime, invoice_id: str, line: int | None) -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        async with runtime.snapshot() as reading:
            async for text in views.usage_csv(reading, runtime.settings.archive_folder, invoice_id, line):
                yield text

    of_line = "" if line is None else f"-{line}"
    name = f'attachment; filename="{invoice_id}{of_line}-usage.csv"'
    return StreamingResponse(body(), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": name})


LineNumber = Annotated[int, Path(ge=1, le=1_000_000)]


@router.get("/v1/invoices/{invoice_id}/lines/{line}/usage", summary="账单行对应的用量 Usage behind a line")
async def list_line_usage(
    invoice_id: str, line: LineNumber, runtime: RuntimeDep, call: CallDep, limit: Limit = 100,
    cursor: Annotated[int, Query(ge=0, le=2**62)] = 0,
) -> dict[str, Any]:
    """The usage events from which a line was rated, corrections among them, in the order they were recorded."""
    async with runtime.snapshot() as tx:
        Act(tx, call, runtime.audit).require_sight("invoice:view", await views.party_of(tx, invoice_id))
        folder = runtime.settings.archive_folder
        return page(await views.usage_page(tx, folder, invoice_id, line, limit + 1, cursor), limit, "number")


@router.get("/v1/invoices/{invoice_id}/lines/{line}/usage.csv", response_model=None,
            summary="下载账单行对应的用量 Download the usage behind a line")
async def download_line_usage(
    invoice_id: str, line: LineNumber, runtime: RuntimeDep, call: CallDep
) -> StreamingResponse:
    """The same as a CSV file, whole."""
    async with runtime.snapshot() as tx:
        Act(tx, call, runtime.audit).require_sight("invoice:view", await views.party_of(tx, invoice_id))
        await views.behind(tx, invoice_id, line)
    return _csv(runtime, invoice_id, line)


class CreditLine(Body):
    line: Annotated[StrictInt, Field(ge=1, le=1_000_000)]
    amount_fen: AmountFen


class CreditBody(Body):
    lines: Annotated[list[CreditLine], Field(min_length=1, max_length=1_000)]
    reason: Annotated[str, Field(min_length=2, max_length=2_000)]
    version: Version

    @model_validator(mode="after")
    def _once_each(self) -> CreditBody:
        if len({one.line for one in self.lines}) != len(self.lines):
            raise ValueError("同一行只能出现一次 / each line may appear once")
        return self


@router.post("/v1/invoices/{invoice_id}/credit-notes", status_code=201)
async def issue_credit_note(
    invoice_id: str, body: CreditBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        credits = [credit.LineCredit(one.line, one.amount_fen) for one in body.lines]
        return await only_once(
            tx, call, f"credit:{invoice_id}", body.model_dump(mode="json"),
            lambda: credit.issue(act, invoice_id, credits, body.reason, body.version),
        )
