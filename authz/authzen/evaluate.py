"""Answering AuthZEN questions: facts fetched, ``decide`` or ``may`` asked, the answer with reasons and duties."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Literal, cast

import asyncpg

from authz import objects
from authz.authzen.request import EvaluationRequest, Malformed, merged
from authz.decision import Decision, DecisionRequest, Effect
from authz.foundation.errors import Forbidden, Reason
from authz.foundation.http import assigned_roles
from authz.foundation.identity import Call, Identity
from authz.foundation.runtime import Runtime
from authz.model import DataObject, GrantFacts
from authz.pdp.bundle import policy_version
from authz.pdp.decide import decide_async
from authz.roles import may

GrantSource = Callable[[asyncpg.Connection, str], Awaitable[GrantFacts | None]]
"""``runtime.extras["grant_facts"]``: facts of a grant by its id, None when there is no such grant."""
KeySource = Callable[[asyncpg.Connection, str], Awaitable[str | None]]
"""``runtime.extras["grant_of_key"]``: the grant's id by the id of one of its keys (not the key itself)."""
QuotaSource = Callable[[asyncpg.Connection, str, datetime], Awaitable[bool]]
"""``runtime.extras["quota_exhausted"]``: whether the grant's quota is used up at that time."""

SUBJECT_TYPES = ("user", "grant", "key")
DATA_ACTIONS = ("read", "aggregate")


class MayNotAsk(Forbidden):
    """The caller asks about somebody else."""

    code = "may_not_ask"
    zh = "您只能查询本人、本单位授权或本部门数据的判定结果。"
    en = "You may ask about yourself, a grant of your party or data of your department."
    next_zh = "如确需查询，请联系安全管理员。"
    next_en = "If you need to, ask the security administrator."


def _no(code: str, zh: str, en: str) -> Decision:
    return Decision(Effect.DENY, policy_version(), (Reason(code, zh, en),))


UNKNOWN_SUBJECT = (
    "subject_unknown", "没有该主体，或其类型不受支持。", "There is no such subject, or its type is not known.",
)
UNKNOWN_RESOURCE = (
    "object_unknown", "没有该数据，或资源类型不受支持。", "There is no such data, or its type is not known.",
)
OTHER_PARTY = ("grant_other_party", "该授权属于其他单位。", "The grant belongs to another party.")


class Evaluator:
    """One caller's questions in one transaction; what was fetched for one is kept for the next."""

    def __init__(self, runtime: Runtime, connection: asyncpg.Connection, call: Call) -> None:
        self.runtime = runtime
        self.connection = connection
        self.call = call
        self.evaluates = may(call.identity, "decision:evaluate", None).effect is Effect.PERMIT
        self._objects: dict[str, DataObject | None] = {}
        self._grants: dict[str, GrantFacts | None] = {}

    async def answer(self, wanted: EvaluationRequest) -> dict[str, Any]:
        """``{decision, context}``; raises MayNotAsk (403)."""
        decision = await self._decide(wanted)
        return {"decision": decision.effect is Effect.PERMIT, "context": _context(decision)}

    async def answer_item(self, defaults: Mapping[str, Any], item: Any) -> dict[str, Any]:
        """The same for an item of a batch, where what cannot be answered is denied."""
        try:
            return await self.answer(EvaluationRequest.read(merged(defaults, item)))
        except (Malformed, MayNotAsk) as refusal:
            reason = Reason(refusal.code, refusal.detail("zh"), refusal.detail("en"))
            error = {"status": refusal.status, "message": refusal.detail("en")}
            denied = Decision(Effect.DENY, policy_version(), (reason,))
            return {"decision": False, "context": {**_context(denied), "error": error}}

    async def _decide(self, wanted: EvaluationRequest) -> Decision:
        if wanted.resource_type == "data_object":
            return await self._data(wanted)
        if not self._is_caller(wanted) and not self.evaluates:
            raise MayNotAsk
        if wanted.subject_type != "user":
            return _no(*UNKNOWN_SUBJECT)
        if wanted.resource_type != "organisation":
            return _no(*UNKNOWN_RESOURCE)
        return may(await self._person(wanted), wanted.action, wanted.resource_id)

    def _is_caller(self, wanted: EvaluationRequest) -> bool:
        return wanted.subject_type == "user" and wanted.subject_id == self.call.identity.user_id

    async def _person(self, wanted: EvaluationRequest) -> Identity:
        """The person asked about. Of others only assigned roles are known, not their seats in departments."""
        if self._is_caller(wanted):
            return self.call.identity
        roles = await assigned_roles(self.connection, wanted.subject_id)
        return Identity(wanted.subject_id, wanted.subject_id, wanted.subject_id, roles=roles)

    async def _object(self, resource_id: str) -> DataObject | None:
        if resource_id not in self._objects:
            self._objects[resource_id] = await objects.get(self.connection, resource_id)
        return self._objects[resource_id]

    async def _grant(self, wanted: EvaluationRequest) -> GrantFacts | None:
        """The grant the question is about, None when there is none or no source of grants is registered."""
        grant_id: str | None = None
        if wanted.subject_type == "grant":
            grant_id = wanted.subject_id
        elif wanted.subject_type == "key":
            keys = cast("KeySource | None", self.runtime.extras.get("grant_of_key"))
            grant_id = await keys(self.connection, wanted.subject_id) if keys else None
        elif isinstance(named := wanted.subject_properties.get("grant_id"), str) and "\0" not in named:
            grant_id = named
        if grant_id is None:
            return None
        if grant_id not in self._grants:
            source = cast("GrantSource | None", self.runtime.extras.get("grant_facts"))
            self._grants[grant_id] = await source(self.connection, grant_id) if source else None
        return self._grants[grant_id]

    async def _data(self, wanted: EvaluationRequest) -> Decision:
        grant = await self._grant(wanted)
        data = await self._object(wanted.resource_id)
        if not self.evaluates:
            self._may_ask(wanted, grant, data)
        if wanted.subject_type not in SUBJECT_TYPES or (wanted.subject_type != "user" and grant is None):
            return _no(*UNKNOWN_SUBJECT)
        if data is None:
            return _no(*UNKNOWN_RESOURCE)
        if wanted.action not in DATA_ACTIONS:
            return _no("action_unknown", "没有该操作。", "There is no such action.")
        if wanted.subject_type == "user" and grant is not None:
            person = await self._person(wanted)
            if grant.party_id not in person.organisations():
                return _no(*OTHER_PARTY)
        exhausted = cast("QuotaSource | None", self.runtime.extras.get("quota_exhausted"))
        at = wanted.time if wanted.time is not None and self.evaluates else self.call.now
        return await decide_async(DecisionRequest(
            subject_kind=cast(Literal["user", "grant", "key"], wanted.subject_type), subject_id=wanted.subject_id,
            object=data, now=at, action=wanted.action, grant=grant, fields=wanted.fields, purpose=wanted.purpose,
            purpose_class=wanted.purpose_class, scenario=wanted.scenario, channel=wanted.channel,
            quota_exhausted=bool(grant and exhausted and await exhausted(self.connection, grant.id, at)),
            address=wanted.address,
        ))

    def _may_ask(self, wanted: EvaluationRequest, grant: GrantFacts | None, data: DataObject | None) -> None:
        """Raise MayNotAsk unless the question is about the caller, their party's grant or their department's data."""
        identity = self.call.identity
        seats = identity.organisations()
        if data is not None and may(identity, "object:publish", data.organisation_id).effect is Effect.PERMIT:
            return
        if grant is not None:
            if grant.party_id not in seats:
                raise MayNotAsk
            if wanted.subject_type == "user" and not self._is_caller(wanted):
                raise MayNotAsk
            return
        if not self._is_caller(wanted) or wanted.subject_properties.get("grant_id") is not None:
            raise MayNotAsk


def _context(decision: Decision) -> dict[str, Any]:
    """Why, under which duties, by which policy, and what to do next."""
    context: dict[str, Any] = {"policy_version": decision.policy_version}
    if decision.permitted:
        context["obligations"] = decision.obligations.as_document()
        return context
    first = decision.reasons[0]
    context["reasons"] = [
        {"code": reason.code, "zh": reason.zh, "en": reason.en, "facts": dict(reason.facts)}
        for reason in decision.reasons
    ]
    context["reason_user"] = {"zh": first.zh, "en": first.en}
    if decision.next_zh:
        context["next"] = {"zh": decision.next_zh, "en": decision.next_en}
    return context
