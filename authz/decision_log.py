"""The log of decisions: denials and permits on restricted data, added and never changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

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
    return bool(await record_decisions(tx, [(request, decision, request_id, request.now)]))


async def record_decisions(
    tx: asyncpg.Connection, taken: Iterable[tuple[DecisionRequest, Decision, str, datetime]]
) -> int:
    """``record_decision`` for many: (request, decision, request id, at); returns how many were worth recording."""
    rows = [
        (
            at, request_id, request.subject_kind, request.subject_id, request.action, request.channel,
            request.object.resource_id, request.grant.id if request.grant else None, decision.effect.value,
            ",".join(decision.codes), decision.policy_version,
        )
        for request, decision, request_id, at in taken if worth_recording(request, decision)
    ]
    if rows:
        await tx.execute(
            "INSERT INTO authz.decision_log (at, request_id, subject_kind, subject_id, action, channel, resource_id,"
            " grant_id, effect, reasons, policy_version)"
            " SELECT at, request_id, subject_kind, subject_id, action, channel, resource_id, grant_id, effect,"
            " string_to_array(reasons, ','), policy_version FROM unnest($1::timestamptz[], $2::text[], $3::text[],"
            " $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[])"
            " AS n (at, request_id, subject_kind, subject_id, action, channel, resource_id, grant_id, effect,"
            " reasons, policy_version)",
            *(list(column) for column in zip(*rows, strict=True)),
        )
    return len(rows)
