"""The log of decisions: denials and permits on restricted data, added and never changed."""

from __future__ import annotations

import asyncpg

from authz.decision import Decision, DecisionRequest


def worth_recording(request: DecisionRequest, decision: Decision) -> bool:
    """Every denial, and every permit on data that is not open to everyone."""
    return not decision.permitted or request.object.restricted


async def record_decision(
    tx: asyncpg.Connection, request: DecisionRequest, decision: Decision, request_id: str
) -> bool:
    """Add the decision to ``authz.decision_log`` when it is worth recording; returns whether it was.

    Codes and ids only: neither the values of filters nor the address of the caller are kept here.
    """
    if not worth_recording(request, decision):
        return False
    await tx.execute(
        "INSERT INTO authz.decision_log (at, request_id, subject_kind, subject_id, action, channel, resource_id,"
        " grant_id, effect, reasons, policy_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        request.now, request_id, request.subject_kind, request.subject_id, request.action, request.channel,
        request.object.resource_id, request.grant.id if request.grant else None, decision.effect.value,
        list(decision.codes), decision.policy_version,
    )
    return True
