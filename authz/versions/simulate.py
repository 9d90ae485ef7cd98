"""What a proposed version would change: the last decisions asked again, every live grant tried, roles compared."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from authz import objects
from authz.decision import DecisionRequest
from authz.decision_log import facts_then
from authz.model import GrantFacts
from authz.pdp.bundle import PolicySet
from authz.pdp.decide import policy_input
from authz.pdp.engine import EmbeddedEngine, EngineFailure
from authz.pdp.explain import sentences
from authz.pdp.reasons import CATALOGUE
from authz.roles.index import RolePolicy
from authz.versions.checks import plain

DECISIONS = 5_000
GRANTS = 20_000
LISTED = 100
POLICY = "data_access"


@dataclass(frozen=True)
class Case:
    """One question to ask of both versions; ``about`` tells a person which it is."""

    about: Mapping[str, Any]
    facts: Mapping[str, Any]


async def simulate(
    tx: asyncpg.Connection, before: PolicySet, after: PolicySet, grants: Sequence[GrantFacts], now: datetime
) -> dict[str, Any]:
    """Counts of what was asked and what would be answered otherwise, with the first hundred of each.

    ``grants`` are those that are live. The comparison runs beside the event loop.
    """
    of_decisions, of_grants = await _decisions(tx), await _grants(tx, grants, now)
    asked = await asyncio.to_thread(_compare, before, after, (of_decisions, of_grants))
    old, new = (set(RolePolicy.parse(one.files["roles.csv"]).permissions) for one in (before, after))
    return {
        "from": before.version, "to": after.version, "decisions": asked[0], "grants": asked[1],
        "roles": {
            "added": [list(line) for line in sorted(new - old)],
            "removed": [list(line) for line in sorted(old - new)],
        },
    }


async def _decisions(tx: asyncpg.Connection) -> list[Case]:
    """The last decisions of the log, newest first, with the facts they were made from."""
    rows = await tx.fetch(
        "SELECT l.id, l.at, l.resource_id, l.grant_id, l.channel, f.facts FROM authz.decision_log l"
        " JOIN authz.decision_facts f ON f.digest = l.facts_digest ORDER BY l.at DESC, l.id DESC LIMIT $1",
        DECISIONS,
    )
    return [
        Case(
            {"decision_id": row["id"], "at": row["at"].isoformat(), "resource_id": row["resource_id"],
             "grant_id": row["grant_id"], "channel": row["channel"]},
            facts_then(row["facts"], row["at"]),
        )
        for row in rows
    ]


async def _grants(tx: asyncpg.Connection, grants: Iterable[GrantFacts], now: datetime) -> list[Case]:
    """Each grant in each of its delivery forms, asking for all that may be had, from an address it allows."""
    known: dict[str, Any] = {}
    found = []
    for grant in list(grants)[:GRANTS]:
        if grant.resource_id not in known:
            known[grant.resource_id] = await objects.get(tx, grant.resource_id)
        data = known[grant.resource_id]
        if data is None:
            continue
        for channel in grant.delivery:
            request = DecisionRequest(
                "grant", grant.id, data, now, "aggregate" if channel == "analysis" else "read", grant,
                channel=channel, address=_address(grant),
            )
            about = {"grant_id": grant.id, "resource_id": grant.resource_id, "channel": channel}
            found.append(Case(about, policy_input(request)))
    return found


def _address(grant: GrantFacts) -> str | None:
    return str(ipaddress.ip_network(grant.ip_allow[0], strict=False).network_address) if grant.ip_allow else None


def _compare(before: PolicySet, after: PolicySet, groups: Sequence[Sequence[Case]]) -> list[dict[str, Any]]:
    old, new = EmbeddedEngine(before), EmbeddedEngine(after)
    return [_compared(old, new, cases) for cases in groups]


def _compared(old: EmbeddedEngine, new: EmbeddedEngine, cases: Sequence[Case]) -> dict[str, Any]:
    changed: list[dict[str, Any]] = []
    counts = {"asked": len(cases), "changed": 0, "now_denied": 0, "now_permitted": 0}
    for case in cases:
        before, after = _answer(old, case), _answer(new, case)
        if plain(before) == plain(after):
            continue
        counts["changed"] += 1
        if before.get("effect") != after.get("effect"):
            counts["now_denied" if after.get("effect") == "deny" else "now_permitted"] += 1
        if len(changed) < LISTED:
            changed.append({**case.about, "before": _short(before, case), "after": _short(after, case)})
    return {**counts, "first": changed}


def _answer(engine: EmbeddedEngine, case: Case) -> Mapping[str, Any]:
    try:
        return engine.evaluate(POLICY, case.facts)
    except EngineFailure:
        return {"effect": "deny", "reasons": ["policy_unavailable"]}


def _short(answer: Mapping[str, Any], case: Case) -> dict[str, Any]:
    """The effect, the reasons with what they say, and of a permit what it obliges to."""
    duties = answer.get("obligations") or {}
    reasons = sorted(answer.get("reasons", ()))
    said = sentences(case.facts, [code for code in reasons if code in CATALOGUE])
    return {
        "effect": answer.get("effect"), "reasons": reasons,
        "sentences": [{name: one[name] for name in ("code", "zh", "en")} for one in said],
        "columns": sorted(duties.get("columns", ())), "masks": dict(duties.get("masks", {})),
    }
