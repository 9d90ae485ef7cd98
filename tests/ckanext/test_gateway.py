"""Speaking to the service: who is asking, in which language, and what a refusal looks like."""

from __future__ import annotations

from typing import Any

import pytest
from ckanext.govopen.gateway import Gateway, ServiceAway, ServiceRefusal, segment
from ckanext.govopen.testing import ServiceDouble


def test_identity_tells_of_the_calling_token(app: Any, people: Any, headers_of: Any) -> None:
    answer = app.get("/api/3/action/govopen_identity_show", headers=headers_of("editor")).json["result"]
    assert answer["sub"] == people["editor"]["id"]
    assert answer["sysadmin"] is False
    assert answer["orgs"] == [
        {"id": people["org"]["id"], "name": people["org"]["name"], "title": "民政局", "capacity": "editor"}]
    assert app.get("/api/3/action/govopen_identity_show", headers=headers_of("sysadmin")).json["result"]["orgs"] == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "nonsense"}, {"Authorization": "Bearer x.y.z"}])
def test_identity_is_not_for_the_anonymous(app: Any, people: Any, headers: dict[str, str]) -> None:
    assert app.get("/api/3/action/govopen_identity_show", headers=headers, status=None).status_code in (401, 403)


def test_nobody_sends_no_token(people: Any, service: ServiceDouble) -> None:
    Gateway.for_user(None).get("/v1/notices", limit=5, cursor=None)
    method, path, headers, _ = service.calls[-1]
    assert (method, path) == ("GET", "/v1/notices?limit=5")
    assert "Authorization" not in headers


def test_a_refusal_carries_its_problem(people: Any, service: ServiceDouble) -> None:
    service.refusals["POST"] = (422, {
        "code": "invalid_input", "detail": "有错误", "next": "请改正",
        "errors": [{"field": "term_months", "code": "too_big", "detail": "不能超过 60"}], "reasons": "junk"})
    with pytest.raises(ServiceRefusal) as caught:
        Gateway.for_user(people["editor"]["name"]).post("/v1/applications", {"a": 1})
    problem = caught.value
    assert (problem.status, problem.code, problem.detail, problem.next) == (422, "invalid_input", "有错误", "请改正")
    assert problem.errors[0]["field"] == "term_months"
    assert problem.reasons == []


def test_an_answer_that_is_no_problem_is_no_answer(people: Any, service: ServiceDouble) -> None:
    service.refusals["GET"] = (502, {"oops": 1})
    with pytest.raises(ServiceAway):
        Gateway.for_user(None).get("/v1/notices")


@pytest.mark.parametrize("path", [
    "/v1/../secret", "//evil.example/v1", "v1/x", "/v1/a?b=c", "/v1/a#b", "/v1/a b", "/v1/./x", "/v1/a\\b", "/v1/\n"])
def test_paths_cannot_be_bent(people: Any, service: ServiceDouble, path: str) -> None:
    with pytest.raises(ServiceRefusal) as caught:
        Gateway.for_user(None).get(path)
    assert caught.value.status == 404
    assert service.calls == []


def test_a_segment_is_one_segment() -> None:
    assert segment("../x y?") == "..%2Fx%20y%3F"


def test_without_its_key_nothing_is_asked_in_anybodys_name(
    people: Any, service: ServiceDouble, ckan_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ckan_config, "ckanext.govopen.token_key_file", "/nonexistent")
    with pytest.raises(ServiceAway):
        Gateway.for_user(people["editor"]["name"]).get("/v1/me")
    assert service.calls == []


def test_a_deleted_user_is_nobody(people: Any, service: ServiceDouble) -> None:
    Gateway.for_user("no-such-user").get("/v1/notices")
    assert "Authorization" not in service.calls[-1][2]


@pytest.mark.parametrize(
    "body", [b'{"id": "a\\u0000b"}', b'{"id": "\\ud800"}', b'{"q": ["\\u0000"]}', b'{"id": "\x00"}'])
def test_text_that_no_database_takes_is_refused(app: Any, people: Any, body: bytes) -> None:
    for action in ("package_show", "package_search", "organization_show", "resource_search"):
        answer = app.post(f"/api/3/action/{action}", data=body, content_type="application/json", status=None)
        assert answer.status_code in (400, 409)
    assert app.get("/dataset/?q=%00", status=None).status_code == 400
