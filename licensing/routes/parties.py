"""``/v1/parties``: organisation accounts, their verification and members."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from authz import Call, CallDep, Role, RoleAssignment, RuntimeDep, once, organisations_where
from licensing import parties
from licensing.access import belongs_to, permits
from licensing.history import history_of
from licensing.lifecycle import PARTY, PartyEvent, PartyState
from licensing.parties import Particulars, Party, PartyKind
from licensing.routes.bodies import MemberBody, ParticularsBody, PartyAmendBody, PartyBody, PartyVerdictBody
from licensing.routes.paging import Cursor, Limit, page

router = APIRouter(prefix="/v1/parties", tags=["parties"])


def _particulars(body: ParticularsBody) -> Particulars:
    return Particulars(
        name=body.name, uscc=body.uscc or None, legal_representative=body.legal_representative or None,
        contact_name=body.contact_name or None, contact_phone=body.contact_phone or None,
        contact_email=body.contact_email or None, address=body.address or None,
        affiliates=tuple(body.affiliates),
    )


def _shown(call: Call, party: Party) -> dict[str, Any]:
    mine = belongs_to(call.identity, party.id)
    other_side = not mine and call.identity.user_id != party.created_by
    allowed = [
        row.event.value for row in PARTY.possible(party.state)
        if permits(call.identity, row.who, party.id) and (other_side or row.event is PartyEvent.AMEND)
    ]
    return {**party.as_document(), "mine": mine, "allowed_events": allowed}


@router.post("", status_code=201)
async def sign_up(body: PartyBody, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Sign an organisation up; the caller becomes its administrator, the authority verifies it."""
    async with runtime.transaction() as tx:

        async def produce() -> dict[str, Any]:
            party = await parties.sign_up(tx, call, body.kind, _particulars(body), audit=runtime.audit)
            return {**party.as_document(), "mine": True, "allowed_events": []}

        return await once(tx, call, "party.sign_up", body.model_dump(mode="json"), produce)


@router.get("")
async def list_parties(
    runtime: RuntimeDep, call: CallDep, mine: bool = False, state: PartyState | None = None,
    kind: PartyKind | None = None, limit: Limit = 50, cursor: Cursor = None,
) -> dict[str, Any]:
    """Parties of the caller, or for those who supervise all of them."""
    everywhere = organisations_where(call.identity, "party:view")
    ids = None if everywhere is None and not mine else sorted(call.identity.organisations())
    async with runtime.snapshot() as tx:
        found = await parties.listing(
            tx, ids=ids, state=state, kind=kind.value if kind else None, before=cursor, limit=limit + 1
        )
    return page(found, limit, lambda one: one.id, lambda one: _shown(call, one))


@router.get("/{party_id}")
async def show_party(party_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """A party with its history, for its members and supervisors."""
    async with runtime.snapshot() as tx:
        party = await parties.view(tx, call, party_id)
        return {**_shown(call, party), "history": await history_of(tx, PARTY, party_id)}


@router.put("/{party_id}")
async def amend_party(
    party_id: str, body: PartyAmendBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """Correct the particulars; the check begins anew."""
    async with runtime.transaction() as tx:
        party = await parties.amend(
            tx, call, party_id, body.version, _particulars(body), audit=runtime.audit
        )
        return _shown(call, party)


@router.post("/{party_id}/verify")
async def verify_party(
    party_id: str, body: PartyVerdictBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """The authority's verdict; refusing and suspending need a reason."""
    async with runtime.transaction() as tx:
        party = await parties.decide(
            tx, call, party_id, PartyEvent(body.verdict), body.version, body.reason, audit=runtime.audit
        )
        return _shown(call, party)


def _seat(seat: RoleAssignment) -> dict[str, Any]:
    return seat.as_document()


@router.get("/{party_id}/members")
async def list_members(party_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Seats of the party."""
    async with runtime.snapshot() as tx:
        found = await parties.members(tx, call, party_id)
    return {"items": [_seat(one) for one in found], "next": None}


@router.post("/{party_id}/members", status_code=201)
async def add_member(
    party_id: str, body: MemberBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """Give a person a seat in the party."""
    async with runtime.transaction() as tx:

        async def produce() -> dict[str, Any]:
            seat = await parties.add_member(
                tx, call, party_id, user_id=body.user_id, user_name=body.user_name, role=Role(body.role),
                audit=runtime.audit,
            )
            return _seat(seat)

        content = {"party_id": party_id, **body.model_dump(mode="json")}
        return await once(tx, call, "party.add_member", content, produce)


@router.delete("/{party_id}/members/{assignment_id}")
async def remove_member(
    party_id: str, assignment_id: str, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """End a seat."""
    async with runtime.transaction() as tx:
        return _seat(await parties.remove_member(tx, call, party_id, assignment_id, audit=runtime.audit))


