"""Every fault in what is sent names its field in the caller's language; nothing is a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest

from authz import DataField, Grade, OpenAttribute, objects
from authz.testing import a_register
from licensing.testing import City, a_call

APPLICATION: list[tuple[dict[str, Any], str, str | None]] = [
    ({"fields": []}, "fields", "too_short"),
    ({"fields": ["nothing"]}, "fields.0", "unknown_field"),
    ({"fields": ["name", "name"]}, "fields.1", "duplicate"),
    ({"fields": ["name", "note"]}, "fields.1", "field_closed"),
    ({"fields": "name"}, "fields", "list_type"),
    ({"fields": ["name", None]}, "fields.1", "string_type"),
    ({"fields": ["x" * 64]}, "fields.0", "string_too_long"),
    ({"purpose": "world_domination"}, "purpose", "unknown_purpose"),
    ({"purpose": "academic_research"}, "purpose_class", "purpose_class_mismatch"),
    ({"purpose_class": "free"}, "purpose_class", "enum"),
    ({"purpose_text": ""}, "purpose_text", "string_too_short"),
    ({"purpose_text": "x" * 4001}, "purpose_text", "string_too_long"),
    ({"purpose_text": "贷前\x00审查"}, "purpose_text", "control_characters"),
    ({"scenario": "a\u202eb场景"}, "scenario", "control_characters"),
    ({"scenario": {"a": 1}}, "scenario", "string_type"),
    ({"term_months": 0}, "term_months", "greater_than_equal"),
    ({"term_months": 61}, "term_months", "term_out_of_range"),
    ({"term_months": 1.5}, "term_months", "int_from_float"),
    ({"term_months": 10**30}, "term_months", "less_than_equal"),
    ({"term_months": "twelve"}, "term_months", "int_parsing"),
    ({"expected_rows_month": 0}, "expected_rows_month", "greater_than_equal"),
    ({"expected_rows_month": 10**13}, "expected_rows_month", "less_than_equal"),
    ({"region_codes": ["35011"]}, "region_codes.0", "region_code"),
    ({"region_codes": ["abc"]}, "region_codes.0", "region_code"),
    ({"delivery": ["telepathy"]}, "delivery.0", "delivery_not_offered"),
    ({"delivery": []}, "delivery", "too_short"),
    ({"surprise": 1}, "surprise", "extra_forbidden"),
    ({"party_id": "'; DROP TABLE licensing.party; --"}, "party_id", "string_pattern_mismatch"),
    ({"submit": "perhaps"}, "submit", "bool_parsing"),
]


@pytest.mark.parametrize(("wrong", "field", "code"), APPLICATION, ids=lambda v: str(v)[:40])
async def test_a_wrong_application_names_its_field(
    city: City, wrong: dict[str, Any], field: str, code: str | None
) -> None:
    body = {**city.asking(await city.party("chen")), **wrong}
    chinese = await city.client.post("/v1/applications", json=body, headers=city.as_("chen"))
    assert chinese.status_code == 422, chinese.text
    errors = {(one["field"], one["code"]) for one in chinese.json()["errors"]}
    assert (field, code) in errors
    assert all(not one["detail"].isascii() for one in chinese.json()["errors"])
    english = await city.client.post(
        "/v1/applications", json=body, headers={**city.as_("chen"), "Accept-Language": "en"}
    )
    assert english.json()["detail"].isascii()


async def test_all_faults_are_told_at_once(city: City) -> None:
    body = city.asking(await city.party("chen"), fields=["nothing"], purpose="none", term_months=61)
    answer = await city.post("chen", "/v1/applications", **body)
    assert {one["field"] for one in answer.json()["errors"]} == {"fields.0", "purpose", "term_months"}


EVENTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("pass_form", {"version": "x"}, "version", "int_parsing"),
    ("pass_form", {"version": None}, "version", "int_type"),
    ("pass_form", {"version": -1}, "version", "greater_than_equal"),
    ("pass_form", {"extra": 1}, "extra", "extra_forbidden"),
    ("fly", {}, "event", "literal_error"),
    ("refuse", {"reason": "  "}, "reason", "string_too_short"),
    ("refuse", {"reason": "x" * 2001}, "reason", "string_too_long"),
    ("request_supplement", {"reason": "缺\x00失"}, "reason", "control_characters"),
    ("request_supplement", {"reason": "缺失", "items": ["x"] * 51}, "items", "too_long"),
    ("request_extension", {"reason": "较多", "working_days": 21}, "working_days", "extension_out_of_range"),
    ("request_extension", {"reason": "较多", "working_days": 0}, "working_days", "greater_than_equal"),
]


@pytest.mark.parametrize(("event", "more", "field", "code"), EVENTS, ids=lambda v: str(v)[:30])
async def test_a_wrong_event_names_its_field(
    city: City, event: str, more: dict[str, Any], field: str, code: str
) -> None:
    applied = await city.applied()
    answer = await city.try_event("wang", applied, event, **more)
    assert answer.status_code == 422, answer.text
    assert (field, code) in {(one["field"], one["code"]) for one in answer.json()["errors"]}
    assert (await city.get("wang", f"/v1/applications/{applied['id']}")).json()["version"] == applied["version"]


VERDICTS: list[tuple[dict[str, Any], str, str]] = [
    ({"fields": [{"name": "name", "verdict": "approve"}]}, "fields", "verdict_missing"),
    ({"fields": [{"name": "name", "verdict": "refuse"}, {"name": "uscc", "verdict": "approve"}]},
     "fields.0.reason", "reason_required"),
    ({"fields": [{"name": "capital", "verdict": "approve"}]}, "fields.0.name", "not_asked"),
    ({"fields": [{"name": "name", "verdict": "maybe"}]}, "fields.0.verdict", "literal_error"),
    ({"row_filter": [{"field": "nothing", "op": "eq", "value": "1"}]}, "row_filter.0.field", "unknown_field"),
    ({"row_filter": [{"field": "region", "op": "like", "value": "1"}]}, "row_filter.0.op", "literal_error"),
    ({"row_filter": [{"field": "region", "op": "in", "value": "1"}]}, "row_filter.0.value", "filter_value"),
    ({"row_filter": [{"field": "region", "op": "eq", "value": ["1"]}]}, "row_filter.0.value", "filter_value"),
    ({"row_filter": [{"field": "capital", "op": "gte", "value": "much"}]}, "row_filter.0.value", "filter_value"),
    ({"row_filter": [{"field": "founded", "op": "gte", "value": "2026-02-30"}]}, "row_filter.0.value",
     "filter_value"),
    ({"row_filter": [{"field": "capital", "op": "prefix", "value": "1"}]}, "row_filter.0.value", "filter_value"),
    *[({"row_filter": [{"field": "capital", "op": "gte", "value": value}]}, "row_filter.0.value", code)
      for value, code in ((2**63, "less_than_equal"), (-(2**70), "greater_than_equal"), (1e200, "filter_value"))],
    ({"row_filter": [{"field": "region", "op": "in", "value": ["1", 10**30]}]}, "row_filter.0.value",
     "less_than_equal"),
    ({"masks": {"name": "blur"}}, "masks.name", "unknown_mask"),
    ({"masks": {"capital": "null"}}, "masks.capital", "not_approved"),
    ({"masks": {"name": "generalise_date:year"}}, "masks.name", "mask_type"),
]


@pytest.mark.parametrize(("wrong", "field", "code"), VERDICTS, ids=lambda v: str(v)[:40])
async def test_a_wrong_decision_names_its_field(
    city: City, wrong: dict[str, Any], field: str, code: str
) -> None:
    applied = await city.event("wang", await city.applied(fields=["name", "uscc"]), "pass_form")
    fields = [{"name": "name", "verdict": "approve"}, {"name": "uscc", "verdict": "approve"}]
    answer = await city.try_event("li", applied, "decide_owner", **{"fields": fields, **wrong})
    assert answer.status_code == 422, answer.text
    assert (field, code) in {(one["field"], one["code"]) for one in answer.json()["errors"]}


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
async def test_a_filter_compares_with_finite_numbers_only(city: City, number: str) -> None:
    applied = await city.event("wang", await city.applied(fields=["name"]), "pass_form")
    text = json.dumps({
        "event": "decide_owner", "version": applied["version"], "fields": [{"name": "name", "verdict": "approve"}],
        "row_filter": [{"field": "capital", "op": "gte", "value": "NUMBER"}],
    }).replace('"NUMBER"', number)
    answer = await city.client.post(
        f"/v1/applications/{applied['id']}/events", content=text,
        headers={**city.as_("li"), "Content-Type": "application/json"},
    )
    assert answer.status_code in (400, 422), answer.text
    assert "row_filter.0.value" in {one["field"] for one in answer.json()["errors"]}


async def test_a_mask_may_be_stronger_than_the_fields_own_never_weaker(city: City) -> None:
    applied = await city.event("wang", await city.applied(fields=["phone"]), "pass_form")
    fields = [{"name": "phone", "verdict": "approve"}]
    weaker = await city.try_event("li", applied, "decide_owner", fields=fields,
                                  masks={"phone": "generalise_region:4"})
    assert weaker.json()["errors"][0]["code"] == "mask_weaker"
    decided = await city.event("li", applied, "decide_owner", fields=fields, masks={"phone": "hash"})
    assert decided["masks"] == {"phone": "hash"}


async def put(city: City, **changes: Any) -> None:
    async with city.runtime.transaction() as tx:
        await objects.put(
            tx, city.runtime.audit, a_call("li", city.runtime.clock.now()),
            a_register(organisation_id=city.organisation_id, **changes),
        )


async def test_open_data_needs_none_and_closed_data_takes_none(city: City) -> None:
    party = await city.party("chen")
    await put(city, resource_id="res-open", open_attribute=OpenAttribute.UNCONDITIONAL)
    await put(city, resource_id="res-closed", open_attribute=OpenAttribute.CLOSED, refuse_reason="涉及商业秘密",
              legal_basis="数据安全法")
    opened = await city.post("chen", "/v1/applications", **city.asking(party, resource_id="res-open"))
    assert (opened.status_code, opened.json()["code"]) == (409, "open_needs_no_application")
    assert "/data/v1/res-open" in opened.json()["next"]
    closed = await city.post("chen", "/v1/applications", **city.asking(party, resource_id="res-closed"))
    assert (closed.status_code, "涉及商业秘密" in closed.json()["detail"]) == (403, True)
    none = await city.post("chen", "/v1/applications", **city.asking(party, resource_id="res-none"))
    assert none.status_code == 404


async def test_shared_data_needs_consent_and_important_data_an_assessment(city: City) -> None:
    important = (DataField("score", "评分", grade=Grade.IMPORTANT, open_attribute=OpenAttribute.CONDITIONAL),)
    await put(city, resource_id="res-shared", shared_from="税务局", fields=important, grade=Grade.IMPORTANT)
    applied = await city.event(
        "wang", await city.applied(fields=["score"], resource_id="res-shared"), "pass_form"
    )
    fields = [{"name": "score", "verdict": "approve"}]
    missing = await city.try_event("li", applied, "decide_owner", fields=fields)
    assert {one["code"] for one in missing.json()["errors"]} == {"consent_required", "assessment_required"}
    await city.event("li", applied, "decide_owner", fields=fields, consent_reference="税务函〔2026〕8号",
                     risk_assessment_id="FX-2026-3")


async def test_data_that_goes_away_while_it_is_decided_is_no_crash(city: City) -> None:
    await put(city, resource_id="res-gone")
    applied = await city.event(
        "wang", await city.applied(fields=["name"], resource_id="res-gone"), "pass_form"
    )
    draft = (await city.post("chen", "/v1/applications", **city.asking(
        city.parties["chen"], resource_id="res-gone", submit=False))).json()
    async with city.runtime.transaction() as tx:
        await objects.delete(tx, city.runtime.audit, a_call("li", city.runtime.clock.now()), "res-gone")
    decided = await city.try_event("li", applied, "decide_owner", fields=[{"name": "name", "verdict": "approve"}])
    assert (decided.status_code, decided.json()["code"]) == (409, "object_gone")
    assert (await city.try_event("chen", draft, "submit")).status_code == 404
    await city.event("li", applied, "refuse", reason="数据已撤下")


async def test_bodies_and_queries_of_no_form_at_all(city: City) -> None:
    applied = await city.applied()
    path = f"/v1/applications/{applied['id']}/events"
    headers = city.as_("wang")
    for content in (b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"event": ["submit"], "version": 1}',
                    b'{"version": 1}', b'{"event": "refuse", "version": 3, "reason": "\\ud800\\ud800"}',
                    b'{"event": "pass_form", "version": 1e400}', b'{"event": "pass_form", "version": NaN}',
                    b"[" * 100_000):
        answer = await city.client.post(
            path, content=content, headers={**headers, "Content-Type": "application/json"}
        )
        assert answer.status_code in (400, 422), (content[:40], answer.status_code, answer.text)
    for query in ("limit=0", "limit=101", "limit=x", "cursor=%00", "cursor='", "state=flying", "mine=perhaps"):
        answer = await city.client.get(f"/v1/applications?{query}", headers=headers)
        assert answer.status_code == 422, query
    for identifier in ("%00", "..%2f..", "a" * 3000, "%F0%9F%92%A9", "1%27%20OR%201=1"):
        for kind in ("applications", "grants", "agreements", "parties"):
            answer = await city.client.get(f"/v1/{kind}/{identifier}", headers=headers)
            assert answer.status_code in (400, 404), (kind, identifier, answer.status_code)


async def test_script_and_sql_are_kept_as_the_text_they_are(city: City) -> None:
    text = "<script>alert(1)</script>'; DROP TABLE licensing.application; -- {0} %s"
    applied = await city.applied(purpose_text=text, scenario=text)
    assert (await city.get("chen", f"/v1/applications/{applied['id']}")).json()["purpose_text"] == text
    signed = await city.signed(purpose_text=text)
    assert text in (await city.get("chen", f"/v1/agreements/{signed['agreement_id']}/text")).text


async def test_lists_page_without_loss_or_repetition(city: City) -> None:
    party = await city.party("chen")
    made = {
        (await city.post("chen", "/v1/applications", **city.asking(party, submit=False))).json()["id"]
        for _ in range(5)
    }
    seen: list[str] = []
    cursor = ""
    for _ in range(20):
        page = (await city.get("chen", f"/v1/applications?mine=1&state=draft&limit=2{cursor}")).json()
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert made <= set(seen)
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen, reverse=True)
