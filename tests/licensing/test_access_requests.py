"""AuthZEN Access Request and Approval profile: a denial says how to ask, the request is an application."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from authz.authzen import requestable
from licensing.testing import City

REQUESTS = "/access/v1/requests"
WANTED = {
    "fields": ["name", "uscc"], "purpose_class": "industry", "purpose": "lending_risk_control",
    "purpose_text": "用于小微企业贷款的贷前审查", "scenario": "线上信用贷款", "expected_rows_month": 10_000,
}


PEOPLE = itertools.count(1)


@pytest.fixture
def who() -> str:
    """An enterprise's administrator whom no other test knows."""
    return f"person{next(PEOPLE)}"


@pytest.fixture
def other() -> str:
    """Another one."""
    return f"person{next(PEOPLE)}"


def question(city: City, who: str, **context: Any) -> dict[str, Any]:
    return {
        "subject": {"type": "user", "id": f"user-{who}"}, "action": {"name": "read"},
        "resource": {"type": "data_object", "id": city.resource_id}, "context": context,
    }


async def denied(city: City, who: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The context of a denial."""
    answer = (await city.post(who, "/access/v1/evaluation", **asked)).json()
    assert answer["decision"] is False
    return dict(answer["context"])


def request_for(asked: dict[str, Any], context: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A submission that answers the denial."""
    offered = context["access_request"]
    denial = {
        "evaluation_id": context["evaluation_id"], "evaluated_at": context["evaluated_at"],
        "expires_at": offered["expires_at"], "reason": context["reason"], "binding_token": offered["binding_token"],
        "template": offered["template"],
    }
    return {**asked, "requested_access": WANTED, "denial": denial, **more}


async def requested(city: City, who: str) -> dict[str, Any]:
    await city.party(who)
    asked = question(city, who)
    answer = await city.post(who, REQUESTS, **request_for(asked, await denied(city, who, asked)))
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["task"]["status_endpoint"]
    return dict(answer.json())


async def test_a_denial_for_want_of_a_grant_is_requestable(city: City, who: str) -> None:
    await city.party(who)
    context = await denied(city, who, question(city, who, fields=["name"]))
    offered = context["access_request"]
    assert context["reason"] == "grant_required"
    assert offered["endpoint"].endswith(REQUESTS)
    assert offered["form_url"].endswith(f"/apply/{city.resource_id}")
    assert offered["display"]["title"]["zh"] == "提交数据使用申请"


async def test_a_denial_that_no_application_remedies_is_not_requestable(city: City, who: str) -> None:
    await city.party(who)
    assert "access_request" not in await denied(city, who, question(city, who, fields=["nothing"]))
    unknown = question(city, who)
    unknown["resource"]["id"] = "nothing"
    assert "access_request" not in await denied(city, who, unknown)


async def test_a_request_is_an_application_in_procedure(city: City, who: str) -> None:
    task = (await requested(city, who))["task"]
    assert task["status"] == "pending"
    assert task["progress"]["step_name"] == "form_review"
    application = (await city.get(who, f"/v1/applications/{task['id']}")).json()
    assert application["state"] == "form_review"
    assert [one["name"] for one in application["fields"]] == WANTED["fields"]
    again = (await city.get(who, f"{REQUESTS}/{task['id']}")).json()
    assert again["task"] == task


async def test_a_refused_request_is_denied_and_cannot_be_cancelled(city: City, who: str) -> None:
    task = (await requested(city, who))["task"]
    application = (await city.get("wang", f"/v1/applications/{task['id']}")).json()
    await city.event("wang", application, "refuse", reason="材料不实", basis="公共数据开放管理办法第十条")
    shown = (await city.get(who, f"{REQUESTS}/{task['id']}")).json()
    assert shown["task"]["status"] == "denied"
    assert "result" not in shown
    late = await city.post(who, f"{REQUESTS}/{task['id']}/cancel")
    assert (late.status_code, late.json()["type"]) == (409, f"{requestable.ERROR}invalid_task_state")


async def test_a_pending_request_can_be_cancelled_by_its_party_alone(city: City, who: str, other: str) -> None:
    task = (await requested(city, who))["task"]
    await city.party(other)
    for stranger in (other, "stranger"):
        for refused in (
            await city.get(stranger, f"{REQUESTS}/{task['id']}"),
            await city.post(stranger, f"{REQUESTS}/{task['id']}/cancel"),
        ):
            assert (refused.status_code, refused.json()["type"]) == (404, f"{requestable.ERROR}unknown_task")
    done = await city.post(who, f"{REQUESTS}/{task['id']}/cancel", comment="不再需要")
    assert done.json()["task"]["status"] == "cancelled"


async def test_an_approval_permits_when_it_is_evaluated_again(city: City, who: str, other: str) -> None:
    granted = await city.granted(who)
    shown = (await city.get(who, f"{REQUESTS}/{granted['id']}")).json()
    assert shown["task"]["status"] == "approved"
    approval = shown["result"]["approval"]
    assert shown["result"]["mode"] == "reevaluate"
    answer = (await city.post(who, "/access/v1/evaluation", **question(city, who, approval=approval))).json()
    assert answer["decision"] is True
    assert answer["context"]["approval"]["id"] == approval["id"] == granted["grant_id"]
    beyond = await denied(city, who, question(city, who, approval=approval, fields=["phone"]))
    assert beyond["approval"] == {"id": approval["id"], "reason": "out_of_scope", "next_action": "request"}
    await city.party(other)
    borrowed = question(city, who, approval=approval)
    borrowed["subject"]["id"] = f"user-{other}"
    assert (await city.post(other, "/access/v1/evaluation", **borrowed)).status_code == 403


async def sent_with(city: City, who: str, **changes: Any) -> httpx.Response:
    """A submission of chen's with changes to what was denied."""
    await city.party(who)
    asked = question(city, who, purpose="lending_risk_control")
    body = request_for(asked, await denied(city, who, asked))
    return await city.post(who, REQUESTS, **{**body, **changes})


@pytest.mark.parametrize("changes", [
    {"denial": None}, {"denial": {}}, {"denial": {"binding_token": "a.b.c"}}, {"denial": {"binding_token": 7}},
    {"action": {"name": "aggregate"}}, {"resource": {"type": "data_object", "id": "res-other"}},
    {"context": {"purpose": "marketing"}}, {"context": {}},
], ids=str)
async def test_a_request_that_is_not_the_denied_question_is_refused(
    city: City, who: str, changes: dict[str, Any]
) -> None:
    refused = await sent_with(city, who, **changes)
    assert (refused.status_code, refused.json()["type"]) == (400, f"{requestable.ERROR}invalid_denial_binding")


async def test_a_changed_token_is_refused(city: City, who: str) -> None:
    await city.party(who)
    asked = question(city, who)
    body = request_for(asked, await denied(city, who, asked))
    head, claims, signature = body["denial"]["binding_token"].split(".")
    body["denial"]["binding_token"] = f"{head}.{claims}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    refused = await city.post(who, REQUESTS, **body)
    assert refused.json()["type"] == f"{requestable.ERROR}invalid_denial_binding"


async def test_a_denial_is_answered_in_time(city: City, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requestable, "BINDING_S", -1)
    await city.party(who)
    asked = question(city, who)
    refused = await city.post(who, REQUESTS, **request_for(asked, await denied(city, who, asked)))
    assert (refused.status_code, refused.json()["type"]) == (410, f"{requestable.ERROR}expired_denial")


async def test_nobody_asks_for_another_person(city: City, who: str, other: str) -> None:
    await city.party(who)
    await city.party(other)
    asked = question(city, who)
    refused = await city.post(other, REQUESTS, **request_for(asked, await denied(city, who, asked)))
    assert (refused.status_code, refused.json()["type"]) == (400, f"{requestable.ERROR}not_requestable")


async def test_what_is_missing_is_named_by_field(city: City, who: str) -> None:
    refused = await sent_with(city, who, requested_access={"fields": ["name"], "weather": "rain"})
    assert refused.status_code == 422
    named = {one["field"] for one in refused.json()["errors"]}
    assert {"requested_access.scenario", "requested_access.expected_rows_month", "requested_access.weather"} <= named


async def test_the_same_key_makes_one_application(city: City, who: str) -> None:
    await city.party(who)
    asked = question(city, who)
    body = request_for(asked, await denied(city, who, asked))
    headers = {**city.as_(who), "Idempotency-Key": "once"}
    first, second = [await city.client.post(REQUESTS, json=body, headers=headers) for _ in range(2)]
    assert first.json() == second.json()
    other = {**body, "requested_access": {**WANTED, "term_months": 6}}
    assert (await city.client.post(REQUESTS, json=other, headers=headers)).status_code == 409
