"""The log of decisions: denials and permits on restricted data, added and never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from authz.decision import Decision, DecisionRequest
from authz.foundation import arrays
from authz.model import stamp
from authz.pdp.decide import policy_input


def worth_recording(request: DecisionRequest, decision: Decision) -> bool:
    """Every denial, and every permit on data that is not open to everyone."""
    return not decision.permitted or request.object.restricted


def facts_of(request: DecisionRequest) -> tuple[str, str]:
    """Digest and JSON of what the policy was told, without the instant: by it the decision can be made again."""
    facts = policy_input(request)
    del facts["now"]
    text = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest(), text.decode()


def facts_then(facts: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """The facts of a logged decision as the policy reads them, with what decisions were not told of before."""
    grant = facts.get("grant")
    return {
        **facts, "now": stamp(at), "object": {"operator_uscc": None, **facts["object"]},
        "grant": {"party_usccs": [], **grant} if grant is not None else None,
    }


async def record_decision(
    tx: asyncpg.Connection, request: DecisionRequest, decision: Decision, request_id: str
) -> bool:
    """Add the decision to ``authz.decision_log`` when it is worth recording; returns whether it was.

    Codes, ids and the catalogue's facts: neither the values of filters nor the address of the caller are kept here.
    """
    return bool(await record_decisions(tx, [(request, decision, request_id, request.now)]))


async def record_decisions(
    tx: asyncpg.Connection, taken: Sequence[tuple[DecisionRequest, Decision, str, datetime]]
) -> int:
    """``record_decision`` for many: (request, decision, request id, at); returns how many were worth recording."""
    rows, facts = [], dict[str, str]()
    told: dict[int, tuple[str, str]] = {}  # a decision that is relied on many times is one request, many times
    for request, decision, request_id, at in taken:
        if not worth_recording(request, decision):
            continue
        digest, text = told.get(id(request)) or told.setdefault(id(request), facts_of(request))
        facts[digest] = text
        rows.append((
            at.isoformat(), request_id, request.subject_kind, request.subject_id, request.action, request.channel,
            request.object.resource_id, request.grant.id if request.grant else None, decision.effect.value,
            ",".join(decision.codes), decision.policy_version, digest,
        ))
    if rows:
        await tx.execute(
            "INSERT INTO authz.decision_facts (digest, facts) SELECT digest, facts::jsonb"
            " FROM unnest($1::text::text[], $2::text::text[]) AS n (digest, facts)"
            " ORDER BY digest ON CONFLICT DO NOTHING",
            arrays.texts(facts), arrays.texts(facts.values()),
        )
        await tx.execute(
            "INSERT INTO authz.decision_log (at, request_id, subject_kind, subject_id, action, channel, resource_id,"
            " grant_id, effect, reasons, policy_version, facts_digest)"
            " SELECT at, request_id, subject_kind, subject_id, action, channel, resource_id, grant_id, effect,"
            " string_to_array(reasons, ','), policy_version, facts_digest"
            " FROM unnest($1::text::timestamptz[], $2::text::text[], $3::text::text[], $4::text::text[],"
            " $5::text::text[], $6::text::text[], $7::text::text[], $8::text::text[], $9::text::text[],"
            " $10::text::text[], $11::text::text[], $12::text::text[])"
            " AS n (at, request_id, subject_kind, subject_id, action, channel, resource_id, grant_id, effect,"
            " reasons, policy_version, facts_digest)",
            *(arrays.texts(column) for column in zip(*rows, strict=True)),
        )
    return len(rows)
