"""Organisation accounts: sign-up, check digit, verification by somebody else, members."""

from __future__ import annotations

import asyncio

from licensing.testing import City, a_uscc


async def sign_up(city: City, who: str, uscc: str, **more: object):  # type: ignore[no-untyped-def]
    return await city.post(who, "/v1/parties", kind="enterprise", name="某某科技有限公司", uscc=uscc, **more)


async def test_a_wrong_check_digit_is_a_clear_fault_in_the_callers_language(city: City) -> None:
    good = a_uscc(5)
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    for code, kind in ((wrong, "uscc_checksum"), (good[:10], "uscc_length"), ("9111000I" + good[8:], "uscc_format")):
        answer = await sign_up(city, "chen", code)
        assert answer.status_code == 422
        assert (answer.json()["errors"][0]["field"], answer.json()["errors"][0]["code"]) == ("uscc", kind)
    english = await city.client.post(
        "/v1/parties", json={"kind": "enterprise", "name": "X", "uscc": wrong},
        headers={**city.as_("chen"), "Accept-Language": "en"},
    )
    assert "check digit" in english.json()["errors"][0]["detail"]


async def test_the_code_is_taken_once_even_at_the_same_instant(city: City) -> None:
    code = a_uscc(6)
    answers = await asyncio.gather(*(sign_up(city, f"p{n}", code.lower()) for n in range(6)))
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409, 409, 409]


async def test_a_rejected_party_is_corrected_and_verified_by_another_person(city: City) -> None:
    party = (await sign_up(city, "chen", a_uscc(7))).json()
    path = f"/v1/parties/{party['id']}"
    silent = await city.post("wang", f"{path}/verify", verdict="refuse", version=1)
    assert (silent.status_code, silent.json()["errors"][0]["code"]) == (422, "reason_required")
    rejected = (await city.post("wang", f"{path}/verify", verdict="refuse", reason="名称与证照不符", version=1)).json()
    assert (rejected["state"], rejected["reason"]) == ("rejected", "名称与证照不符")
    shown = (await city.get("chen", path)).json()
    assert (shown["allowed_events"], "行政复议" in shown["history"][0]["remedy"]["zh"]) == (["amend"], True)
    amended = await city.client.put(
        path, json={"version": 2, "name": "正确名称有限公司", "uscc": a_uscc(7)}, headers=city.as_("chen")
    )
    assert (amended.status_code, amended.json()["state"]) == (200, "pending")
    done = await city.post("wang", f"{path}/verify", verdict="approve", version=3)
    assert (done.json()["state"], done.json()["verified_by"]) == ("verified", "wang")


async def test_nobody_verifies_their_own_organisation(city: City) -> None:
    party = (await sign_up(city, "wang", a_uscc(8))).json()
    own = await city.post("wang", f"/v1/parties/{party['id']}/verify", verdict="approve", version=1)
    assert (own.status_code, own.json()["code"]) == (403, "own_submission")
    other = await city.post("he", f"/v1/parties/{party['id']}/verify", verdict="approve", version=1)
    assert other.status_code == 200


async def test_strangers_see_nothing_and_enterprises_verify_nobody(city: City) -> None:
    party_id = await city.party("chen", verified=False)
    await city.party("zhou")
    for answer in (
        await city.get("zhou", f"/v1/parties/{party_id}"),
        await city.get("zhou", f"/v1/parties/{party_id}/members"),
        await city.post("zhou", f"/v1/parties/{party_id}/verify", verdict="approve", version=1),
        await city.post("zhou", f"/v1/parties/{party_id}/members", user_id="user-zhou", user_name="zhou"),
    ):
        assert answer.status_code == 404
    own = await city.post("chen", f"/v1/parties/{party_id}/verify", verdict="approve", version=1)
    assert own.status_code == 403
    listed = (await city.get("zhou", "/v1/parties")).json()["items"]
    assert [one["id"] for one in listed] == [city.parties["zhou"]]


async def test_members_come_and_go_but_an_administrator_stays(city: City) -> None:
    party_id = await city.party("chen")
    added = await city.post("chen", f"/v1/parties/{party_id}/members", user_id="user-xu", user_name="xu")
    assert (added.status_code, added.json()["role"]) == (201, "enterprise_member")
    twice = await city.post("chen", f"/v1/parties/{party_id}/members", user_id="user-xu", user_name="xu")
    assert twice.json()["code"] == "role_already_held"
    draft = await city.post("xu", "/v1/applications", **city.asking(party_id, submit=False))
    assert draft.status_code == 201
    submit = await city.post(
        "xu", f"/v1/applications/{draft.json()['id']}/events", event="submit", version=1
    )
    assert submit.status_code == 403
    seats = (await city.get("chen", f"/v1/parties/{party_id}/members")).json()["items"]
    admin = next(one for one in seats if one["role"] == "enterprise_admin")
    last = await city.client.delete(f"/v1/parties/{party_id}/members/{admin['id']}", headers=city.as_("chen"))
    assert (last.status_code, last.json()["code"]) == (409, "last_administrator")
    gone = await city.client.delete(
        f"/v1/parties/{party_id}/members/{added.json()['id']}", headers=city.as_("chen")
    )
    assert gone.status_code == 200
    assert (await city.get("xu", f"/v1/applications/{draft.json()['id']}")).status_code == 404


async def test_institutions_are_appointed_not_self_made(city: City) -> None:
    mine = await city.post("chen", "/v1/parties", kind="exchange", name="假交易所")
    assert mine.status_code == 403
    department = await city.post("chen", "/v1/parties", kind="department", name="假部门")
    assert department.json()["errors"][0]["code"] == "department_mirrored"


async def test_signing_up_twice_with_one_key_makes_one_party(city: City) -> None:
    headers = {**city.as_("chen"), "Idempotency-Key": "sign-up-1"}
    body = {"kind": "enterprise", "name": "甲公司", "uscc": a_uscc(9)}
    first = await city.client.post("/v1/parties", json=body, headers=headers)
    again = await city.client.post("/v1/parties", json=body, headers=headers)
    other = await city.client.post("/v1/parties", json={**body, "name": "乙公司"}, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")


async def test_the_department_is_mirrored_when_its_data_is_first_asked_for(city: City) -> None:
    await city.applied()
    shown = await city.get("wang", f"/v1/parties/{city.organisation_id}")
    assert (shown.json()["kind"], shown.json()["name"]) == ("department", "市场监督管理局")


async def test_affiliates_are_checked_codes_each_once_and_not_ones_own(city: City) -> None:
    own, other = a_uscc(501), a_uscc(502)
    misread = other[:-1] + ("0" if other[-1] != "0" else "1")
    wrong = await sign_up(city, "chen", own, affiliates=[other, misread, own, other[:9]])
    assert wrong.status_code == 422
    assert [(one["field"], one["code"]) for one in wrong.json()["errors"]] == [
        ("affiliates.1", "uscc_checksum"), ("affiliates.3", "uscc_length")]
    made = await sign_up(city, "chen", own, affiliates=[other.lower(), own, other])
    assert made.json()["affiliates"] == [other]
    path = f"/v1/parties/{made.json()['id']}"
    assert (await city.get("wang", path)).json()["affiliates"] == [other]
    await city.post("wang", f"{path}/verify", verdict="refuse", reason="名称与证照不符", version=1)
    amended = await city.client.put(
        path, json={"version": 2, "name": "改正有限公司", "uscc": own, "affiliates": []}, headers=city.as_("chen")
    )
    assert amended.json()["affiliates"] == []


async def test_two_that_declare_each_other_are_decided_at_the_same_instant(city: City) -> None:
    codes = {"mother": a_uscc(601), "daughter": a_uscc(602)}
    paths = {}
    for name, other in (("mother", "daughter"), ("daughter", "mother")):
        made = await sign_up(city, name, codes[name], affiliates=[codes[other]])
        paths[name] = f"/v1/parties/{made.json()['id']}/verify"
    verdicts = ["approve", *["suspend", "reinstate"] * 8]
    for version, verdict in enumerate(verdicts, start=1):
        said = {"verdict": verdict, "reason": "年度核查", "version": version}
        answers = await asyncio.gather(*(city.post("wang", path, **said) for path in paths.values()))
        assert [one.status_code for one in answers] == [200, 200], answers[0].text + answers[1].text
