"""The catalogue's required metadata, code lists and rules between fields."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import ckan.plugins.toolkit as tk
import pytest
from ckan import model
from ckanext.govopen import codes
from ckanext.govopen import vocabularies as lists
from ckanext.govopen.helpers.entry_form import govopen_entry_errors
from ckanext.govopen.model import CatalogCode
from ckanext.govopen.testing import USCC, conditional, dataset_dict


def errors_of(act: Any, data: dict[str, Any]) -> dict[str, Any]:
    with pytest.raises(tk.ValidationError) as caught:
        act("editor", "package_create", **data)
    return dict(caught.value.error_dict)


def test_a_complete_dataset_is_saved_and_shown_whole(act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], region="330100000000"))
    shown = act(None, "package_show", id=made["id"])
    assert shown["open_attribute"] == "unconditional"
    assert shown["region"] == "330100000000"
    assert [item["name"] for item in json.loads(shown["items"])] == ["code", "name"]
    assert shown["catalog_code"].startswith("103001/")
    again = act("editor", "package_update", **shown)
    assert again["catalog_code"] == shown["catalog_code"]


def test_a_title_is_one_line_that_runs_one_way(act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], title="账单\u202e明细\r\n第二行"))
    assert made["title"] == "账单明细 第二行"


@pytest.mark.parametrize(
    "name", ["title", "notes", "category", "provider_code", "format", "share_type", "open_attribute",
             "update_cycle", "grade", "domain"],
)
def test_what_the_national_guide_requires_is_required(act: Any, people: Any, name: str) -> None:
    errors = errors_of(act, dataset_dict(people["org"]["id"], **{name: None}))
    assert name in errors


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("provider_code", "11330100002489559X"), ("provider_code", "113301000024895591"), ("provider_code", "abc"),
        ("region", "3301"), ("region", "990100"), ("region", "33010000000a"), ("category", "4"),
        ("category", "199001"), ("category", "10"), ("open_attribute", "open"), ("grade", "general-9"),
        ("domain", "地理"), ("update_cycle", "0"), ("format", "csv"), ("share_type", "maybe"),
        ("issued", "2026-02-30"), ("issued", "yesterday"), ("time_start", "2026/01/01"), ("contact_phone", "call me"),
        ("contact_email", "nobody"), ("has_personal_info", "perhaps"), ("catalog_code", "A1"),
        ("related_code", "first, second"), ("title", "坏\x00字"), ("notes", "长" * 20_001), ("title", {"zh": "名"}),
        ("title", ["a"]), ("grade", 7), ("provider_code", {"a": 1}), ("issued", True), ("notes", {"a": [1]}),
        ("items", "not json"), ("items", "[1]"), ("items", {"a": 1}), ("items", "[" * 5000),
        ("items", [{"name": "a"}]), ("items", [{"name": "a", "title": "甲", "type": "blob"}]),
        ("items", [{"name": "a", "title": "甲", "type": "text", "surprise": 1}]),
        ("items", [{"name": "a", "title": "甲", "type": "text"}, {"name": "A", "title": "乙", "type": "text"}]),
        ("items", [{"name": 'x"; DROP TABLE package; --', "title": "甲", "type": "text"}]),
        ("items", [{"name": "a", "title": "甲", "type": "text", "mask": "rot13"}]),
        ("items", [{"name": "a", "title": "甲", "type": "text", "length": -1}]),
    ],
)
def test_bad_values_are_refused_where_they_stand(act: Any, people: Any, name: str, value: Any) -> None:
    errors = errors_of(act, dataset_dict(people["org"]["id"], **{name: value}))
    assert name in errors
    assert all(isinstance(sentence, str) for sentence in errors[name])


@pytest.mark.parametrize(
    "changes",
    [
        {"resources": "no"}, {"resources": [1]}, {"resources": {"a": 1}}, {"tags": "a,b"}, {"extras": "x"},
        {"groups": 3}, {"extras": [{"key": "grade", "value": "core"}]}, {"extras": [{"key": "k\x00", "value": "v"}]},
        {"resources": [{"url": "http://x.cn/a.csv", "name": {"a": 1}}]},
        {"resources": [{"url": "http://x.cn/a.csv", "name": "\x00"}]},
        {"resources": [{"url": "http://x.cn/a.csv", "more": [{"a": 1}]}]},
        {"resources": [{"url": "http://x.cn/a.csv", "size": "big"}]}, {"name": "Ä"}, {"owner_org": {"a": 1}},
        {"private": {"a": 1}}, {"tags": [{"name": "\x00"}]}, {"type": {"a": 1}}, {"name": ["x"]},
        {"license_id": {"a": 1}},
    ],
)
def test_shapes_that_are_wrong_are_refused_over_http_without_a_crash(
    app: Any, people: Any, headers_of: Any, changes: dict[str, Any]
) -> None:
    data = {**dataset_dict(people["org"]["id"]), **changes}
    answer = app.post("/api/3/action/package_create", json=data, headers=headers_of("editor"), status=None)
    assert 400 <= answer.status_code < 500, answer.get_data(as_text=True)[:300]
    assert answer.json["success"] is False


def test_script_is_kept_as_text_and_shown_as_text(app: Any, act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(
        people["org"]["id"], title="<script>alert(1)</script>", scenarios="' OR 1=1 --"))
    page = app.get(f"/dataset/{made['name']}").get_data(as_text=True)
    assert "<script>alert(1)</script>" not in page


def test_sentences_are_in_the_language_of_the_page(app: Any, people: Any, headers_of: Any) -> None:
    data = dataset_dict(people["org"]["id"], provider_code="abc")
    english = app.post("/en/api/3/action/package_create", json=data, headers=headers_of("editor"), status=409)
    chinese = app.post("/api/3/action/package_create", json=data, headers=headers_of("editor"), status=409)
    assert "unified social credit code" in english.json["error"]["provider_code"][0]
    assert "统一社会信用代码" in chinese.json["error"]["provider_code"][0]


@pytest.mark.parametrize("name", ["open_mode", "use_requirements", "security_measures"])
def test_conditions_are_required_of_conditional_data(act: Any, people: Any, name: str) -> None:
    assert name in errors_of(act, conditional(people["org"]["id"], **{name: None}))


@pytest.mark.parametrize("name", ["refuse_reason", "legal_basis"])
def test_closed_data_needs_reason_and_basis(act: Any, people: Any, name: str) -> None:
    data = dataset_dict(people["org"]["id"], open_attribute="closed", refuse_reason="涉及国家安全",
                        legal_basis="《数据安全法》第二十一条", items=None)
    act("editor", "package_create", **data)
    assert name in errors_of(act, {**data, "name": data["name"] + "-2", name: ""})


def test_no_field_is_graver_than_the_dataset(act: Any, people: Any) -> None:
    items = [{"name": "id_no", "title": "证号", "type": "text", "grade": "general-4"}]
    assert "items" in errors_of(act, conditional(people["org"]["id"], items=items))
    act("editor", "package_create", **conditional(people["org"]["id"], items=items, grade="general-4"))


def test_open_data_has_no_closed_field(act: Any, people: Any) -> None:
    items = [{"name": "phone", "title": "电话", "type": "text", "open_attribute": "closed"}]
    assert "items" in errors_of(act, dataset_dict(people["org"]["id"], items=items))


def test_personal_information_is_never_open_without_conditions(act: Any, people: Any) -> None:
    assert "open_attribute" in errors_of(act, dataset_dict(people["org"]["id"], has_personal_info="true"))


def test_a_period_that_ends_before_it_begins_is_refused(act: Any, people: Any) -> None:
    data = dataset_dict(people["org"]["id"], time_start="2026-02-01", time_end="2026-01-01")
    assert "time_end" in errors_of(act, data)


def test_limited_sharing_needs_its_condition(act: Any, people: Any) -> None:
    assert "share_condition" in errors_of(act, dataset_dict(people["org"]["id"], share_type="conditional"))


def test_national_codes_are_taken_as_input(act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(
        people["org"]["id"], update_cycle="7", open_attribute="1", format="3"))
    assert (made["update_cycle"], made["open_attribute"], made["format"]) == ("yearly", "unconditional", "database")


def test_catalogue_codes_are_unique_kept_and_never_reused(act: Any, people: Any) -> None:
    first = act("editor", "package_create", **dataset_dict(people["org"]["id"], category="201007"))
    second = act("editor", "package_create", **dataset_dict(people["org"]["id"], category="201007"))
    assert first["catalog_code"] != second["catalog_code"]
    act("sysadmin", "dataset_purge", id=second["id"])
    third = act("editor", "package_create", **dataset_dict(people["org"]["id"], category="201007"))
    assert third["catalog_code"] not in (first["catalog_code"], second["catalog_code"])
    taken = dataset_dict(people["org"]["id"], catalog_code=second["catalog_code"])
    assert "catalog_code" in errors_of(act, taken)
    with pytest.raises(tk.ValidationError):
        act("editor", "package_patch", id=first["id"], catalog_code="201007/999")
    assert model.Session.get(CatalogCode, second["catalog_code"]) is not None


def test_a_refused_dataset_uses_up_no_code(act: Any, people: Any) -> None:
    errors_of(act, dataset_dict(people["org"]["id"], category="201008", grade="none"))
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], category="201008"))
    assert made["catalog_code"] == "201008/1"


def test_the_date_of_issue_is_today_unless_given(act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], issued=None))
    assert made["issued"] == datetime.now(ZoneInfo("Asia/Shanghai")).date().isoformat()


def test_the_departments_code_stands_in_for_a_missing_one(act: Any, people: Any) -> None:
    act("sysadmin", "organization_patch", id=people["org"]["id"], extras=[{"key": "uscc", "value": USCC}])
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], provider_code=None))
    assert made["provider_code"] == USCC


def test_the_check_character_of_the_credit_code_follows_the_standard() -> None:
    assert codes.is_uscc("91350100M000100Y43")
    assert codes.is_uscc(USCC)
    assert not codes.is_uscc("91350100M000100Y44")
    assert not codes.is_uscc("91350100m000100y43")


def test_every_code_has_both_labels_and_occurs_once() -> None:
    for name in ("open_attribute", "grade", "domain", "update_cycle", "format", "share_type", "item_type", "mask"):
        values = [term.value for term in lists.terms(name)]
        assert len(values) == len(set(values))
        assert all(term.zh and term.en for term in lists.terms(name))
    assert len(lists.terms("domain")) == 22
    assert [term.code for term in lists.terms("update_cycle") if term.code] == list("123456789")


def test_errors_of_an_entry_stand_in_the_order_of_its_form(with_request_context: Any) -> None:
    wrong = {"update_cycle": ["x"], "category": ["x"], "unheard_of": ["x"], "title": ["x"], "tags": [{"name": ["x"]}]}
    assert list(govopen_entry_errors(wrong)) == ["title", "category", "tag_string", "update_cycle", "unheard_of"]
