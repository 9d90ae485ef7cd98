"""Answering AuthZEN questions: the domain of the resource decides; the answer with reasons and duties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from authz.authzen.data import DataDomain
from authz.authzen.domain import UNKNOWN_RESOURCE, Asking, Domain, DomainMaker, MayNotAsk, further, no
from authz.authzen.request import EvaluationRequest, Malformed, merged
from authz.authzen.work import WorkDomain
from authz.decision import Decision, Effect
from authz.foundation.errors import Reason
from authz.foundation.identity import Call
from authz.foundation.runtime import Runtime
from authz.pdp.bundle import policy_version
from authz.roles import may

OWN_DOMAINS: Mapping[str, DomainMaker] = {"data_object": DataDomain, "organisation": WorkDomain}


class Evaluator:
    """One caller's questions in one transaction; what was fetched for one is kept for the next."""

    def __init__(self, runtime: Runtime, connection: asyncpg.Connection, call: Call) -> None:
        evaluates = may(call.identity, "decision:evaluate", None).effect is Effect.PERMIT
        self.asking = Asking(runtime, connection, call, evaluates)
        self._domains: dict[str, Domain] = {}

    def domain(self, resource_type: str) -> Domain | None:
        """What answers for this type of resource, None for a type that is not known."""
        if resource_type not in self._domains:
            maker = OWN_DOMAINS.get(resource_type) or further(self.asking.runtime).get(resource_type)
            if maker is None:
                return None
            self._domains[resource_type] = maker(self.asking)
        return self._domains[resource_type]

    async def answer(self, wanted: EvaluationRequest) -> dict[str, Any]:
        """``{decision, context}``; raises MayNotAsk (403)."""
        decision = await self.decide(wanted)
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

    async def decide(self, wanted: EvaluationRequest) -> Decision:
        """The decision of the resource's domain; raises MayNotAsk (403)."""
        domain = self.domain(wanted.resource_type)
        if domain is not None:
            return await domain.decide(wanted)
        if not self.asking.is_caller(wanted) and not self.asking.evaluates:
            raise MayNotAsk
        return no(*UNKNOWN_RESOURCE)


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
