"""Who operates data under an authorisation, or is under the same control, neither applies for it nor uses it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from authz import DecisionRequest, Denied, decide, objects
from authz.testing import a_register
from licensing import grants
from licensing.testing import SERIALS, City, a_call, a_uscc


async def operated(city: City, code: str | None, resource_id: str) -> None:
    """The department's register, operated by whose code it is."""
    async with city.runtime.transaction() as tx:
        await objects.put(
            tx, city.runtime.audit, a_call("li", city.runtime.clock.now()),
            a_register(resource_id=resource_id, organisation_id=city.organisation_id, operator_uscc=code),
        )


async def a_party(city: City, name: str, code: str, **more: Any) -> str:
    """A verified organisation with that code."""
    made = await city.post(name, "/v1/parties", kind="enterprise", name=f"{name}公司", uscc=code, **more)
    assert made.status_code == 201, made.text
    party = made.json()
    done = await city.post("wang", f"/v1/parties/{party['id']}/verify", verdict="approve", version=1)
    assert done.status_code == 200, done.text
    city.parties[name] = party["id"]
    return str(party["id"])


async def refusal(city: City, name: str, resource_id: str) -> tuple[int, str]:
    answer = await city.post(name, "/v1/applications", **city.asking(city.parties[name], resource_id=resource_id))
    return answer.status_code, answer.json().get("code", answer.json().get("state"))


async def test_the_operator_and_its_affiliates_cannot_apply_and_are_told_why(city: City) -> None:
    operator = a_uscc(next(SERIALS))
    await operated(city, operator, "res-operated")
    await a_party(city, "op", operator)
    await a_party(city, "daughter", a_uscc(next(SERIALS)), affiliates=[operator])
    await a_party(city, "apart", a_uscc(next(SERIALS)))
    assert await refusal(city, "op", "res-operated") == (409, "operator_conflict")
    assert await refusal(city, "daughter", "res-operated") == (409, "operator_conflict")
    assert await refusal(city, "apart", "res-operated") == (201, "form_review")
    answer = await city.client.post(
        "/v1/applications", json=city.asking(city.parties["op"], resource_id="res-operated", submit=False),
        headers={**city.as_("op"), "Accept-Language": "en"},
    )
    assert "operates this data" in answer.json()["detail"]
    assert answer.json()["next"].startswith("An organisation apart")


async def test_who_is_declared_by_the_operator_is_in_conflict_too(city: City) -> None:
    operator, silent = a_uscc(next(SERIALS)), a_uscc(next(SERIALS))
    await operated(city, operator, "res-declared")
    await a_party(city, "silent", silent)
    assert await refusal(city, "silent", "res-declared") == (201, "form_review")
    declaring = await a_party(city, "declaring", operator, affiliates=[silent])
    assert await refusal(city, "silent", "res-declared") == (409, "operator_conflict")
    done = await city.post(
        "wang", f"/v1/parties/{declaring}/verify", verdict="suspend", reason="年度核查未通过", version=2
    )
    assert done.status_code == 200, done.text
    assert await refusal(city, "silent", "res-declared") == (409, "operator_conflict"), "suspended, still its owner"


async def test_an_operator_named_later_stops_the_application_at_every_step(city: City) -> None:
    code = a_uscc(next(SERIALS))
    await operated(city, None, "res-later")
    await a_party(city, "early", code)
    asked = city.asking(city.parties["early"], resource_id="res-later", fields=["name"])
    at_form = (await city.post("early", "/v1/applications", **asked)).json()
    at_owner = await city.event("wang", (await city.post("early", "/v1/applications", **asked)).json(), "pass_form")
    draft = (await city.post("early", "/v1/applications", **{**asked, "submit": False})).json()
    await operated(city, code, "res-later")
    tried = [
        await city.try_event("wang", at_form, "pass_form"),
        await city.try_event("li", at_owner, "decide_owner", fields=[{"name": "name", "verdict": "approve"}]),
        await city.try_event("early", draft, "submit"),
    ]
    assert [(one.status_code, one.json()["code"]) for one in tried] == [(409, "operator_conflict")] * 3
    refused = await city.event("wang", at_form, "refuse", reason="申请方为运营机构", basis="授权运营实施规范第六条")
    assert refused["state"] == "refused"


async def test_a_grant_in_force_gives_nothing_to_the_operator_from_the_next_call_on(city: City) -> None:
    done = await city.granted("grantee")
    async with city.runtime.snapshot() as tx:
        facts = (await grants.get(tx, done["grant_id"])).facts()
        data = await objects.get(tx, city.resource_id)
    assert data is not None
    assert len(facts.party_usccs) == 1
    asked = DecisionRequest("grant", facts.id, data, city.runtime.clock.now(), grant=facts, channel=facts.delivery[0])
    assert decide(asked).permitted
    operated_now = replace(asked, object=replace(data, operator_uscc=facts.party_usccs[0]))
    assert decide(operated_now).codes == ("operator_conflict",)
    assert decide(replace(asked, object=replace(data, operator_uscc=a_uscc(next(SERIALS))))).permitted
    with pytest.raises(Denied):
        decide(operated_now).require()


async def test_who_declares_a_grantee_wakes_the_grantees_streams_and_changes_its_facts(city: City) -> None:
    done = await city.granted("heard")
    async with city.runtime.snapshot() as tx:
        before = (await grants.get(tx, done["grant_id"])).facts()
    operator = a_uscc(next(SERIALS))
    await a_party(city, "mother", operator, affiliates=list(before.party_usccs))
    async with city.runtime.snapshot() as tx:
        after = (await grants.get(tx, done["grant_id"])).facts()
    assert set(after.party_usccs) == {*before.party_usccs, operator}
