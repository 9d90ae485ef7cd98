"""May this organisation apply for this data: the operator and those under its control may not (OPS-03)."""

from __future__ import annotations

from collections.abc import Sequence

from authz.decision import Decision, Effect
from authz.foundation.errors import Conflict
from authz.model import DataObject
from authz.pdp.bundle import policy_version
from authz.pdp.decide import default_engine, log
from authz.pdp.engine import PolicyEngine
from authz.pdp.reasons import CATALOGUE, sorted_reasons

POLICY = "operator_conflict"


class OperatorConflict(Conflict):
    """The applicant operates the data, or is under the same control as who does."""

    code = POLICY
    zh = CATALOGUE[POLICY].zh
    en = CATALOGUE[POLICY].en
    next_zh = CATALOGUE[POLICY].next_zh
    next_en = CATALOGUE[POLICY].next_en


def operator_apart(data: DataObject, party_usccs: Sequence[str], engine: PolicyEngine | None = None) -> Decision:
    """Permit when nobody operates the data, or somebody whose code is not among the applicant's.

    ``party_usccs`` are the unified social credit codes of the applicant and of those under the same control. A failure
    of the policy is a denial with ``policy_unavailable``.
    """
    codes = ["policy_unavailable"]
    try:
        facts = {"operator_uscc": data.operator_uscc, "party_usccs": list(party_usccs)}
        answer = (engine or default_engine()).evaluate(POLICY, facts)
        if answer == {"effect": "permit"}:
            return Decision(Effect.PERMIT, policy_version())
        if answer.get("effect") == "deny" and list(answer.get("reasons", ())) == [POLICY]:
            codes = [POLICY]
    except Exception as failure:
        log.error("no decision: %s: %s", type(failure).__name__, failure)
    reasons, next_zh, next_en = sorted_reasons(codes, {"resource_id": data.resource_id})
    return Decision(Effect.DENY, policy_version(), reasons, next_zh=next_zh, next_en=next_en)


def require_operator_apart(data: DataObject, party_usccs: Sequence[str]) -> None:
    """Raise OperatorConflict (409) for who operates the data, Denied (403) when that could not be found out."""
    decision = operator_apart(data, party_usccs)
    if decision.effect is Effect.DENY and decision.codes == (POLICY,):
        raise OperatorConflict
    decision.require()
