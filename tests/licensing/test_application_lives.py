"""Whole lives of applications, over HTTP."""

from __future__ import annotations

import hashlib
import json

from authz import FixedClock
from licensing import agreements, applications, grants
from licensing.testing import City, a_call


async def test_from_application_to_grant_with_one_field_refused(city: City) -> None:
    applied = await city.applied()
    assert (applied["state"], applied["number"][:8]) == ("form_review", "SQ-2026-")
    assert applied["clock"]["due_on"] == "2026-11-30"
    assert applied["clock"]["holder_role"] == "authority"
    asked = await city.event("wang", applied, "request_supplement", reason="请说明使用系统", items=["系统名称"])
    assert asked["clock"]["paused"] is True
    assert asked["clock"]["waiting_for"]["holder_role"] == "enterprise_member"
    answered = await city.event(
        "chen", asked, "answer_supplement", text="贷前审查系统", changes={"scenario": "贷前审查系统中的核验"}
    )
    assert (answered["state"], answered["scenario"]) == ("form_review", "贷前审查系统中的核验")
    assert answered["clock"]["paused"] is False
    passed = await city.event("wang", answered, "pass_form")
    assert passed["state"] == "owner_review"
    assert passed["clock"]["holder_organisation_id"] == city.organisation_id


async def test_partial_grant_carries_reason_remedy_columns_masks_and_filter(city: City) -> None:
    done = await city.granted()
    assert done["state"] == "partly_granted"
    decision = next(one for one in done["history"] if one["event"] == "decide_owner")
    assert decision["reason"] == "法定代表人手机：个人信息，非必要"
    assert "行政复议" in decision["remedy"]["zh"]
    assert decision["remedy"]["until_on"] == "2027-01-22"
    grant = (await city.get("chen", f"/v1/grants/{done['grant_id']}")).json()
    assert grant["columns"] == ["name", "uscc"]
    assert grant["masks"] == {"name": "partial:name"}
    assert grant["row_filter"] == [{"field": "region", "op": "prefix", "value": "3501"}]
    assert grant["quota"] == {"rows_month": 5_000}
    assert grant["valid_until"] == "2027-11-22T16:00:00+00:00"
    assert "salt" not in str(grant)
    assert [one["status"] for one in done["steps"]] == ["done"] * 7
    async with city.runtime.snapshot() as tx:
        facts = (await grants.get(tx, grant["id"])).facts()
    assert (facts.state, facts.purpose, len(facts.salt)) == ("active", "lending_risk_control", 64)
    assert str(facts.masks["name"]) == "partial:name"


async def test_agreement_text_is_hashed_signed_twice_and_verifies(city: City) -> None:
    done = await city.granted()
    agreement = (await city.get("chen", f"/v1/agreements/{done['agreement_id']}")).json()
    text = await city.get("chen", f"/v1/agreements/{done['agreement_id']}/text")
    assert hashlib.sha256(text.content).hexdigest() == agreement["sha256"]
    for clause in ("使用目的", "使用方式", "使用范围", "安全义务", "信贷风险控制", "每月5000条", "0.20元"):
        assert clause in text.text
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert [one["side"] for one in agreement["signatures"]] == ["applicant", "platform"]
    async with city.runtime.snapshot() as tx:
        stored = await agreements.get(tx, agreement["id"])
    agreements.verify(stored, city.runtime.signing_key.public_key())
    odrl = (await city.get("li", f"/v1/agreements/{done['agreement_id']}/odrl")).json()
    assert odrl["@type"] == "Agreement"
    assert odrl["permission"][0]["duty"][0]["govopen:mask"] == "partial:name"


async def test_public_welfare_is_free_by_force_and_needs_no_pricer(city: City) -> None:
    reviewed = await city.reviewed("feng", purpose_class="public_interest", purpose="public_welfare_service")
    assert reviewed["state"] == "offered"
    assert reviewed["offer"]["pricing"] == {"kind": "flat", "meter": "rows", "flat_fen": 0, "tiers": []}
    waived = next(one for one in reviewed["history"] if one["event"] == "waive_price")
    assert (waived["actor"], waived["basis"]) == ("系统", "发改价格〔2025〕65号")
    done = await city.granted("feng", purpose_class="public_interest", purpose="public_welfare_service")
    assert done["state"] == "partly_granted"


async def test_refusal_needs_a_reason_and_ends_everything(city: City) -> None:
    applied = await city.applied()
    without = await city.try_event("wang", applied, "refuse")
    assert (without.status_code, without.json()["errors"][0]["field"]) == (422, "reason")
    refused = await city.event("wang", applied, "refuse", reason="材料与事实不符", basis="细则第九条")
    assert (refused["state"], refused["clock"], refused["allowed_events"]) == ("refused", None, [])
    assert refused["steps"][-1]["status"] == "stopped"
    again = await city.try_event("wang", refused, "pass_form")
    assert (again.status_code, again.json()["code"]) == (409, "transition_refused")
    assert "已办结" in again.json()["next"]


async def test_all_fields_refused_is_a_refusal(city: City) -> None:
    applied = await city.event("wang", await city.applied(fields=["name"]), "pass_form")
    done = await city.event(
        "li", applied, "decide_owner", fields=[{"name": "name", "verdict": "refuse", "reason": "涉及商业秘密"}]
    )
    assert (done["state"], done["agreement_id"]) == ("refused", None)


async def test_third_party_pauses_the_owner_and_silence_waits_for_the_limit(
    city: City, clock: FixedClock
) -> None:
    application = await city.event("wang", await city.applied(), "pass_form")
    asked = await city.event("li", application, "consult_third_party", party="某企业", reason="涉及其商业秘密")
    assert (asked["state"], asked["clock"]["paused"]) == ("third_party_opinion", True)
    early = await city.try_event("li", asked, "record_opinion", opinion="silence")
    assert (early.status_code, early.json()["code"]) == (409, "silence_too_early")
    clock.advance(days=30)
    back = await city.event("li", asked, "record_opinion", opinion="silence")
    assert (back["state"], back["clock"]["working_days_left"]) == ("owner_review", 10)


async def test_extension_is_asked_by_one_and_approved_by_another(city: City) -> None:
    application = await city.applied()
    asked = await city.event("wang", application, "request_extension", working_days=5, reason="材料较多")
    own = await city.try_event("wang", asked, "decide_extension", verdict="approve", reason="同意")
    assert (own.status_code, own.json()["code"]) == (403, "same_person")
    longer = await city.event("he", asked, "decide_extension", verdict="approve", reason="同意延长")
    assert (longer["clock"]["limit_working_days"], longer["clock"]["due_on"]) == (10, "2026-12-07")
    second = await city.try_event("wang", longer, "request_extension", working_days=5, reason="再次申请")
    assert second.json()["code"] == "extension_not_possible"


async def test_a_supplement_is_asked_once_and_lapses(city: City, clock: FixedClock) -> None:
    asked = await city.event("wang", await city.applied(), "request_supplement", reason="请补充材料")
    answered = await city.event("chen", asked, "answer_supplement", text="已补充说明")
    twice = await city.try_event("wang", answered, "request_supplement", reason="再补充材料")
    assert twice.json()["code"] == "supplement_already_requested"
    other = await city.event("wang", await city.applied(), "request_supplement", reason="请补充材料")
    assert other["lapses_on"] == "2026-12-14"
    clock.advance(days=22)
    system = a_call("system", clock.now())
    async with city.runtime.transaction() as tx:
        assert await applications.expire_due(tx, system, audit=city.runtime.audit) >= 1
    gone = (await city.get("chen", f"/v1/applications/{other['id']}")).json()
    assert (gone["state"], gone["history"][-1]["actor"]) == ("expired", "系统")


async def test_an_offer_lapses_and_an_unsigned_agreement_becomes_void(city: City, clock: FixedClock) -> None:
    offered = await city.offered()
    accepted = await city.event("chen", await city.offered(), "accept_offer")
    clock.advance(days=28)
    late = await city.try_event("chen", offered, "accept_offer")
    assert (late.status_code, late.json()["code"]) == (409, "offer_lapsed")
    async with city.runtime.transaction() as tx:
        await applications.expire_due(tx, a_call("system", clock.now()), audit=city.runtime.audit)
    for one in (offered, accepted):
        now = (await city.get("chen", f"/v1/applications/{one['id']}")).json()
        assert now["state"] == "expired"
    agreement = (await city.get("chen", f"/v1/agreements/{accepted['agreement_id']}")).json()
    assert agreement["state"] == "terminated"


async def test_withdrawing_while_signing_voids_the_agreement(city: City) -> None:
    signed = await city.signed()
    assert "sign" not in signed["allowed_events"]
    assert signed["clock"]["step"] == "countersign"
    gone = await city.event("chen", signed, "withdraw", reason="业务调整")
    assert gone["state"] == "withdrawn"
    agreement = (await city.get("chen", f"/v1/agreements/{signed['agreement_id']}")).json()
    late = await city.post(
        "zhao", f"/v1/agreements/{agreement['id']}/events", event="countersign", version=agreement["version"]
    )
    assert (agreement["state"], late.status_code) == ("terminated", 409)


async def test_every_step_left_evidence_with_actor_and_reason(city: City) -> None:
    done = await city.granted()
    rows = await city.runtime.pool.fetch(
        "SELECT action, leaf FROM audit.entry WHERE object_id = ANY($1) ORDER BY id",
        [done["id"], done["agreement_id"], done["grant_id"]],
    )
    assert [row["action"] for row in rows] == [
        "application.drafted", "application.submitted", "application.routed", "application.form_passed",
        "application.owner_decided", "application.price_proposed", "application.price_approved",
        "application.offer_accepted", "application.agreement_drafted", "agreement.signed", "application.signed",
        "agreement.countersigned", "grant.issued", "application.countersigned",
    ]
    owner = json.loads(next(row["leaf"] for row in rows if row["action"] == "application.owner_decided"))
    assert owner["actor"] == "li"
    assert owner["reason"]


async def test_the_reviewers_order_is_configuration(city: City, monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    from pathlib import Path

    import licensing.limits

    text = Path(licensing.limits.__file__).with_name("limits.toml").read_text(encoding="utf-8")
    other = tmp_path / "limits.toml"
    other.write_text(text.replace('["form_review", "owner_review"]', '["owner_review", "form_review"]'), "utf-8")
    monkeypatch.setenv("GOVOPEN_LICENSING_LIMITS", str(other))
    applied = await city.applied(fields=["name"])
    assert applied["state"] == "owner_review"
    decided = await city.event("li", applied, "decide_owner", fields=[{"name": "name", "verdict": "approve"}])
    assert decided["state"] == "form_review"
    assert (await city.event("wang", decided, "pass_form"))["state"] == "pricing"


async def test_queue_shows_each_their_work(city: City) -> None:
    applied = await city.applied()
    for name, seen in (("wang", True), ("li", False), ("zhao", False), ("chen", False)):
        queue = (await city.get(name, "/v1/queue?limit=100")).json()
        assert (applied["id"] in [one["id"] for one in queue["items"]]) is seen, name
    signed = await city.signed()
    queue = (await city.get("zhao", "/v1/queue")).json()
    assert signed["agreement_id"] in [one["id"] for one in queue["items"]]


async def test_what_is_overdue_is_on_the_supervisors_board_and_still_undecided(
    city: City, clock: FixedClock
) -> None:
    applied = await city.applied()
    clock.advance(days=8)
    board = (await city.get("wang", "/v1/overdue")).json()
    item = next(one for one in board["items"] if one["id"] == applied["id"])
    assert (item["due_on"], item["clock"]["overdue"], item["clock"]["working_days_left"]) == ("2026-11-30", True, -1)
    assert (await city.get("chen", "/v1/overdue")).status_code == 403
    async with city.runtime.transaction() as tx:
        await applications.expire_due(tx, a_call("system", clock.now()), audit=city.runtime.audit)
    assert (await city.get("chen", f"/v1/applications/{applied['id']}")).json()["state"] == "form_review"


async def test_me_names_the_parties_one_can_act_for(city: City) -> None:
    party = await city.party("chen")
    me = (await city.get("chen", "/v1/me")).json()
    mine = next(one for one in me["parties"] if one["id"] == party)
    assert (mine["kind"], mine["state"], mine["roles"]) == ("enterprise", "verified", ["enterprise_admin"])


async def test_the_described_interface_holds_every_event(city: City) -> None:
    described = (await city.client.get("/v1/openapi.json")).json()
    body = described["paths"]["/v1/applications/{application_id}/events"]["post"]["requestBody"]
    mapping = body["content"]["application/json"]["schema"]["discriminator"]["mapping"]
    assert {"submit", "decide_owner", "sign", "withdraw", "accept_offer"} <= set(mapping)


async def test_code_lists_are_public_and_bilingual(city: City) -> None:
    lists = (await city.client.get("/v1/vocabularies")).json()["lists"]
    assert all(term["zh"] and term["en"].isascii() for terms in lists.values() for term in terms)
