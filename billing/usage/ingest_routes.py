"""HTTP routes by which operators report usage of their own products, and staff correct what was recorded."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from authz import (
    Body,
    Call,
    CallDep,
    Conflict,
    FieldError,
    Forbidden,
    InvalidInput,
    NotSignedIn,
    Reason,
    Runtime,
    RuntimeDep,
    new_id,
    optional_call,
    organisations_where,
)
from authz import once as only_once
from billing.acting import Act, page
from billing.usage import cloudevents, products, sequences
from billing.usage.cloudevents import CANCELLED, CORRECTED, Fault
from billing.usage.ingest import CONFLICT, Answer, Ingestor, Parcel
from billing.usage.model import UsageEvent, UsageEventConflict
from billing.usage.products import NOT_PERMITTED, Reporter
from licensing import grants

EXTRA = "usage_ingestor"
KEY_PREFIX = "gok_"
SCOPE = "report"
CORRECT = "usage:correct"
DESK = "/v1/usage/corrections"
"""CloudEvents source of corrections that staff make."""
READ_AT_ONCE = 100
"""Events of a request that are read before anything else gets its turn."""

router = APIRouter(tags=["usage"])


class UsageNotPermitted(Forbidden):
    code = "usage_not_permitted"
    zh = "未登记该来源可就该授权报送此类事件。"
    en = "This source is not registered to report such events on this grant."
    next_zh = "请由授权所属单位的管理员在 /v1/usage/products 登记产品的来源、事件类型与授权。"
    next_en = "An administrator of the grant's holder registers source, types and grants at /v1/usage/products."


class ReportScopeMissing(Forbidden):
    code = "key_scope"
    zh = "该访问密钥不可用于报送用量（report）。"
    en = "This key may not be used to report usage (report)."
    next_zh = "请为该授权新建用途含 report 的访问密钥。"
    next_en = "Make a key of the grant with the scope report."


class EventNotCorrectable(Conflict):
    code = "usage_event_not_correctable"
    zh = "该事件不能更正。"
    en = "This event cannot be corrected."
    next_zh = "请按所列原因处理。"
    next_en = "See the reason given."


def ingestor_of(runtime: Runtime) -> Ingestor:
    """The one ingestor of this process."""
    found: Ingestor = runtime.extras.setdefault(EXTRA, Ingestor(runtime.pool, runtime.audit, runtime.clock))
    return found


async def close_ingest(runtime: Runtime) -> None:
    if EXTRA in runtime.extras:
        await ingestor_of(runtime).close()


async def _reporter(request: Request, runtime: Runtime) -> Reporter:
    """Who sends: a person by CKAN's token, or whoever holds a key of a grant made for reporting."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and rest.strip().startswith(KEY_PREFIX):
        return await _by_key(request, runtime, rest.strip())
    call = await optional_call(request)
    if call is None:
        raise NotSignedIn
    allowed = organisations_where(call.identity, products.REPORT)
    return Reporter(call.identity.name, allowed if allowed is not None else frozenset())


async def _by_key(request: Request, runtime: Runtime, key: str) -> Reporter:
    now = runtime.clock.now()
    async with runtime.snapshot() as tx:
        grant = await grants.by_key(tx, key, now)
    use = grant.key
    if use is None or SCOPE not in use.scopes or not _comes_from(request, use.ip_allow):
        raise ReportScopeMissing
    return Reporter(f"key:{use.prefix}", frozenset({grant.party_id}), grant.id)


def _comes_from(request: Request, ranges: tuple[str, ...]) -> bool:
    if not ranges:
        return True
    if request.client is None:
        return False
    here = ip_address(request.client.host)
    return any(here in ip_network(one, strict=False) for one in ranges)


@router.post("/v1/usage/events", summary="报送用量事件 Report usage events", response_model=None)
async def report_events(request: Request, runtime: RuntimeDep) -> Response:
    """CloudEvents of an operator's own product: one (structured or binary mode) or a batch of up to 5,000.

    An event is identified by (source, id): sent again it is a ``duplicate`` and counts once, with other content it is
    refused. Each event of a batch is answered for itself (207 when one or more were refused).
    """
    reporter = await _reporter(request, runtime)
    given, is_batch = cloudevents.read(
        request.headers.get("content-type", ""), dict(request.headers), await request.body()
    )
    answers, events = await take_in(runtime, reporter, request.state.request_id, given)
    english = _prefers_english(request)
    if not is_batch:
        return _single(events[0], answers[0])
    return _batch(given, events, answers, english)


async def take_in(
    runtime: Runtime, reporter: Reporter, request_id: str, given: list[Any]
) -> tuple[list[Answer], list[UsageEvent | Fault]]:
    """Check and record decoded events; an answer for each and what each was read as."""
    now = runtime.clock.now()
    async with runtime.snapshot() as tx:
        known = await products.permits(tx, reporter, cloudevents.pairs(given))
    resources = {pair: permit.resource_id for pair, permit in known.items()}
    events: list[UsageEvent | Fault] = []
    answers: list[Answer] = ["recorded"] * len(given)
    places: list[int] = []
    good: list[UsageEvent] = []
    for place, one in enumerate(given):
        if place % READ_AT_ONCE == READ_AT_ONCE - 1:
            await asyncio.sleep(0)  # others are served meanwhile, those above all that wait for the database's word
        event = cloudevents.parse(one, resources)
        events.append(event)
        if isinstance(event, Fault):
            answers[place] = event
            continue
        permit = products.check(event, known, now)
        if isinstance(permit, Fault):
            answers[place] = permit
            continue
        places.append(place)
        good.append(event)
    found = await ingestor_of(runtime).record(Parcel(reporter.name, request_id, good))
    for place, answer in zip(places, found, strict=True):
        answers[place] = answer
    return answers, events


def _prefers_english(request: Request) -> bool:
    return request.headers.get("accept-language", "").strip().lower().startswith("en")


def _single(event: UsageEvent | Fault, answer: Answer) -> Response:
    """201 when it was recorded now, 200 when it had been before; a refusal raises."""
    if isinstance(answer, Fault) or isinstance(event, Fault):
        _raise(event, answer if isinstance(answer, Fault) else event)
    assert isinstance(event, UsageEvent)  # noqa: S101 - a fault has been raised
    body = {"source": event.source, "id": event.id, "status": answer}
    return Response(orjson.dumps(body), 201 if answer == "recorded" else 200, media_type="application/json")


def _raise(event: UsageEvent | Fault, fault: Fault | UsageEvent) -> None:
    assert isinstance(fault, Fault)  # noqa: S101 - only called with one
    if fault is CONFLICT and isinstance(event, UsageEvent):
        raise UsageEventConflict(source=event.source, id=event.id)
    if fault.code == NOT_PERMITTED.code:
        raise UsageNotPermitted
    raise InvalidInput([fault.as_error()])


def _batch(given: list[Any], events: list[UsageEvent | Fault], answers: list[Answer], english: bool) -> Response:
    results: list[dict[str, Any]] = []
    counts = {"recorded": 0, "duplicate": 0, "refused": 0}
    for one, event, answer in zip(given, events, answers, strict=True):
        if isinstance(answer, Fault):
            counts["refused"] += 1
            source, name = _named(one, event)
            results.append({
                "source": source, "id": name, "status": "refused", "code": answer.code, "field": answer.field,
                "detail": answer.en if english else answer.zh,
            })
            continue
        counts[answer] += 1
        assert isinstance(event, UsageEvent)  # noqa: S101 - what is no event has a fault for an answer
        results.append({"source": event.source, "id": event.id, "status": answer})
    body = {
        "recorded": counts["recorded"], "duplicates": counts["duplicate"], "refused": counts["refused"],
        "results": results,
    }
    return Response(orjson.dumps(body), 207 if counts["refused"] else 200, media_type="application/json")


def _named(given: Any, event: UsageEvent | Fault) -> tuple[str | None, str | None]:
    if isinstance(event, UsageEvent):
        return event.source, event.id
    if not isinstance(given, dict):
        return None, None
    source, name = given.get("source"), given.get("id")
    return (
        source[:300] if isinstance(source, str) else None, name[:200] if isinstance(name, str) else None,
    )


class CorrectionBody(Body):
    """What an event should have said, or that it should not have been; always with a reason."""

    grant_id: Annotated[str, Field(min_length=1, max_length=100)]
    source: Annotated[str, Field(min_length=1, max_length=300)]
    id: Annotated[str, Field(min_length=1, max_length=200)]
    kind: Literal["corrected", "cancelled"]
    rows: Annotated[int, Field(ge=0, le=cloudevents.COUNT_MAX, strict=True)] = 0
    calls: Annotated[int, Field(ge=0, le=cloudevents.COUNT_MAX, strict=True)] = 0
    bytes: Annotated[int, Field(ge=0, le=cloudevents.COUNT_MAX, strict=True)] = 0
    reason: Annotated[str, Field(min_length=2, max_length=2_000)]


@router.post("/v1/usage/corrections", status_code=201, summary="更正用量事件 Correct a usage event")
async def correct_event(body: CorrectionBody, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Correct or cancel any event, by addition: for the exchange's staff, for deliveries settled by rule above all."""
    async with runtime.transaction() as tx:
        Act(tx, call, runtime.audit).require(CORRECT)
        return await only_once(
            tx, call, "usage:correct", body.model_dump(mode="json"), lambda: _correct(runtime, call, body)
        )


async def _correct(runtime: Runtime, call: Call, body: CorrectionBody) -> dict[str, Any]:
    cancel = body.kind == "cancelled"
    data: dict[str, Any] = {"source": body.source, "id": body.id, "reason": body.reason}
    if not cancel:
        data["data"] = {"rows": body.rows, "calls": body.calls, "bytes": body.bytes}
    event = UsageEvent(
        DESK, new_id("cor"), body.grant_id, call.now, "", 0, 0, 0, data, CANCELLED if cancel else CORRECTED, body=data,
        corrects=(body.source, body.id), issued_at=call.now,
    )
    (answer,) = await ingestor_of(runtime).record(Parcel(call.identity.name, call.request_id, [event]))
    if isinstance(answer, Fault):
        raise EventNotCorrectable(reasons=[Reason(answer.code, answer.zh, answer.en)])
    return {"source": event.source, "id": event.id, "status": answer}


class ProductBody(Body):
    party_id: Annotated[str, Field(min_length=1, max_length=100)]
    source: Annotated[str, Field(min_length=8, max_length=300, pattern=r"^https?://[A-Za-z0-9.-]+(:\d+)?(/[\w./~-]*)?$")]
    title: Annotated[str, Field(min_length=2, max_length=200)]
    types: Annotated[
        list[Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[a-z][a-z0-9_.-]+$")]],
        Field(min_length=1, max_length=20),
    ]
    grants: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=200)]


class ProductChange(Body):
    grants: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=200)] | None = None
    retire: bool = False


@router.post("/v1/usage/products", status_code=201, summary="登记报送用量的产品 Register a product that reports usage")
async def register_product(body: ProductBody, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """For an administrator of the grants' holder: which source may report which event types on which own grants."""
    if any(kind.startswith("cn.govopen.") for kind in body.types):
        zh, en = "cn.govopen. 开头的类型由平台使用", "types of cn.govopen. are the platform's own"
        raise InvalidInput([FieldError("types", "type_reserved", zh, en)])
    given = products.NewProduct(
        body.party_id, body.source, body.title, tuple(sorted(set(body.types))), tuple(sorted(set(body.grants)))
    )
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)

        async def make() -> dict[str, Any]:
            return (await products.register(act, given)).as_document()

        return await only_once(tx, call, "usage:product", body.model_dump(mode="json"), make)


@router.get("/v1/usage/products", summary="报送用量的产品 Products that report usage")
async def list_products(
    runtime: RuntimeDep, call: CallDep, limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> dict[str, Any]:
    async with runtime.snapshot() as tx:
        found = await products.listed(Act(tx, call, runtime.audit), limit + 1, cursor)
        return page([one.as_document() for one in found], limit)


@router.patch("/v1/usage/products/{product_id}", summary="变更或停用产品 Change or retire a product")
async def change_product(product_id: str, body: ProductChange, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        grants_now = None if body.grants is None else sorted(set(body.grants))
        return (await products.change(act, product_id, grants_now, retire=body.retire)).as_document()


@router.get("/v1/grants/{grant_id}/usage/sequences", summary="用量事件的连续性 What is missing of a grant's events")
async def show_sequences(grant_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Our own count of the grant's events, and per sender which of its own numbers never came."""
    async with runtime.snapshot() as tx:
        await grants.view(tx, call, grant_id)
        return await sequences.show(tx, grant_id)
