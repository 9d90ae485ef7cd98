"""``/v1/decisions``: what was decided and why, what would be decided, who can see data, what a grant allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast

import asyncpg
from fastapi import APIRouter
from pydantic import Field, StringConstraints

from authz import objects
from authz.authzen.data import DataDomain
from authz.authzen.domain import Asking, MayNotAsk
from authz.authzen.request import EvaluationRequest
from authz.decision import DecisionRequest, Effect
from authz.decision_log import facts_then
from authz.foundation.errors import NotFound
from authz.foundation.http import Body, CallDep, RuntimeDep
from authz.foundation.identity import Call
from authz.foundation.runtime import Runtime
from authz.model import DeliveryForm, GrantFacts, GrantState
from authz.pdp.bundle import PolicySet, in_force, packaged
from authz.pdp.decide import decide, policy_input
from authz.pdp.explain import explain, same
from authz.roles import may, organisations_where

router = APIRouter(prefix="/v1/decisions", tags=["decisions"])

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Limit = Annotated[int, Field(ge=1, le=200)]


class GrantIfs(Body):
    """What if the grant were otherwise; what is left out stays as it is."""

    state: GrantState | None = None
    columns: Annotated[list[Identifier], Field(max_length=500)] | None = None
    delivery: Annotated[list[DeliveryForm], Field(max_length=5)] | None = None
    purpose: Identifier | None = None
    scenario: Annotated[str, StringConstraints(max_length=4000)] | None = None
    valid_until: datetime | None = None

    def applied(self, grant: GrantFacts) -> GrantFacts:
        """The grant with these in place of its own; an instant without zone is UTC."""
        told = {name: getattr(self, name) for name in self.model_fields_set if getattr(self, name) is not None}
        for name in ("columns", "delivery"):
            if name in told:
                told[name] = tuple(told[name])
        if "valid_until" in told and told["valid_until"].tzinfo is None:
            told["valid_until"] = told["valid_until"].replace(tzinfo=UTC)
        return replace(grant, **told)


class Question(Body):
    """A question to the decision point, possibly about another time or a grant that is otherwise."""

    subject_type: Literal["user", "grant", "key"]
    subject_id: Identifier
    resource_id: Identifier
    action: Literal["read", "aggregate"] = "read"
    fields: Annotated[list[Identifier], Field(min_length=1, max_length=500)] | None = None
    purpose: Identifier | None = None
    purpose_class: Identifier | None = None
    scenario: Annotated[str, StringConstraints(max_length=1000)] | None = None
    channel: DeliveryForm = DeliveryForm.API
    ip_address: Annotated[str, StringConstraints(max_length=100)] | None = None
    time: datetime | None = None
    if_grant: GrantIfs | None = None

    def wanted(self) -> EvaluationRequest:
        at = self.time if self.time is None or self.time.tzinfo else self.time.replace(tzinfo=UTC)
        return EvaluationRequest(
            subject_type=self.subject_type, subject_id=self.subject_id, subject_properties={}, action=self.action,
            resource_type="data_object", resource_id=self.resource_id, action_properties={}, resource_properties={},
            purpose=self.purpose, purpose_class=self.purpose_class, scenario=self.scenario, channel=self.channel,
            fields=tuple(self.fields) if self.fields else None, address=self.ip_address, time=at, approval=None,
        )


def _asking(runtime: Runtime, tx: asyncpg.Connection, call: Call) -> Asking:
    return Asking(runtime, tx, call, may(call.identity, "decision:evaluate", None).effect is Effect.PERMIT)


async def _grants(runtime: Runtime, tx: asyncpg.Connection, **wanted: Any) -> Sequence[GrantFacts]:
    source = cast("Callable[..., Any] | None", runtime.extras.get("grants_found"))
    return await source(tx, **wanted) if source else ()


@router.get("")
async def list_decisions(
    runtime: RuntimeDep, call: CallDep, resource_id: Identifier | None = None, grant_id: Identifier | None = None,
    effect: Literal["permit", "deny"] | None = None, limit: Limit = 50,
    cursor: Annotated[int, Field(ge=1, le=2**62)] | None = None,
) -> dict[str, Any]:
    """Logged decisions, newest first: of one's department's data and one's parties' grants; evaluators see all."""
    async with runtime.snapshot() as tx:
        asking = _asking(runtime, tx, call)
        own, seats = organisations_where(call.identity, "object:publish"), call.identity.organisations()
        mine = [] if asking.evaluates or not seats else [
            one.id for one in await _grants(runtime, tx, resource_id=None, party_ids=seats, after="", limit=10_000)
        ]
        rows = await tx.fetch(
            "SELECT l.*, o.document->>'title' AS title, o.document->>'dataset_title' AS dataset_title"
            " FROM authz.decision_log l LEFT JOIN authz.data_object o USING (resource_id)"
            " WHERE ($1 OR o.organisation_id = ANY($2::text[]) OR l.grant_id = ANY($3::text[]))"
            " AND ($4::text IS NULL OR l.resource_id = $4) AND ($5::text IS NULL OR l.grant_id = $5)"
            " AND ($6::text IS NULL OR l.effect = $6) AND ($7::bigint IS NULL OR l.id < $7)"
            " ORDER BY l.id DESC LIMIT $8",
            asking.evaluates, sorted(own or ()), mine, resource_id, grant_id, effect, cursor, limit + 1,
        )
    return {
        "items": [_logged(row) for row in rows[:limit]],
        "next": rows[limit - 1]["id"] if len(rows) > limit else None,
    }


def _logged(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": row["id"], "at": row["at"].isoformat(), "request_id": row["request_id"],
        "subject": {"type": row["subject_kind"], "id": row["subject_id"]}, "action": row["action"],
        "channel": row["channel"], "resource_id": row["resource_id"], "grant_id": row["grant_id"],
        "title": row["title"], "dataset_title": row["dataset_title"], "effect": row["effect"],
        "reasons": list(row["reasons"]), "policy_version": row["policy_version"],
    }


@router.get("/{decision_id}")
async def show_decision(
    decision_id: Annotated[int, Field(ge=1, le=2**62)], runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """A logged decision, explained by the version that made it, and what the one in force would say now."""
    async with runtime.snapshot() as tx:
        row = await tx.fetchrow(
            "SELECT l.*, f.facts, o.organisation_id, o.document->>'title' AS title,"
            " o.document->>'dataset_title' AS dataset_title FROM authz.decision_log l"
            " LEFT JOIN authz.decision_facts f ON f.digest = l.facts_digest"
            " LEFT JOIN authz.data_object o USING (resource_id) WHERE l.id = $1",
            decision_id,
        )
        if row is None or not await _may_see(runtime, tx, call, row):
            raise NotFound
        policies = await _version(tx, row["policy_version"])
    shown: dict[str, Any] = {"decision": _logged(row), "explanation": None, "now": None, "changed": None}
    if row["facts"] is None:
        return shown
    facts = facts_then(row["facts"], row["at"])
    shown["now"] = explain(facts)
    if policies is not None:
        shown["explanation"] = explain(facts, policies)
        shown["changed"] = not same(shown["explanation"], shown["now"])
    return shown


async def _may_see(runtime: Runtime, tx: asyncpg.Connection, call: Call, row: asyncpg.Record) -> bool:
    asking = _asking(runtime, tx, call)
    own = organisations_where(call.identity, "object:publish")
    if asking.evaluates or own is None or (row["organisation_id"] in own):
        return True
    source = cast("Callable[..., Any] | None", runtime.extras.get("grant_facts"))
    grant = await source(tx, row["grant_id"]) if source and row["grant_id"] else None
    return grant is not None and grant.party_id in call.identity.organisations()


async def _version(tx: asyncpg.Connection, digest: str) -> PolicySet | None:
    """The policies of a version, None when they are not kept (an earlier release's own)."""
    for known in (in_force(), packaged()):
        if known.version == digest:
            return known
    files = await tx.fetchval("SELECT files FROM authz.policy_version WHERE digest = $1 LIMIT 1", digest)
    return PolicySet(files) if files else None


@router.post("/explain")
async def explain_question(body: Question, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Why can they, or why not: a question answered check by check. Nothing is logged, nothing is served."""
    wanted = body.wanted()
    async with runtime.snapshot() as tx:
        asking = _asking(runtime, tx, call)
        if body.time is not None and not asking.evaluates:
            raise MayNotAsk
        domain = DataDomain(asking)
        await domain.decide(wanted)  # raises MayNotAsk for what the caller may not ask
        data = await objects.get(tx, body.resource_id)
        if data is None:
            raise NotFound
        grants = await domain.grants_of(wanted)
        if wanted.subject_type != "user" and not grants:
            raise NotFound
        grant = grants[0] if grants else None
        if grant is not None and body.if_grant is not None:
            grant = body.if_grant.applied(grant)
        request = await domain.request(wanted, data, grant)
    return {**_explained(request), "hypothetical": body.time is not None or body.if_grant is not None}


def _explained(request: DecisionRequest) -> dict[str, Any]:
    """The explanation with sentences, next step and, of a permit, the duties."""
    decision, data = decide(request), request.object
    return {
        "explanation": explain(policy_input(request)),
        "decision": decision.effect is Effect.PERMIT,
        "reasons": [{"code": one.code, "zh": one.zh, "en": one.en} for one in decision.reasons],
        "next": {"zh": decision.next_zh, "en": decision.next_en} if decision.next_zh else None,
        "obligations": decision.obligations.as_document() if decision.permitted else None,
        "object": {
            "resource_id": data.resource_id, "title": data.title, "dataset_title": data.dataset_title,
            "dataset_name": data.dataset_name, "organisation_name": data.organisation_name,
            "fields": {one.name: one.title for one in data.fields},
        },
        "grant_id": request.grant.id if request.grant else None,
    }


@router.get("/grants/{grant_id}")
async def show_allowed(grant_id: Identifier, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """What a grant allows, by each form of delivery."""
    async with runtime.snapshot() as tx:
        asking = _asking(runtime, tx, call)
        source = cast("Callable[..., Any] | None", runtime.extras.get("grant_facts"))
        grant: GrantFacts | None = await source(tx, grant_id) if source else None
        data = await objects.get(tx, grant.resource_id) if grant else None
        if grant is None or data is None:
            raise NotFound
        owner = may(call.identity, "object:publish", data.organisation_id).effect is Effect.PERMIT
        if not (asking.evaluates or owner or grant.party_id in call.identity.organisations()):
            raise NotFound
        exhausted = cast("Callable[..., Any] | None", runtime.extras.get("quota_exhausted"))
        used_up = bool(exhausted and await exhausted(tx, grant, call.now))
    return {
        "grant_id": grant.id, "resource_id": grant.resource_id, "allows": [
            {"channel": channel.value, **_explained(DecisionRequest(
                "grant", grant.id, data, call.now, "aggregate" if channel is DeliveryForm.ANALYSIS else "read", grant,
                channel=channel.value, quota_exhausted=used_up,
            ))}
            for channel in DeliveryForm
        ],
    }


@router.get("/objects/{resource_id}")
async def show_readers(
    resource_id: Identifier, runtime: RuntimeDep, call: CallDep, limit: Limit = 50, cursor: Identifier | None = None
) -> dict[str, Any]:
    """Who can see this: everyone, nobody, or the holders of these grants; for the department and evaluators."""
    async with runtime.snapshot() as tx:
        asking = _asking(runtime, tx, call)
        data = await objects.get(tx, resource_id)
        if data is None:
            raise NotFound
        owner = may(call.identity, "object:publish", data.organisation_id).effect is Effect.PERMIT
        if not (asking.evaluates or owner):
            raise MayNotAsk
        found = list(await _grants(
            runtime, tx, resource_id=resource_id, party_ids=None, after=cursor or "", limit=limit + 1
        ))
        source = cast("Callable[..., Any] | None", runtime.extras.get("party_names"))
        names = await source(tx, {one.party_id for one in found}) if source else {}
    everyone = decide(DecisionRequest("public", "", data, call.now))
    items = []
    for grant in found[:limit]:
        channel = next(iter(grant.delivery), "api")
        decision = decide(DecisionRequest(
            "grant", grant.id, data, call.now, "aggregate" if channel == "analysis" else "read", grant, channel=channel
        ))
        items.append({
            "grant_id": grant.id, "party_id": grant.party_id, "party": names.get(grant.party_id, grant.party_id),
            "state": grant.state, "purpose": grant.purpose,
            "delivery": list(grant.delivery), "valid_until": grant.valid_until.isoformat(),
            "decision": decision.effect is Effect.PERMIT, "reasons": list(decision.codes),
            "columns": list(decision.obligations.columns) if decision.permitted else [],
        })
    return {
        "everyone": everyone.effect is Effect.PERMIT, "items": items,
        "next": found[limit - 1].id if len(found) > limit else None,
    }
