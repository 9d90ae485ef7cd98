"""The publish gate: nothing is saved that the service has not accepted."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import ckan.plugins.toolkit as tk
import jwt
import pytest
from ckan import model
from ckanext.datastore.logic.action import _patch_resource_last_modified
from ckanext.govopen.testing import ServiceDouble, conditional, dataset_dict
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from werkzeug.datastructures import FileStorage

CHECK = "/v1/data-objects/check"
GATE = {"code": "publish_gate", "detail": "不符合发布条件", "next": "请先脱敏", "reasons": [
    {"code": "personal_info", "detail": "第 3 行 id_no 列疑似身份证号"}]}


def with_link(owner_org: str, **changes: Any) -> dict[str, Any]:
    return dataset_dict(owner_org, **{"resources": [{"name": "表", "url": "http://data.gov.cn/a.csv"}], **changes})


def saved(name: str) -> bool:
    model.Session.remove()
    return model.Package.by_name(name) is not None


def test_each_resource_is_checked_and_put_with_its_facts(act: Any, people: Any, service: ServiceDouble) -> None:
    made = act("editor", "package_create", **with_link(people["org"]["id"]))
    resource_id = made["resources"][0]["id"]
    sent = service.objects[resource_id]
    assert sent["dataset_id"] == made["id"]
    assert sent["organisation_id"] == people["org"]["id"]
    assert sent["open_attribute"] == "unconditional"
    assert sent["fields"][1] == {
        "name": "name", "title": "村居名称", "type": "text", "description": "行政村或社区的名称", "grade": "general-1",
        "open_attribute": "unconditional",
    }
    assert service.named("POST", CHECK)[0] == {**sent, "sample": []}
    assert made["resources"][0]["govopen_access"] == "open"


def test_calls_carry_a_signed_token_of_the_person(
    act: Any, people: Any, service: ServiceDouble, token_key: Any
) -> None:
    act("editor", "package_create", **with_link(people["org"]["id"]))
    headers = service.calls[0][2]
    public = load_pem_private_key(token_key.read_bytes(), None).public_key()
    token = headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, public, algorithms=["EdDSA"], audience="govopen")
    assert claims["name"] == people["editor"]["name"]
    assert claims["iss"] == tk.config["ckan.site_url"]
    assert claims["exp"] - claims["iat"] == 60
    assert [(org["id"], org["capacity"]) for org in claims["orgs"]] == [(people["org"]["id"], "editor")]
    assert headers["Accept-Language"] == "zh-CN"
    assert headers["X-Request-ID"]


@pytest.mark.parametrize("where", [f"POST {CHECK}", "PUT"])
def test_a_refusal_saves_nothing_and_says_why(act: Any, people: Any, service: ServiceDouble, where: str) -> None:
    service.refusals[where] = (409, GATE)
    data = with_link(people["org"]["id"])
    with pytest.raises(tk.ValidationError) as caught:
        act("editor", "package_create", **data)
    assert "第 3 行 id_no 列" in caught.value.error_dict["publish_gate"][0]
    assert not saved(data["name"])


def test_reasons_in_a_successful_check_are_a_refusal(act: Any, people: Any, service: ServiceDouble) -> None:
    service.refusals[f"POST {CHECK}"] = (200, {"effect": "deny", "reasons": GATE["reasons"]})
    data = with_link(people["org"]["id"])
    with pytest.raises(tk.ValidationError):
        act("editor", "package_create", **data)
    assert not saved(data["name"])


def test_without_the_service_nothing_is_saved(act: Any, people: Any, service: ServiceDouble) -> None:
    service.stop()
    data = with_link(people["org"]["id"])
    with pytest.raises(tk.ValidationError) as caught:
        act("editor", "package_create", **data)
    assert caught.value.error_dict["service"]
    assert not saved(data["name"])


def test_a_refused_update_leaves_the_dataset_as_it_was(act: Any, people: Any, service: ServiceDouble) -> None:
    made = act("editor", "package_create", **with_link(people["org"]["id"]))
    service.refusals[f"POST {CHECK}"] = (409, GATE)
    with pytest.raises(tk.ValidationError):
        act("editor", "package_patch", id=made["id"], title="改名", grade="general-2")
    model.Session.remove()
    assert act(None, "package_show", id=made["id"])["title"] == made["title"]


def test_facts_that_did_not_change_are_not_sent_again(act: Any, people: Any, service: ServiceDouble) -> None:
    made = act("editor", "package_create", **with_link(people["org"]["id"]))
    service.calls.clear()
    act("editor", "package_patch", id=made["id"], contact_phone="0571-85118000")
    assert service.calls == []
    act("editor", "package_patch", id=made["id"], title="新的名称")
    assert service.objects[made["resources"][0]["id"]]["dataset_title"] == "新的名称"


def test_private_deleted_and_removed_data_is_withdrawn(act: Any, people: Any, service: ServiceDouble) -> None:
    made = act("editor", "package_create", **with_link(people["org"]["id"]))
    resource_id = made["resources"][0]["id"]
    act("editor", "package_patch", id=made["id"], private=True)
    assert resource_id not in service.objects
    act("editor", "package_patch", id=made["id"], private=False)
    assert resource_id in service.objects
    added = act("editor", "resource_create", package_id=made["id"], url="http://data.gov.cn/b.csv", name="b")
    act("editor", "resource_delete", id=added["id"])
    assert set(service.objects) & {resource_id, added["id"]} == {resource_id}
    act("editor", "package_delete", id=made["id"])
    assert resource_id not in service.objects


def test_a_private_dataset_is_not_told_to_the_service(act: Any, people: Any, service: ServiceDouble) -> None:
    act("editor", "package_create", **with_link(people["org"]["id"], private=True))
    assert service.calls == []


def test_a_dataset_that_changes_hands_is_published_by_its_new_department(
    act: Any, people: Any, service: ServiceDouble
) -> None:
    made = act("editor", "package_create", **with_link(people["org"]["id"]))
    act("sysadmin", "package_owner_org_update", id=made["id"], organization_id=people["other_org"]["id"])
    sent = service.objects[made["resources"][0]["id"]]
    assert sent["organisation_id"] == people["other_org"]["id"]


def test_a_file_is_shown_to_the_scanner_before_it_is_stored(act: Any, people: Any, service: ServiceDouble) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    upload = FileStorage(io.BytesIO("code,id_no\n330106,330106199001011234\n".encode("gb18030")), "a.csv")
    service.refusals[f"POST {CHECK}"] = (409, GATE)
    with pytest.raises(tk.ValidationError):
        act("editor", "resource_create", package_id=made["id"], name="a", url="a.csv", upload=upload)
    sample = service.named("POST", CHECK)[-1]["sample"]
    assert sample == [{"code": "330106", "id_no": "330106199001011234"}]
    model.Session.remove()
    assert act(None, "package_show", id=made["id"])["resources"] == []


def test_rows_are_shown_to_the_scanner_before_they_are_stored(
    act: Any, people: Any, service: ServiceDouble
) -> None:
    made = act("editor", "package_create", **with_link(people["org"]["id"]))
    resource_id = made["resources"][0]["id"]
    rows = [{"code": "330106001", "name": "甲村"}]
    act("editor", "datastore_create", resource_id=resource_id, records=rows, force=True,
        fields=[{"id": "code", "type": "text"}, {"id": "name", "type": "text"}, {"id": "n", "type": "int"}])
    assert any(body["sample"] == rows for body in service.named("POST", CHECK))
    assert {"name": "n", "title": "n", "type": "integer", "grade": "general-1", "open_attribute": "unconditional"} \
        in service.objects[resource_id]["fields"]
    service.refusals[f"POST {CHECK}"] = (409, GATE)
    with pytest.raises(tk.ValidationError):
        act("editor", "datastore_upsert", resource_id=resource_id, method="insert", force=True,
            records=[{"code": "330106199001011234"}])
    service.refusals.clear()
    assert act(None, "datastore_search", resource_id=resource_id)["total"] == 1


def test_conditions_travel_with_conditional_data(act: Any, people: Any, service: ServiceDouble) -> None:
    made = act("editor", "package_create", **conditional(people["org"]["id"], resources=[{"name": "登记表"}]))
    sent = service.objects[made["resources"][0]["id"]]
    assert set(sent["conditions"]) == {"open_mode", "use_requirements", "security_measures"}


def test_the_operator_travels_with_its_data(act: Any, people: Any, service: ServiceDouble) -> None:
    made = act("editor", "package_create", **conditional(
        people["org"]["id"], operator_uscc="91350100m000100y43", resources=[{"name": "登记表"}]))
    assert made["operator_uscc"] == "91350100M000100Y43"
    assert service.objects[made["resources"][0]["id"]]["operator_uscc"] == "91350100M000100Y43"
    with pytest.raises(tk.ValidationError) as refused:
        act("editor", "package_patch", id=made["id"], operator_uscc="91350100M000100Y44")
    assert "operator_uscc" in refused.value.error_dict


def test_an_open_sample_may_stand_beside_conditional_data(act: Any, people: Any, service: ServiceDouble) -> None:
    made = act("editor", "package_create", **conditional(people["org"]["id"], resources=[
        {"name": "登记表"},
        {"name": "样例", "url": "http://data.gov.cn/sample.csv", "open_attribute": "unconditional",
         "grade": "general-1", "govopen_fields": [{"name": "year", "title": "年份", "type": "integer"}]},
    ]))
    assert [one["govopen_access"] for one in made["resources"]] == ["restricted", "open"]
    assert made["resources"][1]["url"] == "http://data.gov.cn/sample.csv"
    sent = service.objects[made["resources"][1]["id"]]
    assert (sent["open_attribute"], sent["grade"]) == ("unconditional", "general-1")


def test_a_job_without_a_request_changes_a_dataset(act: Any, people: Any, app: Any) -> None:
    made = act("editor", "package_create", **with_link(people["org"]["id"]))
    with app.flask_app.app_context():  # as CKAN's worker runs what a write to the DataStore left to be done
        _patch_resource_last_modified(made["resources"][0]["id"], datetime(2026, 11, 1, tzinfo=UTC))
    model.Session.remove()
    assert model.Resource.get(made["resources"][0]["id"]).last_modified.date().isoformat() == "2026-11-01"
