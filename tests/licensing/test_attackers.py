"""Strangers, insiders of the wrong side, two deciders at once, spent tokens."""

from __future__ import annotations

import asyncio

import pytest

from authz import Role
from licensing.testing import City

APPROVE_ALL = [{"name": name, "verdict": "approve"} for name in ("name", "uscc", "phone")]


async def test_a_stranger_gets_404_for_everything_of_another_party(city: City) -> None:
    done = await city.granted()
    await city.party("zhou")
    application, grant, agreement = done["id"], done["grant_id"], done["agreement_id"]
    key = (await city.post("chen", f"/v1/grants/{grant}/keys", label="k")).json()
    answers = [
        await city.get("zhou", f"/v1/applications/{application}"),
        await city.get("zhou", f"/v1/agreements/{agreement}"),
        await city.get("zhou", f"/v1/agreements/{agreement}/text"),
        await city.get("zhou", f"/v1/agreements/{agreement}/odrl"),
        await city.get("zhou", f"/v1/grants/{grant}"),
        await city.get("zhou", f"/v1/grants/{grant}/keys"),
        await city.post("zhou", f"/v1/grants/{grant}/keys", label="mine"),
        await city.post("zhou", f"/v1/grants/{grant}/keys/{key['id']}/rotate"),
        await city.client.delete(f"/v1/grants/{grant}/keys/{key['id']}", headers=city.as_("zhou")),
        await city.post("zhou", f"/v1/grants/{grant}/events", event="revoke", reason="试试", version=1),
        await city.post("zhou", f"/v1/agreements/{agreement}/events", event="terminate", reason="试试", version=3),
        await city.post("zhou", f"/v1/agreements/{agreement}/events", event="countersign", version=3),
    ]
    for event, more in (
        ("submit", {}), ("withdraw", {}), ("accept_offer", {}), ("sign", {"signer_name": "周", "consent": True}),
        ("answer_supplement", {"text": "代为答复"}), ("pass_form", {}), ("refuse", {"reason": "试试"}),
        ("request_supplement", {"reason": "试试"}), ("decide_owner", {"fields": APPROVE_ALL}),
        ("decide_extension", {"verdict": "approve", "reason": "试试"}),
    ):
        answers.append(await city.try_event("zhou", done, event, **more))
    assert {(one.status_code, one.json()["code"]) for one in answers} == {(404, "not_found")}
    for path in ("applications", "agreements", "grants", "queue"):
        assert (await city.get("zhou", f"/v1/{path}")).json()["items"] == []


async def test_ids_that_do_not_exist_answer_as_those_one_may_not_see(city: City) -> None:
    for path in ("applications/app_none", "agreements/agr_none", "grants/gra_none", "parties/pty_none"):
        assert (await city.get("wang", f"/v1/{path}")).status_code == 404


async def test_nobody_applies_for_a_party_that_is_not_theirs(city: City) -> None:
    party = await city.party("chen")
    for name in ("zhou", "wang", "li"):
        answer = await city.post(name, "/v1/applications", **city.asking(party))
        assert answer.status_code == 404


async def test_an_unverified_party_may_draft_but_not_submit(city: City) -> None:
    party = await city.party("gao", verified=False)
    draft = await city.post("gao", "/v1/applications", **city.asking(party, submit=False))
    assert draft.status_code == 201
    refused = await city.try_event("gao", draft.json(), "submit")
    assert (refused.status_code, refused.json()["code"]) == (409, "party_not_verified")


async def test_drafts_are_seen_by_their_own_party_only(city: City) -> None:
    party = await city.party("chen")
    draft = (await city.post("chen", "/v1/applications", **city.asking(party, submit=False))).json()
    for name in ("wang", "li", "zhao", "wu"):
        assert (await city.get(name, f"/v1/applications/{draft['id']}")).status_code == 404


async def test_nobody_decides_what_they_or_their_party_submitted(city: City) -> None:
    applied = await city.applied("wang2", fields=["name", "uscc", "phone"])
    await city.give_role("wang2", Role.AUTHORITY, "pty_authority")
    own = await city.try_event("wang2", applied, "pass_form")
    assert (own.status_code, own.json()["code"]) == (403, "own_submission")
    await city.give_role("xu2", Role.ENTERPRISE_MEMBER, applied["party"]["id"])
    await city.give_role("xu2", Role.AUTHORITY, "pty_authority")
    colleague = await city.try_event("xu2", applied, "refuse", reason="同一单位")
    assert (colleague.status_code, colleague.json()["code"]) == (403, "own_submission")
    assert (await city.get("wang2", f"/v1/applications/{applied['id']}")).json()["allowed_events"] == ["withdraw"]


async def test_an_exchange_officer_with_a_seat_at_the_applicant_cannot_countersign(city: City) -> None:
    signed = await city.signed()
    await city.give_role("zhao9", Role.EXCHANGE_OFFICER, "pty_exchange")
    await city.give_role("zhao9", Role.ENTERPRISE_MEMBER, signed["party"]["id"])
    answer = await city.post(
        "zhao9", f"/v1/agreements/{signed['agreement_id']}/events", event="countersign", version=2
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "own_submission")


@pytest.mark.parametrize(
    ("name", "event", "more"),
    [
        ("li", "pass_form", {}), ("zhao", "pass_form", {}), ("wu", "refuse", {"reason": "审计员"}),
        ("qian", "refuse", {"reason": "定价员"}), ("chen", "pass_form", {}),
    ],
)
async def test_the_wrong_role_is_refused_and_told_which_it_takes(
    city: City, name: str, event: str, more: dict[str, str]
) -> None:
    applied = await city.applied()
    answer = await city.try_event(name, applied, event, **more)
    assert (answer.status_code, answer.json()["code"]) == (403, "action_not_permitted")


async def test_another_department_neither_sees_nor_decides(city: City) -> None:
    applied = await city.event("wang", await city.applied(), "pass_form")
    other = city.token_for("ma", orgs=[("org-other", "admin")])
    seen = await city.client.get(f"/v1/applications/{applied['id']}", headers=other)
    decided = await city.client.post(
        f"/v1/applications/{applied['id']}/events", headers=other,
        json={"event": "decide_owner", "version": applied["version"], "fields": APPROVE_ALL},
    )
    editor = city.token_for("editor", orgs=[(city.organisation_id, "editor")])
    edited = await city.client.post(
        f"/v1/applications/{applied['id']}/events", headers=editor,
        json={"event": "decide_owner", "version": applied["version"], "fields": APPROVE_ALL},
    )
    assert (seen.status_code, decided.status_code, edited.status_code) == (404, 404, 404)


async def test_two_people_deciding_at_once_make_one_decision(city: City) -> None:
    for _ in range(5):
        applied = await city.applied()
        one, other = await asyncio.gather(
            city.try_event("wang", applied, "pass_form"),
            city.try_event("he", applied, "refuse", reason="不符合要求"),
        )
        codes = sorted([one.status_code, other.status_code])
        assert codes == [200, 409]
        late = one if one.status_code == 409 else other
        assert late.json()["code"] == "version_conflict"
        assert "已被他人处理" in late.json()["detail"]
        history = (await city.get("wang", f"/v1/applications/{applied['id']}")).json()["history"]
        assert [h["event"] for h in history[2:]] == ["pass_form" if one.status_code == 200 else "refuse"]


async def test_countersigning_twice_at_once_issues_one_grant(city: City) -> None:
    signed = await city.signed()
    await city.give_role("zhao2", Role.EXCHANGE_OFFICER, "pty_exchange")
    path = f"/v1/agreements/{signed['agreement_id']}/events"
    answers = await asyncio.gather(*(
        city.post(name, path, event="countersign", version=2) for name in ("zhao", "zhao2", "zhao", "zhao2")
    ))
    assert sorted(one.status_code for one in answers) == [200, 409, 409, 409]
    issued = await city.runtime.pool.fetchval(
        "SELECT count(*) FROM licensing.access_grant WHERE agreement_id = $1", signed["agreement_id"]
    )
    assert issued == 1


async def test_numbers_have_no_gap_and_no_double_under_load(city: City) -> None:
    party = await city.party("chen")
    answers = await asyncio.gather(*(
        city.post("chen", "/v1/applications", **city.asking(party, submit=False)) for _ in range(12)
    ))
    numbers = sorted(int(one.json()["number"][-6:]) for one in answers)
    assert numbers == list(range(numbers[0], numbers[0] + 12))


async def test_spent_missing_and_foreign_tokens(city: City) -> None:
    applied = await city.applied()
    path = f"/v1/applications/{applied['id']}"
    spent = city.token_for("chen", lifetime_s=-30)
    garbled = {"Authorization": city.as_("chen")["Authorization"][:-4] + "AAAA"}
    for headers in (spent, garbled, {}):
        for answer in (
            await city.client.get(path, headers=headers),
            await city.client.post(f"{path}/events", headers=headers, json={"event": "withdraw", "version": 3}),
            await city.client.get("/v1/grants", headers=headers),
        ):
            assert answer.status_code == 401
            assert "www-authenticate" in answer.headers


async def test_free_text_cannot_write_itself_into_the_agreement(city: City) -> None:
    forged = "贷前审查」\n\n第五条  安全义务\n乙方不承担任何义务。\n「"
    done = await city.signed(purpose_text=forged)
    text = (await city.get("chen", f"/v1/agreements/{done['agreement_id']}/text")).text
    assert text.count("\n第五条") == 1
    assert "用途说明：「贷前审查” 第五条 安全义务 乙方不承担任何义务。 “」" in text


async def test_the_price_is_approved_by_another_than_its_proposer(city: City) -> None:
    from licensing import applications
    from licensing.errors import OwnSubmission, SamePerson
    from licensing.testing import a_call

    reviewed = await city.reviewed()
    both = a_call(
        "both", city.runtime.clock.now(), (Role.EXCHANGE_PRICER, "pty_x"), (Role.EXCHANGE_APPROVER, "pty_x")
    )
    mine = a_call("in", city.runtime.clock.now(), (Role.EXCHANGE_PRICER, "pty_x"),
                  (Role.ENTERPRISE_MEMBER, reviewed["party"]["id"]))
    async with city.runtime.transaction() as tx:
        with pytest.raises(OwnSubmission):
            await applications.price_proposed(
                tx, mine, reviewed["id"], reviewed["version"], {}, audit=city.runtime.audit
            )
        priced = await applications.price_proposed(
            tx, both, reviewed["id"], reviewed["version"], {}, audit=city.runtime.audit
        )
        with pytest.raises(SamePerson):
            await applications.price_approved(
                tx, both, priced.id, priced.version, city.offer(), audit=city.runtime.audit
            )
