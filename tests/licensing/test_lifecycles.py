"""Transition tables are total, the services obey them, the README's pictures are drawn from them."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import licensing
from authz import AuditLog, Call, Role, TransitionRefused, VersionConflict
from licensing import applications
from licensing.applications import FieldVerdict
from licensing.applications.applicant import asked_again
from licensing.lifecycle import (
    APPLICATION,
    TABLES,
    ApplicationEvent,
    ApplicationState,
    IllegalTransition,
    TransitionTable,
)
from licensing.lifecycle.diagrams import refreshed
from licensing.testing import City, a_call

E, S = ApplicationEvent, ApplicationState


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_pair_is_answered_and_illegal_ones_say_what_is_possible(table: TransitionTable) -> None:
    for state, event in itertools.product(table.states, table.events):
        row = table.answer(state, event)
        if row is not None:
            assert table.require(state, event) is row
            continue
        with pytest.raises(IllegalTransition) as refused:
            table.require(state, event)
        assert table.states[state].zh in refused.value.detail("zh")
        assert table.states[state].en in refused.value.detail("en")
        assert refused.value.next("zh")


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_state_can_be_reached_and_has_both_languages(table: TransitionTable) -> None:
    reached, waiting = {table.initial}, [table.initial]
    while waiting:
        for row in table.possible(waiting.pop()):
            new = set(row.targets) - reached
            reached |= new
            waiting += new
    assert reached == set(table.states)
    for label in (*table.states.values(), *table.events.values()):
        assert label.zh
        assert label.en.isascii()


def test_readme_pictures_are_those_of_the_tables() -> None:
    readme = Path(licensing.__file__).with_name("README.md")
    text = readme.read_text(encoding="utf-8")
    assert refreshed(text) == text


Act = Callable[[asyncpg.Connection, AuditLog, str, int], Awaitable[Any]]
PEOPLE: dict[str, tuple[Role, str]] = {
    "wang": (Role.AUTHORITY, "pty_authority"), "he": (Role.AUTHORITY, "pty_authority"),
    "li": (Role.DATA_OWNER, "org-market"), "qian": (Role.EXCHANGE_PRICER, "pty_exchange"),
    "sun": (Role.EXCHANGE_APPROVER, "pty_exchange"),
}


def _acts(city: City, party_id: str, asked: Any) -> dict[ApplicationEvent, list[Act]]:
    """For each event that a person or billing brings, the calls of those who may."""
    now = city.runtime.clock.now()

    def who(name: str) -> Call:
        role = PEOPLE.get(name, (Role.ENTERPRISE_ADMIN, party_id))
        return a_call(name, now, role)

    a = applications
    verdicts = [FieldVerdict(name, "approve") for name in ("name", "uscc", "phone")]
    extra = {
        "verdicts": verdicts, "row_filter": [], "masks": {}, "reason": None, "consent_reference": None,
        "risk_assessment_id": None,
    }
    key = city.runtime.signing_key

    def as_(*names: str, call: Callable[..., Any]) -> list[Act]:
        return [lambda tx, audit, i, v, n=n: call(tx, who(n), i, v, audit) for n in names]

    return {
        E.EDIT: as_("chen", call=lambda t, c, i, v, u: a.edit(t, c, i, v, asked, audit=u)),
        E.SUBMIT: as_("chen", call=lambda t, c, i, v, u: a.submit(t, c, i, v, audit=u)),
        E.REQUEST_SUPPLEMENT: as_(
            "wang", "li", call=lambda t, c, i, v, u: a.request_supplement(t, c, i, v, "缺材料", [], audit=u)
        ),
        E.ANSWER_SUPPLEMENT: as_(
            "chen", call=lambda t, c, i, v, u: a.answer_supplement(t, c, i, v, "已补充", {}, audit=u)
        ),
        E.PASS_FORM: as_("wang", call=lambda t, c, i, v, u: a.pass_form(t, c, i, v, None, audit=u)),
        E.REFUSE: as_("wang", "li", call=lambda t, c, i, v, u: a.refuse(t, c, i, v, "不符合", None, audit=u)),
        E.DECIDE_OWNER: as_("li", call=lambda t, c, i, v, u: a.decide_owner(t, c, i, v, **extra, audit=u)),
        E.CONSULT_THIRD_PARTY: as_(
            "li", call=lambda t, c, i, v, u: a.consult_third_party(t, c, i, v, "某企业", "涉及", audit=u)
        ),
        E.RECORD_OPINION: as_(
            "li", call=lambda t, c, i, v, u: a.record_opinion(t, c, i, v, "consent", "同意", audit=u)
        ),
        E.REQUEST_EXTENSION: as_(
            "wang", "li", call=lambda t, c, i, v, u: a.request_extension(t, c, i, v, 3, "材料多", audit=u)
        ),
        E.DECIDE_EXTENSION: as_(
            "he", call=lambda t, c, i, v, u: a.decide_extension(t, c, i, v, "approve", "同意", audit=u)
        ),
        E.PRICE_PROPOSED: as_("qian", call=lambda t, c, i, v, u: a.price_proposed(t, c, i, v, {}, audit=u)),
        E.PRICE_RETURNED: as_("sun", call=lambda t, c, i, v, u: a.price_returned(t, c, i, v, "偏高", audit=u)),
        E.PRICE_APPROVED: as_(
            "sun", call=lambda t, c, i, v, u: a.price_approved(t, c, i, v, city.offer(), audit=u)
        ),
        E.ACCEPT_OFFER: as_("chen", call=lambda t, c, i, v, u: a.accept_offer(t, c, i, v, audit=u)),
        E.SIGN: as_(
            "chen", call=lambda t, c, i, v, u: a.sign(t, c, i, v, "陈明", True, audit=u, signing_key=key)
        ),
        E.WITHDRAW: as_("chen", call=lambda t, c, i, v, u: a.withdraw(t, c, i, v, None, audit=u)),
    }


async def test_services_refuse_every_illegal_pair_and_change_nothing(city: City) -> None:
    signed = await city.signed()
    party_id = signed["party"]["id"]
    async with city.runtime.snapshot() as tx:
        stored = await applications.get(tx, signed["id"])
    acts = _acts(city, party_id, asked_again(stored, {}))
    illegal = 0
    for state, (event, calls) in itertools.product(S, acts.items()):
        if APPLICATION.answer(state, event) is not None:
            continue
        for act in calls:
            async with city.runtime.pool.acquire() as tx:
                change = tx.transaction()
                await change.start()
                await tx.execute("UPDATE licensing.application SET state = $2 WHERE id = $1", stored.id, state.value)
                before = await tx.fetchval("SELECT count(*) FROM licensing.transition")
                with pytest.raises(TransitionRefused):
                    await act(tx, city.runtime.audit, stored.id, stored.version)
                assert await tx.fetchval("SELECT count(*) FROM licensing.transition") == before
                assert await tx.fetchval(
                    "SELECT version FROM licensing.application WHERE id = $1", stored.id
                ) == stored.version
                await change.rollback()
            illegal += 1
    assert illegal > 200


async def test_stale_versions_are_refused_for_every_event(city: City) -> None:
    signed = await city.signed()
    async with city.runtime.snapshot() as tx:
        stored = await applications.get(tx, signed["id"])
    for calls in _acts(city, signed["party"]["id"], asked_again(stored, {})).values():
        for act in calls:
            async with city.runtime.pool.acquire() as tx:
                change = tx.transaction()
                await change.start()
                with pytest.raises(VersionConflict):
                    await act(tx, city.runtime.audit, stored.id, stored.version - 1)
                await change.rollback()


async def test_history_and_clock_events_cannot_be_rewritten(city: City) -> None:
    await city.applied()
    for table in ("transition", "clock_event"):
        for change in (f"UPDATE licensing.{table} SET reason = 'x'", f"DELETE FROM licensing.{table}"):
            with pytest.raises(asyncpg.RaiseError, match="append-only"):
                await city.runtime.pool.execute(change)


async def test_an_agreement_keeps_its_text(city: City) -> None:
    await city.signed()
    with pytest.raises(asyncpg.RaiseError, match="never changed"):
        await city.runtime.pool.execute("UPDATE licensing.agreement SET text = text || 'x'")
