"""Answering AuthZEN questions: the domain of the resource decides; the answer with reasons and duties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from authz.authzen.data import DataDomain
from authz.authzen.domain import UNKNOWN_RESOURCE, Asking, Domain, DomainMaker, MayNotAsk, further, no
from authz.authzen.request import EvaluationRequest, Malformed, merged
from authz.authzen.requestable import requestable_context
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

    def use(self, resource_type: str, domain: Domain) -> None:
        """Answer about this type by a domain that knows more than a new one would."""
        self._domains[resource_type] = domain

    async def answer(self, wanted: EvaluationRequest) -> dict[str, Any]:
        """``{decision, context}``; raises MayNotAsk (403)."""
        decision = await self.decide(wanted)
        context = _context(decision)
        if wanted.resource_type == "data_object" and self.asking.is_caller(wanted):
            runtime, at = self.asking.runtime, self.asking.call.now
            context |= requestable_context(
                wanted.asked, decision, key=runtime.signing_key, site_url=runtime.settings.site_url, at=at
            )
        if wanted.approval is not None:
            context |= _of_approval(wanted.approval, decision)
        return {"decision": decision.effect is Effect.PERMIT, "context": context}

    async def answer_item(self, defaults: Mapping[str, Any], item: Any) -> dict[str, Any]:
        """The same for an item of a batch, where what cannot be answered is denied."""
        try:
            return await self.answer(EvaluationRequest.read(merged(defaults, item)))
        except (Malformed, MayNotAsk) as refusal:
            reason = Reason(refusal.code, refusal.detail("zh"), refusal.detail("en"))
            error = {"status": refusal.status, "message": refusal.detail("en")}
            denied = Decision(Effect.DENY, policy_version(), (reason,))
            return {"decision": False, "context": {**_context(denied), "error": error}}

    async def fetch(self, defaults: Mapping[str, Any], items: Sequence[Any]) -> None:
        """Fetch at once what the items of a batch are about; those that cannot be read wait for their turn."""
        by_type: dict[str, list[EvaluationRequest]] = {}
        for item in items:
            with suppress(Malformed):
                wanted = EvaluationRequest.read(merged(defaults, item))
                by_type.setdefault(wanted.resource_type, []).append(wanted)
        for resource_type, found in by_type.items():
            domain = self.domain(resource_type)
            if domain is not None:
                await domain.fetch(found)

    async def decide(self, wanted: EvaluationRequest) -> Decision:
        """The decision of the resource's domain; raises MayNotAsk (403)."""
        domain = self.domain(wanted.resource_type)
        if domain is not None:
            return await domain.decide(wanted)
        if not self.asking.is_caller(wanted) and not self.asking.evaluates:
            raise MayNotAsk
        return no(*UNKNOWN_RESOURCE)


APPROVAL_REASONS = {
    "grant_expired": "approval_expired", "grant_revoked": "approval_expired", "grant_exhausted": "approval_expired",
    "fields_not_granted": "out_of_scope", "purpose_not_granted": "out_of_scope", "scenario_not_granted": "out_of_scope",
    "purpose_class_not_granted": "out_of_scope", "channel_not_granted": "out_of_scope",
    "grant_other_object": "out_of_scope", "grant_not_started": "grant_pending", "grant_not_active": "grant_pending",
    "grant_required": "approval_unverifiable", "grant_other_party": "approval_unverifiable",
    "subject_unknown": "approval_unverifiable",
}
NEXT_ACTIONS = {"approval_expired": "request", "out_of_scope": "request", "grant_pending": "retry"}


def _of_approval(approval_id: str, decision: Decision) -> dict[str, Any]:
    """What the profile tells of the approval when it is evaluated again: an approval is a grant, by its id."""
    if decision.permitted:
        return {"approval": {"id": approval_id}}
    reason = APPROVAL_REASONS.get(decision.reasons[0].code, "policy_denied")
    return {"approval": {"id": approval_id, "reason": reason, "next_action": NEXT_ACTIONS.get(reason, "none")}}


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
