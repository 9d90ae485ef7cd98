"""What ceilings, rate cards and share rules have in common: proposed, decided by another, published when due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

from authz import FieldError, InvalidInput, NotFound
from billing.acting import Act, check_version
from billing.errors import SamePerson
from billing.lifecycles import PriceEvent, PriceState
from licensing.lifecycle import TransitionTable

Verdict = Literal["approve", "reject"]


@dataclass(frozen=True)
class Kind:
    """One kind of thing that is proposed and decided: its table, its life, the action that proposes it."""

    table: str
    life: TransitionTable
    noun: str
    approve_action: str


@dataclass(frozen=True)
class Verdictum:
    """A decision as it was given."""

    verdict: Verdict
    reason: str
    version: int


async def locked(act: Act, kind: Kind, item_id: str) -> asyncpg.Record:
    row = await act.tx.fetchrow(f"SELECT * FROM billing.{kind.table} WHERE id = $1 FOR UPDATE", item_id)
    if row is None:
        raise NotFound
    return row


async def decide(act: Act, kind: Kind, item_id: str, given: Verdictum) -> PriceState:
    """Approve or reject; the state that follows. Refused in this order: right, version, state, person, reason."""
    act.require(kind.approve_action)
    row = await locked(act, kind, item_id)
    check_version(row["version"], given.version)
    transition = kind.life.require(PriceState(row["state"]), PriceEvent(given.verdict))
    if row["proposed_by"] == act.who.user_id:
        raise SamePerson
    if transition.reason_required and not given.reason:
        raise InvalidInput([FieldError("reason", "missing", "退回必须说明理由", "a rejection needs its reason")])
    state = PriceState(transition.target)
    await act.tx.execute(
        f"UPDATE billing.{kind.table} SET state = $2, version = version + 1, decided_by = $3, decided_name = $4,"
        " decided_at = $5, decision_reason = $6 WHERE id = $1",
        item_id, state.value, act.who.user_id, act.who.display_name, act.now, given.reason,
    )
    await act.record(
        f"{kind.noun}.{state.value}", item_id, reason=given.reason or None, basis=transition.basis or None
    )
    return state


async def publish(act: Act, kind: Kind, item_id: str, retire: list[str]) -> None:
    """Publish an approved item and retire those it follows, in one step."""
    for former in retire:
        row = await locked(act, kind, former)
        target = kind.life.require(PriceState(row["state"]), PriceEvent.RETIRE).target
        await act.tx.execute(
            f"UPDATE billing.{kind.table} SET state = $2, version = version + 1, retired_at = $3 WHERE id = $1",
            former, target.value, act.now,
        )
        await act.record(f"{kind.noun}.retired", former, details={"followed_by": item_id})
    row = await locked(act, kind, item_id)
    target = kind.life.require(PriceState(row["state"]), PriceEvent.PUBLISH).target
    await act.tx.execute(
        f"UPDATE billing.{kind.table} SET state = $2, version = version + 1, published_at = $3 WHERE id = $1",
        item_id, target.value, act.now,
    )
    await act.record(f"{kind.noun}.published", item_id)


def document(row: asyncpg.Record, kind: Kind) -> dict[str, Any]:
    """The row for an answer, with the state's name in both languages."""
    label = kind.life.states[PriceState(row["state"])]
    return {**dict(row), "state_label_zh": label.zh, "state_label_en": label.en}


INTERNAL = (
    "proposed_by", "proposed_name", "proposal_reason", "decided_by", "decided_name", "decision_reason",
)
"""Who wanted it and why: the offices' own business, left empty for everybody else."""


def as_published(found: dict[str, Any]) -> dict[str, Any]:
    """A ceiling or rule as it was published, without how the offices came to it."""
    return {**found, **{name: None for name in INTERNAL if name in found}}


def is_published(found: dict[str, Any]) -> bool:
    """Whether it is, or once was, in force and public."""
    return found["state"] in (PriceState.PUBLISHED.value, PriceState.RETIRED.value)
