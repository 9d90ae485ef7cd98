"""HTTP routes of registration, public notices and certificates."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import asyncpg
from fastapi import APIRouter, Path, Query
from fastapi.responses import PlainTextResponse, Response
from pydantic import Field

from authz import Body, Call, CallDep, NotFound, OptionalCallDep, Runtime, RuntimeDep, beijing_date, may, once
from licensing.access import belongs_to, permits, require_visible
from licensing.certificates import Certificate, verify
from licensing.certificates.jws import BYTES_MAX, public_jwk
from licensing.errors import invalid
from licensing.registration import store, view
from licensing.registration.content import Content
from licensing.registration.lifecycle import REGISTRATION, RegistrationEvent, RegistrationState
from licensing.registration.service import RegistrationService
from licensing.registration.store import Registration

router = APIRouter()
Id = Annotated[str, Path(pattern=r"^reg_[0-9a-z]{26}$")]
Code = Annotated[str, Path(pattern=r"^[0-9A-Z]{8,64}$")]
E = RegistrationEvent
QUEUE = [RegistrationState.APPLIED, RegistrationState.ACCEPTED, RegistrationState.PUBLIC_NOTICE]


def _service(runtime: Runtime) -> RegistrationService:
    return RegistrationService(runtime.audit, runtime.signing_key, runtime.settings.site_url)


async def _shown(tx: asyncpg.Connection, call: Call, found: Registration) -> dict[str, Any]:
    history, objections = await store.history(tx, found.id), await store.objections(tx, found.id)
    return view.whole(found, history, objections, call.identity, beijing_date(call.now))


class NewRegistration(Body):
    party_id: Annotated[str, Field(min_length=1, max_length=64)]
    content: Content
    submit: bool = False


@router.post("/v1/registrations", status_code=201, tags=["registration"])
async def create_registration(body: NewRegistration, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Draw up an application for first registration, and with ``submit`` hand it in at once."""
    service = _service(runtime)
    async with runtime.transaction() as tx:

        async def produce() -> dict[str, Any]:
            made = await service.create(tx, call, body.party_id, body.content)
            if body.submit:
                made = await service.submit(tx, call, made.id, made.version)
            return await _shown(tx, call, made)

        return await once(tx, call, "registration.create", body.model_dump(mode="json"), produce)


@router.get("/v1/registrations", tags=["registration"])
async def list_registrations(
    runtime: RuntimeDep,
    call: OptionalCallDep,
    mine: bool = False,
    queue: bool = False,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str, Query(max_length=64)] = "",
) -> dict[str, Any]:
    """One's own, the registrar's queue, or (without either) the public list of coded registrations."""
    parties: list[str] | None = None
    states: list[str] | None = [RegistrationState.CODED.value]
    if mine and call:
        parties, states = sorted(call.identity.organisations()), None
    elif queue and call and may(call.identity, "registration:accept", None).permitted:
        states = [state.value for state in QUEUE]
    async with runtime.snapshot() as tx:
        rows = await store.listed(tx, parties=parties, states=states, after=cursor, limit=limit + 1)
    today = beijing_date(runtime.clock.now())
    items = [{**view.public(row), "clock": view.clock(row, today) if mine or queue else None}
             for row in rows[:limit]]
    return {"items": items, "next": rows[limit - 1].id if len(rows) > limit else None}


@router.get("/v1/registrations/{registration_id}", tags=["registration"])
async def show_registration(registration_id: Id, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """The whole registration, for its registrant, the registration authority and the supervisors."""
    async with runtime.snapshot() as tx:
        found = await store.fetch(tx, registration_id)
        if found is None:
            raise NotFound
        if not belongs_to(call.identity, found.party_id):
            require_visible(call.identity, "registration:view", found.party_id)
        return await _shown(tx, call, found)


Text = Annotated[str, Field(min_length=2, max_length=2_000, pattern=r"^[^\x00]*$")]


class RegistrationStep(Body):
    """One event; what each needs besides ``version`` is said in its refusal."""

    event: Literal[
        "edit", "submit", "withdraw", "accept", "request_supplement", "answer_supplement", "reject", "pass_review",
        "object", "decide_objection", "assign_code", "deregister", "revoke",
    ]
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    reason: Text | None = None
    content: Content | None = None
    real_name: Annotated[str | None, Field(min_length=2, max_length=40, pattern=r"^[^\x00]*$")] = None
    evidence: Text | None = None
    objection_id: Annotated[str | None, Field(max_length=40)] = None
    verdict: Literal["upheld", "dismissed"] | None = None


def _needed(value: Any, field: str) -> Any:
    if value is None:
        raise invalid(field, "missing", "必填项", "is required")
    return value


async def _apply(
    service: RegistrationService, tx: asyncpg.Connection, call: Call, id: str, body: RegistrationStep
) -> Registration:
    version, event = body.version, E(body.event)
    plain = {
        E.SUBMIT: service.submit, E.WITHDRAW: service.withdraw, E.ACCEPT: service.accept,
        E.PASS_REVIEW: service.pass_review,
    }
    reasoned = {E.REQUEST_SUPPLEMENT: service.request_supplement, E.REJECT: service.reject}
    if event in plain:
        return await plain[event](tx, call, id, version)
    if event in reasoned:
        return await reasoned[event](tx, call, id, version, body.reason)
    if event is E.EDIT:
        return await service.edit(tx, call, id, version, _needed(body.content, "content"))
    if event is E.ANSWER_SUPPLEMENT:
        return await service.answer_supplement(tx, call, id, version, body.content)
    if event is E.OBJECT:
        return await service.object_to(
            tx, call, id, version, _needed(body.real_name, "real_name"), _needed(body.reason, "reason"),
            _needed(body.evidence, "evidence"),
        )
    if event is E.DECIDE_OBJECTION:
        upheld = _needed(body.verdict, "verdict") == "upheld"
        objection = _needed(body.objection_id, "objection_id")
        return await service.decide_objection(tx, call, id, version, objection, upheld, body.reason)
    if event is E.ASSIGN_CODE:
        return await service.assign_code(tx, call, id, version)
    return await service.end(tx, call, id, version, event, body.reason)


@router.post("/v1/registrations/{registration_id}/events", tags=["registration"])
async def step_registration(
    registration_id: Id, body: RegistrationStep, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """Do one step. A stale ``version`` is refused with 409, so two who decide at once cannot both.

    Whoever objects without a right to see the registration is answered with what the public may see of it.
    """
    async with runtime.transaction() as tx:
        done = await _apply(_service(runtime), tx, call, registration_id, body)
        if not belongs_to(call.identity, done.party_id) and not permits(
            call.identity, "registration:view", done.party_id
        ):
            return view.public(done)
        return await _shown(tx, call, done)


@router.get("/v1/notices", tags=["public"])
async def list_notices(
    runtime: RuntimeDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str, Query(max_length=64)] = "",
) -> dict[str, Any]:
    """Registrations in public notice: registrant, kind, name, summary (第十二条). No account needed."""
    async with runtime.snapshot() as tx:
        rows = await store.listed(
            tx, parties=None, states=[RegistrationState.PUBLIC_NOTICE.value], after=cursor, limit=limit + 1
        )
    return {"items": [view.public(row) for row in rows[:limit]],
            "next": rows[limit - 1].id if len(rows) > limit else None}


async def _certificate(tx: asyncpg.Connection, code: str) -> tuple[asyncpg.Record, Registration]:
    row = await tx.fetchrow("SELECT * FROM licensing.certificate WHERE code = $1", code)
    found = await store.fetch(tx, row["registration_id"]) if row else None
    if row is None or found is None:
        raise NotFound
    return row, found


@router.get("/v1/certificates/{code}.jws", response_class=PlainTextResponse, tags=["public"])
async def show_token(code: Code, runtime: RuntimeDep) -> str:
    """The signed machine-readable twin."""
    async with runtime.snapshot() as tx:
        row, _ = await _certificate(tx, code)
    return str(row["token"])


@router.get("/v1/certificates/{code}.pdf", tags=["public"])
async def show_pdf(code: Code, runtime: RuntimeDep) -> Response:
    """The printable certificate with seal and QR."""
    from licensing.certificates.pdf import render  # reportlab and Pillow, for what is printed now and then

    async with runtime.snapshot() as tx:
        row, _ = await _certificate(tx, code)
    address = f"{runtime.settings.site_url}/verify/{code}"
    document = render(Certificate.from_claims(row["facts"]), row["token"], address)
    return Response(document, media_type="application/pdf",
                    headers={"Content-Disposition": f'inline; filename="{code}.pdf"'})


@router.get("/v1/certificates/{code}.svg", tags=["public"])
async def show_qr(code: Code, runtime: RuntimeDep) -> Response:
    """The QR code of the public verification page."""
    from licensing.certificates.pdf import qr_svg

    async with runtime.snapshot() as tx:
        await _certificate(tx, code)
    return Response(qr_svg(f"{runtime.settings.site_url}/verify/{code}"), media_type="image/svg+xml")


@router.get("/v1/certificates/{code}", tags=["public"])
async def show_certificate(code: Code, runtime: RuntimeDep) -> dict[str, Any]:
    """Facts and present status of a certificate, checked against its signature. No account needed."""
    async with runtime.snapshot() as tx:
        row, found = await _certificate(tx, code)
    certificate = verify(row["token"], runtime.signing_key.public_key())
    today = beijing_date(runtime.clock.now())
    expired = found.valid_until is not None and today > found.valid_until
    state = RegistrationState.EXPIRED if found.state is RegistrationState.CODED and expired else found.state
    label = REGISTRATION.states[state]
    return {
        **certificate.as_claims(), "status": state.value, "status_zh": label.zh, "status_en": label.en,
        "valid": state is RegistrationState.CODED, "checked_at": runtime.clock.now(),
        "downloads": {kind: f"/v1/certificates/{code}.{kind}" for kind in ("jws", "pdf", "svg")},
    }


class Token(Body):
    jws: Annotated[str, Field(min_length=10, max_length=BYTES_MAX)]


@router.post("/v1/certificates/verify", tags=["public"])
async def verify_token(body: Token, runtime: RuntimeDep) -> dict[str, Any]:
    """Whether a certificate at hand is ours and unchanged, and what its status is now; 422 when it is not."""
    certificate = verify(body.jws, runtime.signing_key.public_key())
    return await show_certificate(certificate.code, runtime)


@router.get("/v1/keys.json", tags=["public"])
async def show_keys(runtime: RuntimeDep) -> dict[str, Any]:
    """Keys that certificates are verified with, as a JWK set."""
    return {"keys": [public_jwk(runtime.signing_key.public_key())]}
