"""Registration from draft to code: every step by the table, with its clock, its history and its audit entry."""

from __future__ import annotations

from datetime import date
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from authz import (
    AuditEntry,
    AuditLog,
    Call,
    FieldError,
    InvalidInput,
    NotFound,
    Role,
    VersionConflict,
    beijing_date,
    new_id,
    require,
)
from licensing.access import belongs_to, require_decider, require_other_side, require_visible
from licensing.certificates import Certificate, issue
from licensing.errors import invalid
from licensing.limits import Limit
from licensing.numbers import next_number
from licensing.parties import names
from licensing.parties import service as parties
from licensing.registration import store
from licensing.registration.content import SOURCE_MODES, Content
from licensing.registration.errors import (
    NoSuchObjection,
    NoticeNotOver,
    NoticeOver,
    ObjectionOpen,
    SupplementOnce,
)
from licensing.registration.lifecycle import REGISTRATION, RegistrationEvent, RegistrationState
from licensing.registration.rules import make_code, rules, years_later
from licensing.registration.store import Registration
from licensing.remedy import remedy

S, E = RegistrationState, RegistrationEvent
REGISTRAR = "公共数据登记机构"
"""What a certificate says where the registration authority has not been entered as a party."""
DONE = {
    "create": "created", E.EDIT: "edited", E.SUBMIT: "submitted", E.WITHDRAW: "withdrawn", E.ACCEPT: "accepted",
    E.REQUEST_SUPPLEMENT: "supplement_requested", E.ANSWER_SUPPLEMENT: "supplement_answered", E.REJECT: "rejected",
    E.PASS_REVIEW: "noticed", E.OBJECT: "objected", E.DECIDE_OBJECTION: "objection_decided",
    E.ASSIGN_CODE: "coded", E.DEREGISTER: "deregistered", E.REVOKE: "revoked", E.EXPIRE: "expired",
}
"""Events as the audit log names them: what happened."""


def check_dates(content: Content, today: date) -> None:
    """Dates that cannot be: evidence or reviews in the future; raises InvalidInput naming each."""
    faults = [
        FieldError(field, "in_the_future", "日期不能晚于今天", "the date must not be in the future")
        for field, day in (
            ("content.evidence.deposited_on", content.evidence.deposited_on),
            ("content.business_review.reviewed_on", content.business_review.reviewed_on),
            ("content.security.assessed_on", content.security.assessed_on),
        )
        if day > today
    ]
    if content.product and content.product.agreement_ends_on and content.product.agreement_ends_on < today:
        faults.append(FieldError("content.product.agreement_ends_on", "in_the_past", "协议期限已届满",
                                 "the agreement has already ended"))
    if faults:
        raise InvalidInput(faults)


class RegistrationService:
    """``key`` signs certificates; ``issuer`` is the site's address."""

    def __init__(self, audit: AuditLog, key: Ed25519PrivateKey, issuer: str) -> None:
        self._audit, self._key, self._issuer = audit, key, issuer

    async def create(self, tx: asyncpg.Connection, call: Call, party_id: str, content: Content) -> Registration:
        """A draft by a verified party; raises Forbidden, PartyNotVerified, InvalidInput."""
        for seat in call.identity.memberships:
            if seat.organisation_id == party_id:
                await parties.ensure_department(tx, call, party_id, seat.title, audit=self._audit)
        party = await parties.require_acting(tx, call, party_id)
        require(call.identity, "registration:apply", party_id)
        check_dates(content, beijing_date(call.now))
        made = Registration(
            id=new_id("reg"), number=await next_number(tx, call, "DJ"), version=1, state=S.DRAFT,
            party_id=party.id, party_name=party.name, party_code=party.uscc or "",
            content=content.model_dump(mode="json"), step=None, step_started_on=None, due_on=None,
            supplements=0, notice_from=None, notice_until=None, code=None, coded_on=None, valid_until=None,
            created_by=call.identity.user_id, created_at=call.now, updated_at=call.now,
        )
        await store.insert(tx, made)
        await self._record(tx, call, made, "create", S.DRAFT, None, {})
        return made

    async def _take(
        self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int, event: RegistrationEvent,
        reason: str | None,
    ) -> Registration:
        """Lock the row and check what holds for every event: version, table, role, side, reason.

        A stranger can only object, and only within the public notice: of anything else they learn nothing (404).
        """
        found = await store.fetch(tx, registration_id, lock=True)
        if found is None:
            raise NotFound
        in_public = event is E.OBJECT and found.state is S.PUBLIC_NOTICE
        if not in_public and not belongs_to(call.identity, found.party_id):
            require_visible(call.identity, "registration:view", found.party_id)
        row = REGISTRATION.answer(found.state, event)
        if row is not None and row.who == "registration:apply":
            if found.party_id not in call.identity.organisations():
                raise NotFound
            require(call.identity, row.who, found.party_id)
        elif event is E.OBJECT:
            require_other_side(call.identity, found.party_id)
        elif row is not None:
            require_decider(call.identity, row.who, found.party_id, found.party_id, found.created_by)
        row = REGISTRATION.require(found.state, event)
        if found.version != version:
            raise VersionConflict(current=found.version, given=version)
        if row.reason_required and not reason:
            raise invalid("reason", "missing", "必须说明理由", "a reason is required")
        return found

    async def _move(
        self, tx: asyncpg.Connection, call: Call, changed: Registration, event: RegistrationEvent,
        target: RegistrationState, reason: str | None = None, details: dict[str, Any] | None = None,
    ) -> Registration:
        before = changed.state
        row = REGISTRATION.require(before, event)
        changed.state = RegistrationState(REGISTRATION.chosen(row, target))
        changed.version += 1
        changed.updated_at = call.now
        await store.save(tx, changed)
        await self._record(tx, call, changed, event.value, before, reason, details or {})
        return changed

    async def _record(
        self, tx: asyncpg.Connection, call: Call, changed: Registration, event: str, before: RegistrationState,
        reason: str | None, details: dict[str, Any],
    ) -> None:
        ends_badly = changed.state in (S.REJECTED, S.TERMINATED, S.REVOKED, S.DEREGISTERED)
        row = REGISTRATION.answer(before, RegistrationEvent(event)) if event != "create" else None
        await tx.execute(
            "INSERT INTO licensing.registration_event (registration_id, at, actor_id, actor, event, from_state,"
            " to_state, reason, basis, remedy, details) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)",
            changed.id, call.now, call.identity.user_id, call.identity.display_name, event, before.value,
            changed.state.value, reason, row.basis if row else None,
            remedy(beijing_date(call.now))["zh"] if ends_badly else None, details,
        )
        await self._audit.append(tx, AuditEntry(
            f"registration.{DONE[event]}", call.identity.name, "registration", changed.id, changed.party_id,
            basis=row.basis if row else None, reason=reason, request_id=call.request_id,
            details={"from": before.value, "to": changed.state.value, **details},
        ))

    @staticmethod
    def _start(changed: Registration, step: str | None, limit: Limit | None, today: date) -> None:
        changed.step = step
        changed.step_started_on = today if step else None
        changed.due_on = limit.deadline(today).on if limit else None

    async def edit(
        self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int, content: Content
    ) -> Registration:
        found = await self._take(tx, call, registration_id, version, E.EDIT, None)
        check_dates(content, beijing_date(call.now))
        found.content = content.model_dump(mode="json")
        return await self._move(tx, call, found, E.EDIT, S.DRAFT)

    async def submit(self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int) -> Registration:
        """Apply (第七条): the clock of acceptance begins."""
        found = await self._take(tx, call, registration_id, version, E.SUBMIT, None)
        self._start(found, "acceptance", rules().acceptance, beijing_date(call.now))
        return await self._move(tx, call, found, E.SUBMIT, S.APPLIED,
                                details={"evidence": found.content["evidence"]["digest"]})

    async def withdraw(self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int) -> Registration:
        found = await self._take(tx, call, registration_id, version, E.WITHDRAW, None)
        self._start(found, None, None, beijing_date(call.now))
        return await self._move(tx, call, found, E.WITHDRAW, S.WITHDRAWN)

    async def request_supplement(
        self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int, reason: str | None
    ) -> Registration:
        """Tell once and completely what is missing (第十条)."""
        found = await self._take(tx, call, registration_id, version, E.REQUEST_SUPPLEMENT, reason)
        if found.supplements:
            raise SupplementOnce
        found.supplements += 1
        self._start(found, "supplement", None, beijing_date(call.now))
        return await self._move(tx, call, found, E.REQUEST_SUPPLEMENT, S.SUPPLEMENT, reason)

    async def answer_supplement(
        self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int, content: Content | None
    ) -> Registration:
        """Hand in what was missing; the clock of acceptance restarts (第十条)."""
        found = await self._take(tx, call, registration_id, version, E.ANSWER_SUPPLEMENT, None)
        if content is not None:
            check_dates(content, beijing_date(call.now))
            found.content = content.model_dump(mode="json")
        self._start(found, "acceptance", rules().acceptance, beijing_date(call.now))
        return await self._move(tx, call, found, E.ANSWER_SUPPLEMENT, S.APPLIED)

    async def accept(self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int) -> Registration:
        """Accept (第十条): the clock of the formal review begins."""
        found = await self._take(tx, call, registration_id, version, E.ACCEPT, None)
        self._start(found, "review", rules().review, beijing_date(call.now))
        return await self._move(tx, call, found, E.ACCEPT, S.ACCEPTED)

    async def reject(
        self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int, reason: str | None
    ) -> Registration:
        found = await self._take(tx, call, registration_id, version, E.REJECT, reason)
        self._start(found, None, None, beijing_date(call.now))
        return await self._move(tx, call, found, E.REJECT, S.REJECTED, reason)

    async def pass_review(self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int) -> Registration:
        """Pass the formal review and open the public notice of ten working days (第十一、十二条)."""
        found = await self._take(tx, call, registration_id, version, E.PASS_REVIEW, None)
        today = beijing_date(call.now)
        self._start(found, "notice", rules().notice, today)
        found.notice_from, found.notice_until = today, found.due_on
        return await self._move(tx, call, found, E.PASS_REVIEW, S.PUBLIC_NOTICE,
                                details={"notice_until": str(found.notice_until)})

    async def object_to(
        self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int, real_name: str,
        grounds: str, evidence: str,
    ) -> Registration:
        """Object within the notice, with real name and evidence (第十二条). Names stay out of the audit log."""
        found = await self._take(tx, call, registration_id, version, E.OBJECT, grounds)
        today = beijing_date(call.now)
        if found.notice_until is not None and today > found.notice_until:
            raise NoticeOver(until=found.notice_until)
        objection = new_id("obj")
        await tx.execute(
            "INSERT INTO licensing.objection (id, registration_id, objector_id, objector_name, grounds, evidence,"
            " raised_at, due_on) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)",
            objection, found.id, call.identity.user_id, real_name, grounds, evidence, call.now,
            rules().objection.deadline(today).on,
        )
        return await self._move(tx, call, found, E.OBJECT, S.PUBLIC_NOTICE, details={"objection": objection})

    async def decide_objection(
        self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int, objection_id: str,
        upheld: bool, reason: str | None,
    ) -> Registration:
        """Decide on an objection; one that is upheld ends the registration (第十二条)."""
        found = await self._take(tx, call, registration_id, version, E.DECIDE_OBJECTION, reason)
        changed = await tx.execute(
            "UPDATE licensing.objection SET verdict = $3, decided_by = $4, decided_at = $5, reason = $6"
            " WHERE id = $1 AND registration_id = $2 AND verdict IS NULL AND objector_id <> $4",
            objection_id, found.id, "upheld" if upheld else "dismissed", call.identity.user_id, call.now, reason,
        )
        if changed != "UPDATE 1":
            raise NoSuchObjection
        if upheld:
            self._start(found, None, None, beijing_date(call.now))
        return await self._move(
            tx, call, found, E.DECIDE_OBJECTION, S.TERMINATED if upheld else S.PUBLIC_NOTICE, reason,
            {"objection": objection_id, "upheld": upheld},
        )

    async def assign_code(
        self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int
    ) -> Registration:
        """Assign the code and issue the certificate once the notice is over (第十三、十五条)."""
        found = await self._take(tx, call, registration_id, version, E.ASSIGN_CODE, None)
        today, given = beijing_date(call.now), rules()
        if found.notice_until is None or today <= found.notice_until:
            raise NoticeNotOver(until=found.notice_until)
        undecided = await store.open_objections(tx, found.id)
        if undecided:
            raise ObjectionOpen(count=undecided)
        serial: int = await tx.fetchval("SELECT nextval('licensing.registration_code')")
        found.code, found.coded_on = make_code(serial, today, given), today
        found.valid_until = years_later(today, given.validity_years_max)
        product = found.content.get("product") or {}
        if product.get("agreement_ends_on"):
            found.valid_until = min(found.valid_until, date.fromisoformat(product["agreement_ends_on"]))
        self._start(found, None, None, today)
        await self._certify(tx, call, found, await self._registrar(tx, call))
        return await self._move(tx, call, found, E.ASSIGN_CODE, S.CODED, details={"code": found.code})

    @staticmethod
    async def _registrar(tx: asyncpg.Connection, call: Call) -> str:
        """The name of the registration authority for which the caller acts."""
        acting = sorted(call.identity.organisations(Role.REGISTRAR))
        known = await names(tx, acting)
        return next((known[one].name for one in acting if one in known), REGISTRAR)

    async def _certify(self, tx: asyncpg.Connection, call: Call, coded: Registration, registrar: str) -> None:
        content = coded.content
        assert coded.code is not None  # noqa: S101 - set by assign_code
        assert coded.coded_on is not None  # noqa: S101
        assert coded.valid_until is not None  # noqa: S101
        certificate = Certificate(
            code=coded.code, registration_id=coded.id, registrant=coded.party_name,
            registrant_code=coded.party_code, kind=content["kind"], title=content["title"],
            summary=content["summary"], domain=content["domain"],
            source=f"{SOURCE_MODES[content['source']['mode']]}：{content['source']['basis'][:200]}",
            scale=content["scale"],
            update_cycle=content["update_cycle"], region=content["region"], restrictions=content["restrictions"],
            registrar=registrar, coded_on=coded.coded_on, valid_from=coded.coded_on, valid_until=coded.valid_until,
            evidence_algorithm=content["evidence"]["algorithm"], evidence_digest=content["evidence"]["digest"],
            evidence_at=content["evidence"]["deposited_on"],
        )
        token = issue(certificate, self._key, self._issuer, call.now)
        await tx.execute(
            "INSERT INTO licensing.certificate (code, registration_id, token, facts, issued_at)"
            " VALUES ($1, $2, $3, $4, $5)",
            coded.code, coded.id, token, certificate.as_claims(), call.now,
        )

    async def end(
        self, tx: asyncpg.Connection, call: Call, registration_id: str, version: int, event: RegistrationEvent,
        reason: str | None,
    ) -> Registration:
        """Deregister (第九条第四项) or revoke (第二十条); the certificate's public status follows."""
        found = await self._take(tx, call, registration_id, version, event, reason)
        target = S.DEREGISTERED if event is E.DEREGISTER else S.REVOKED
        return await self._move(tx, call, found, event, target, reason)
