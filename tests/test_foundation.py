"""The app answers, refuses strangers with problems, and keeps its promises about errors."""

import httpx
import pytest

from authz import Runtime


async def test_health_tells_the_time_of_the_runtime(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/health")
    assert answer.json()["now"] == "2026-11-23T02:00:00+00:00"


async def test_unknown_address_is_a_problem_in_chinese_by_default(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "没有找到" in answer.json()["detail"]


async def test_garbage_token_is_401(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/demo/clock", json={}, headers={"Authorization": "Bearer a.b.c\x7f"})
    assert answer.status_code == 401


async def test_a_real_city_has_no_clock_to_move(client: httpx.AsyncClient, token_for, give_role) -> None:  # type: ignore[no-untyped-def]
    from authz import Role

    await give_role("wu", Role.SYSTEM_ADMIN, "city")
    answer = await client.post("/v1/demo/clock", json={"days": 1}, headers=token_for("wu"))
    assert answer.status_code == 404


async def test_a_token_that_nests_without_end_is_401(client: httpx.AsyncClient) -> None:
    import base64

    head = base64.urlsafe_b64encode(b"[" * 5_900).decode().rstrip("=")
    answer = await client.get("/v1/me", headers={"Authorization": f"Bearer {head}"})
    assert answer.status_code in (401, 503)  # 503: what is no token of ours is asked of CKAN, which is not there


async def test_a_body_that_nests_without_end_is_refused(client: httpx.AsyncClient, token_for) -> None:  # type: ignore[no-untyped-def]
    deep = '{"resource_id":"r","sample":[{"a":' + "[" * 800 + "]" * 800 + "}]}"
    answer = await client.post(
        "/v1/data-objects/check", content=deep,
        headers={**token_for("wang"), "Content-Type": "application/json"},
    )
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(("fault", "status"), [
    (FileNotFoundError(2, "No such file", "/srv/secret/list.json"), 500), (ConnectionRefusedError(111, "refused"), 503),
])
async def test_only_a_lost_connection_is_told_as_a_part_that_is_away(
    client: httpx.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, fault: OSError, status: int
) -> None:
    def broken() -> None:
        raise fault

    monkeypatch.setattr(runtime.clock, "now", broken)
    answer = await client.get("/v1/health")
    assert answer.status_code == status
    assert "secret" not in answer.text
