"""Registration lived end to end over HTTP, and those who try to cut it short."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.iso7064 import mod_37_36

from authz import FixedClock, Role, Runtime, new_id
from licensing.certificates import verify
from licensing.registration.lifecycle import REGISTRATION
from licensing.registration.rules import make_code, rules, years_later

CONTENT: dict[str, Any] = {
    "kind": "product", "title": "企业登记状态核验服务", "summary": "依据授权对企业登记状态进行核验，返回是否存续。",
    "domain": "市场监督", "region": "示范市", "update_cycle": "每日", "scale": "20 万户", "format": "接口",
    "grade": "general-2", "has_personal_info": False, "restrictions": "仅限授权用途", "contact_name": "某人",
    "contact_phone": "0512-12000000",
    "source": {"mode": "agreement", "basis": "授权运营协议第 3 条"},
    "evidence": {"provider": "示范存证中心", "number": "CZ-1", "algorithm": "SM3", "digest": "ab" * 32,
                 "deposited_on": "2026-11-02"},
    "product": {"category": "industry", "form": "verification"},
    "scenario": {"name": "贷前核验", "description": "贷款发放前核验企业登记状态"},
    "security": {"assessed_on": "2026-10-20", "conclusion": "low", "measures": "访问控制与日志留存"},
    "business_review": {"reviewer": "业务部", "reviewed_on": "2026-10-30", "opinion": "同意登记"},
}


class City:
    """A verified enterprise and a registrar, with what they do over HTTP."""

    def __init__(self, client: httpx.AsyncClient, token_for: Any, party: str) -> None:
        self.client, self.token_for, self.party = client, token_for, party

    async def post(self, who: str, path: str, body: Any) -> httpx.Response:
        return await self.client.post(path, json=body, headers=self.token_for(who))

    async def create(self, **changes: Any) -> httpx.Response:
        return await self.post("apply", "/v1/registrations", {
            "party_id": self.party, "content": {**CONTENT, **changes}, "submit": True,
        })

    async def step(self, who: str, item: dict[str, Any], event: str, **facts: Any) -> httpx.Response:
        return await self.post(who, f"/v1/registrations/{item['id']}/events",
                               {"event": event, "version": item["version"], **facts})

    async def noticed(self) -> dict[str, Any]:
        """A registration in public notice."""
        item = (await self.create()).json()
        item = (await self.step("fang", item, "accept")).json()
        answer = await self.step("fang", item, "pass_review")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.fixture
async def city(client: httpx.AsyncClient, runtime: Runtime, token_for: Any, give_role: Any) -> City:
    party = new_id("pty")
    await runtime.pool.execute(
        "INSERT INTO licensing.party (id, kind, name, uscc, state, version, created_by, created_by_name, created_at)"
        " VALUES ($1, 'enterprise', '示范数据运营有限公司', $2, 'verified', 1, 'test', 'test', $3)",
        party, party[-18:].upper(), runtime.clock.now(),
    )
    await give_role("apply", Role.ENTERPRISE_ADMIN, party)
    await give_role("fang", Role.REGISTRAR, "pty_registrar")
    return City(client, token_for, party)


async def test_a_product_is_registered_and_its_certificate_verifies(
    city: City, runtime: Runtime, clock: FixedClock
) -> None:
    item = await city.noticed()
    clock.advance(days=20)
    item = (await city.step("fang", item, "assign_code")).json()
    assert item["state"] == "coded"
    shown = (await city.client.get(f"/v1/certificates/{item['code']}")).json()
    assert (shown["valid"], shown["registrant"]) == (True, "示范数据运营有限公司")
    token = (await city.client.get(f"/v1/certificates/{item['code']}.jws")).text
    assert verify(token, runtime.signing_key.public_key()).code == item["code"]


async def test_the_certificate_names_the_authority_of_who_assigned_the_code(
    city: City, runtime: Runtime, clock: FixedClock
) -> None:
    await runtime.pool.execute(
        "INSERT INTO licensing.party (id, kind, name, state, version, created_by, created_by_name, created_at) VALUES"
        " ('pty_registrar', 'registrar', '示范市登记中心', 'verified', 1, 'test', 'test', $1),"
        " ('pty_another', 'registrar', '另一登记中心', 'verified', 1, 'test', 'test', $1)",
        runtime.clock.now(),
    )
    item = await city.noticed()
    clock.advance(days=20)
    item = (await city.step("fang", item, "assign_code")).json()
    assert (await city.client.get(f"/v1/certificates/{item['code']}")).json()["registrar"] == "示范市登记中心"


async def test_acceptance_is_due_in_three_working_days(city: City) -> None:
    """Monday 23 November 2026: the third working day after it is Thursday."""
    item = (await city.create()).json()
    assert (item["clock"]["due_on"], item["clock"]["working_days_left"]) == ("2026-11-26", 3)


async def test_no_code_before_the_notice_is_over(city: City, clock: FixedClock) -> None:
    item = await city.noticed()
    clock.advance(days=14)
    answer = await city.step("fang", item, "assign_code")
    assert (answer.status_code, answer.json()["code"]) == (409, "notice_not_over")


async def test_notice_shows_its_four_items_and_no_contact(city: City) -> None:
    item = await city.noticed()
    text = (await city.client.get("/v1/notices")).text
    assert item["title"] in text
    assert "0512-12000000" not in text


async def test_an_open_objection_stops_the_code(city: City, clock: FixedClock) -> None:
    item = await city.noticed()
    item["version"] = (await city.step(
        "stranger", item, "object", real_name="实名人", reason="数据来源不实", evidence="附件一份",
    )).json()["version"]
    clock.advance(days=20)
    answer = await city.step("fang", item, "assign_code")
    assert answer.json()["code"] == "objection_open"


async def test_whoever_objects_sees_what_the_public_sees(city: City) -> None:
    item = await city.noticed()
    await city.step("rival", item, "object", real_name="另一实名人", reason="数据来源不实", evidence="附件一份")
    item["version"] += 1
    answer = await city.step(
        "stranger", item, "object", real_name="实名人", reason="数据来源不实", evidence="附件一份",
    )
    assert (answer.status_code, answer.json()["version"]) == (200, item["version"] + 1)
    assert not {"content", "party", "objections", "history", "allowed_events"} & set(answer.json())
    assert "另一实名人" not in answer.text
    assert "0512-12000000" not in answer.text
    path = f"/v1/registrations/{item['id']}"
    own = (await city.client.get(path, headers=city.token_for("apply"))).json()
    assert [one["objector"] for one in own["objections"]] == [None, None]
    assert [one["actor"] for one in own["history"] if one["event"] == "object"] == [None, None]


@pytest.mark.parametrize("event", ["accept", "submit", "assign_code", "decide_objection", "revoke", "object"])
async def test_a_stranger_learns_nothing_by_trying_steps(city: City, event: str) -> None:
    item = (await city.create()).json()
    for version in (item["version"], item["version"] + 1):
        answer = await city.step(
            "nobody", {**item, "version": version}, event, real_name="实名人", reason="数据来源不实",
            evidence="附件一份", objection_id="obj_none", verdict="upheld",
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_upheld_objection_ends_the_registration(city: City) -> None:
    item = await city.noticed()
    await city.step("stranger", item, "object", real_name="实名人", reason="数据来源不实", evidence="附件一份")
    item = (await city.client.get(f"/v1/registrations/{item['id']}", headers=city.token_for("fang"))).json()
    answer = await city.step("fang", item, "decide_objection", objection_id=item["objections"][0]["id"],
                             verdict="upheld", reason="来源证明不足")
    assert answer.json()["state"] == "terminated"
    assert "行政复议" in answer.json()["history"][-1]["remedy"]


async def test_a_revoked_certificate_says_so_in_public(city: City, clock: FixedClock, give_role: Any) -> None:
    await give_role("han", Role.AUTHORITY, "pty_authority")
    item = await city.noticed()
    clock.advance(days=20)
    item = (await city.step("fang", item, "assign_code")).json()
    await city.step("han", item, "revoke", reason="提供虚假材料")
    shown = (await city.client.get(f"/v1/certificates/{item['code']}")).json()
    assert (shown["valid"], shown["status"]) == (False, "revoked")


async def test_two_deciders_with_the_same_version_cannot_both(city: City) -> None:
    item = (await city.create()).json()
    first = await city.step("fang", item, "accept")
    second = await city.step("fang", item, "reject", reason="材料不全")
    assert (first.status_code, second.status_code) == (200, 409)


async def test_the_registrant_does_not_accept_its_own(city: City, give_role: Any) -> None:
    await give_role("apply", Role.REGISTRAR, "pty_registrar")
    item = (await city.create()).json()
    answer = await city.step("apply", item, "accept")
    assert answer.status_code == 403


async def test_a_stranger_does_not_see_a_registration(city: City) -> None:
    item = (await city.create()).json()
    answer = await city.client.get(f"/v1/registrations/{item['id']}", headers=city.token_for("nobody"))
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": "长" * 41}, "content.title"),
        ({"summary": "短"}, "content.summary"),
        ({"grade": "secret"}, "content.grade"),
        ({"evidence": {**CONTENT["evidence"], "digest": "xyz"}}, "content.evidence.digest"),
        ({"evidence": {**CONTENT["evidence"], "deposited_on": "2027-01-01"}}, "content.evidence.deposited_on"),
        ({"evidence": {**CONTENT["evidence"], "deposited_on": "2026-02-30"}}, "content.evidence.deposited_on"),
        ({"contact_phone": "'; DROP TABLE x"}, "content.contact_phone"),
        ({"unknown": 1}, "content.unknown"),
        ({"product": None}, "content"),
        ({"title": "空\u0000字"}, ""),
    ],
)
async def test_bad_content_names_its_field(city: City, change: dict[str, Any], field: str) -> None:
    answer = await city.create(**change)
    assert answer.status_code == 422
    assert any(error["field"].startswith(field) for error in answer.json()["errors"])


async def test_reject_without_reason_is_refused(city: City) -> None:
    item = (await city.create()).json()
    answer = await city.step("fang", item, "reject")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "reason")


def test_every_pair_of_state_and_event_is_answered() -> None:
    refused = 0
    for state in REGISTRATION.states:
        for event in REGISTRATION.events:
            if REGISTRATION.answer(state, event) is None:
                with pytest.raises(Exception, match="is not possible in state"):
                    REGISTRATION.require(state, event)
                refused += 1
    assert refused == len(REGISTRATION.states) * len(REGISTRATION.events) - len(REGISTRATION.rows)


@given(st.integers(0, 99_999_999), st.dates(date(2025, 3, 1), date(2099, 12, 31)))
def test_codes_carry_the_check_character_of_iso_7064(serial: int, on: date) -> None:
    assert mod_37_36.is_valid(make_code(serial, on, rules()))


@given(st.dates(date(2025, 1, 1), date(2090, 12, 31)))
def test_a_validity_of_three_years_ends_the_day_before_its_anniversary(day: date) -> None:
    following = years_later(day, 3) + timedelta(days=1)
    assert (following.year, following.month) == (day.year + 3, day.month) or (day.month, day.day) == (2, 29)
    assert following.day in (day.day, 1)
