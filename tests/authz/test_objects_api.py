"""``/v1/data-objects``: the gate on the way in, versions, rights, and no location on the way out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx

from authz import Role, Runtime, objects
from authz.testing import a_register, an_open_table

OWNER = [("org-market", "editor")]
OTHER = [("org-civil", "admin")]
GiveRole = Callable[..., Awaitable[None]]


def body(**changes: Any) -> dict[str, Any]:
    return {**a_register().as_document(), **changes}


async def send(client: httpx.AsyncClient, headers: Any, sent: dict[str, Any]) -> httpx.Response:
    """As the extension puts it: with a token in which CKAN vouches for whose the resource is."""
    vouched = headers.publishing(sent["resource_id"], sent["organisation_id"]) if headers else {}
    return await client.put(f"/v1/data-objects/{sent['resource_id']}", json=sent, headers=vouched)


async def put(client: httpx.AsyncClient, headers: Any, **changes: Any) -> httpx.Response:
    return await send(client, headers, body(**changes))


async def test_publish_show_list_delete(
    client: httpx.AsyncClient, token_for: Any, pool: asyncpg.Pool, runtime: Runtime
) -> None:
    headers = token_for("wang", orgs=OWNER)
    made = await put(client, headers)
    assert made.status_code == 200, made.text
    assert made.json()["version"] == 1
    assert made.json()["loaded"] is False
    async with runtime.transaction() as tx:
        await objects.set_location(tx, "res-register", {"kind": "restricted", "schema": "restricted", "table": "r_ab"})
    again = await put(client, headers)
    assert again.json()["version"] == 1
    changed = await put(client, headers, title="企业登记信息（新）", version=1)
    assert changed.json()["version"] == 2
    shown = await client.get("/v1/data-objects/res-register")
    assert shown.json()["title"] == "企业登记信息（新）"
    assert shown.json()["loaded"] is True
    assert "location" not in shown.text
    assert "r_ab" not in shown.text
    listed = await client.get("/v1/data-objects", params={"organisation_id": "org-market", "limit": 1})
    assert [one["resource_id"] for one in listed.json()["items"]] == ["res-register"]
    assert "r_ab" not in listed.text
    assert [one["version"] for one in await objects.history(pool, "res-register")] == [1, 2]
    assert (await client.delete("/v1/data-objects/res-register", headers=headers)).status_code == 200
    assert (await client.get("/v1/data-objects/res-register")).status_code == 404
    assert (await client.delete("/v1/data-objects/res-register", headers=headers)).status_code == 404
    actions = await pool.fetch("SELECT action FROM audit.entry WHERE object_id = 'res-register' ORDER BY 1") \
        if await pool.fetchval("SELECT to_regclass('audit.entry')") else []
    assert {row["action"] for row in actions} <= {
        "data_object.published", "data_object.changed", "data_object.withdrawn"
    }
    restored = await put(client, headers)
    assert restored.json()["version"] == 3


async def test_stale_version_conflicts(client: httpx.AsyncClient, token_for: Any) -> None:
    headers = token_for("wang", orgs=OWNER)
    await put(client, headers, resource_id="res-stale")
    assert (await put(client, headers, resource_id="res-stale", title="新", version=1)).status_code == 200
    stale = await put(client, headers, resource_id="res-stale", title="旧", version=1)
    assert stale.status_code == 409
    assert stale.json()["code"] == "version_conflict"


async def test_rights(client: httpx.AsyncClient, token_for: Any, give_role: GiveRole) -> None:
    assert (await put(client, {})).status_code == 401
    assert (await put(client, token_for("li", orgs=OTHER))).status_code == 403
    assert (await put(client, token_for("wu", orgs=[("org-market", "member")]))).status_code == 403
    await give_role("zhao", Role.AUTHORITY, "pty_authority")
    fresh = await put(client, token_for("zhao"), resource_id="res-fresh")
    assert fresh.status_code == 403, "the authority publishes nothing of its own"


async def test_an_object_is_not_taken_from_another_department(client: httpx.AsyncClient, token_for: Any) -> None:
    await put(client, token_for("wang", orgs=OWNER), resource_id="res-mine")
    taken = await put(client, token_for("li", orgs=OTHER), resource_id="res-mine", organisation_id="org-civil")
    assert taken.status_code == 403
    assert (await client.delete("/v1/data-objects/res-mine", headers=token_for("li", orgs=OTHER))).status_code == 403


async def test_the_gate_refuses_and_names_row_and_column(client: httpx.AsyncClient, token_for: Any) -> None:
    document = {**an_open_table().as_document(), "organisation_id": "org-market"}
    sample = [{"code": "1", "name": "甲"}, {"code": "2", "name": "联系人 13812345678"}]
    headers = token_for("wang", orgs=OWNER)
    checked = await client.post("/v1/data-objects/check", json={**document, "sample": sample}, headers=headers)
    assert checked.status_code == 200
    assert checked.json()["effect"] == "deny"
    assert checked.json()["findings"][0] | {"zh": "", "en": ""} == {
        "kind": "phone", "row": 2, "column": "name", "zh": "", "en": "",
    }
    assert "13812345678" not in checked.text
    refused = await client.put(
        "/v1/data-objects/res-villages", json={**document, "sample": sample},
        headers=headers.publishing("res-villages", "org-market"),
    )
    assert refused.status_code == 422
    assert refused.json()["code"] == "publish_gate"
    assert refused.json()["reasons"][0]["code"] == "personal_info_found"
    assert (await client.get("/v1/data-objects/res-villages")).status_code == 404


async def test_a_downgrade_is_carried_out_by_the_authority(
    client: httpx.AsyncClient, token_for: Any, give_role: GiveRole
) -> None:
    open_one = {**an_open_table().as_document(), "organisation_id": "org-market", "resource_id": "res-down"}
    headers = token_for("wang", orgs=OWNER)
    assert (await send(client, headers, open_one)).status_code == 200
    closed = {**open_one, "open_attribute": "closed", "refuse_reason": "商业秘密", "legal_basis": "条例第四十一条"}
    refused = await send(client, headers, closed)
    assert [one["code"] for one in refused.json()["reasons"]] == ["downgrade_needs_approval"]
    assert "主管部门" in refused.json()["next"]
    await give_role("zhao", Role.AUTHORITY, "pty_authority")
    done = await send(client, token_for("zhao"), closed)
    assert done.status_code == 200
    assert (await send(client, headers, open_one)).status_code == 200


async def test_withdrawing_is_no_way_around_the_approval_of_a_downgrade(
    client: httpx.AsyncClient, token_for: Any
) -> None:
    open_one = {**an_open_table().as_document(), "organisation_id": "org-market", "resource_id": "res-around"}
    headers = token_for("wang", orgs=OWNER)
    await send(client, headers, open_one)
    await client.delete("/v1/data-objects/res-around", headers=headers)
    closed = {**open_one, "open_attribute": "closed", "refuse_reason": "商业秘密", "legal_basis": "条例第四十一条"}
    refused = await send(client, headers, closed)
    assert [one["code"] for one in refused.json()["reasons"]] == ["downgrade_needs_approval"]


async def test_withdrawn_data_is_not_taken_over_by_another_department(
    client: httpx.AsyncClient, token_for: Any
) -> None:
    headers = token_for("wang", orgs=OWNER)
    await put(client, headers, resource_id="res-left")
    await client.delete("/v1/data-objects/res-left", headers=headers)
    taken = await put(client, token_for("li", orgs=OTHER), resource_id="res-left", organisation_id="org-civil")
    assert taken.status_code == 403


async def test_nobody_tells_of_a_resource_that_ckan_does_not_vouch_for(
    client: httpx.AsyncClient, token_for: Any
) -> None:
    """Else an editor of one department could have another's unpublished table delivered as open data."""
    claim = {**an_open_table().as_document(), "organisation_id": "org-market", "resource_id": "res-foreign"}
    headers = token_for("wang", orgs=OWNER)
    answer = await client.put("/v1/data-objects/res-foreign", json=claim, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "publish_through_catalogue")
    other = headers.publishing("res-another", "org-market")
    answer = await client.put("/v1/data-objects/res-foreign", json=claim, headers=other)
    assert answer.status_code == 403


BAD: list[tuple[str, dict[str, Any]]] = [
    ("resource_id", {"resource_id": "other"}), ("open_attribute", {"open_attribute": "half"}),
    ("grade", {"grade": "general-5"}), ("has_personal_info", {"has_personal_info": "perhaps"}),
    ("fields.0.name", {"fields": [{"name": "字" * 22}]}), ("fields.0.name", {"fields": [{"name": "_id"}]}),
    ("fields.0.mask", {"fields": [{"name": "a", "mask": "blur"}]}),
    ("fields.0.type", {"fields": [{"name": "a", "type": "x"}]}),
    ("body", {"fields": [{"name": "a"}, {"name": "a"}]}), ("surprise", {"surprise": 1}),
    ("location", {"location": {"kind": "restricted"}}), ("title", {"title": "a\0b"}),
    ("conditions.extra", {"conditions": {"extra": "x"}}), ("version", {"version": -1}), ("sample", {"sample": "rows"}),
]


async def test_bad_input(client: httpx.AsyncClient, token_for: Any) -> None:
    headers = token_for("wang", orgs=OWNER)
    for field, changes in BAD:
        answer = await client.put("/v1/data-objects/res-register", json=body(**changes), headers=headers)
        assert answer.status_code == 422, (field, answer.text)
        assert field in [error["field"] for error in answer.json()["errors"]], (field, answer.text)


async def test_bad_addresses(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/data-objects/..%2F..%2Fetc")).status_code in (404, 422)
    assert (await client.get("/v1/data-objects/a'b")).status_code == 422
    assert (await client.get("/v1/data-objects", params={"limit": 0})).status_code == 422
    assert (await client.get("/v1/data-objects", params={"cursor": "a\0"})).status_code == 422


async def test_the_operator_is_a_credit_code_of_the_object(client: httpx.AsyncClient, token_for: Any) -> None:
    headers = token_for("wang", orgs=OWNER)
    wrong = await put(client, headers, resource_id="res-operated", operator_uscc="91350100M000100Y44")
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "operator_uscc")
    made = await put(client, headers, resource_id="res-operated", operator_uscc=" 91350100m000100y43")
    assert (made.status_code, made.json()["operator_uscc"]) == (200, "91350100M000100Y43")
    nobody = await put(client, headers, resource_id="res-operated", operator_uscc="")
    assert (nobody.json()["operator_uscc"], nobody.json()["version"]) == (None, 2)
