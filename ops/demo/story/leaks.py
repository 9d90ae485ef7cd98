"""Step 2: nobody reads a restricted table, whichever way they try."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq

from ops.demo.load import City
from ops.demo.record import Step

REGISTER = "qiye-dengji-xinxi"


@dataclass(frozen=True)
class Attempt:
    """One way in. ``must_fail``: an answer of 2xx with ``success`` is itself a leak, whatever it holds."""

    name: str
    method: str
    path: str
    params: dict[str, Any] | None = None
    json: dict[str, Any] | None = None
    headers: dict[str, str] | None = None
    must_fail: bool = True


def attempts(resource: str, dataset_id: str, probe: str) -> Iterator[Attempt]:
    """Pages, Action API, DataStore, SQL, dump, views, search fields, facets, delivery without a key."""
    action = "/api/3/action/"
    yield Attempt("数据集页面", "GET", f"/dataset/{REGISTER}", must_fail=False)
    yield Attempt("资源页面", "GET", f"/dataset/{REGISTER}/resource/{resource}", must_fail=False)
    yield Attempt("资源下载", "GET", f"/dataset/{dataset_id}/resource/{resource}/download")
    yield Attempt("资源下载（文件名）", "GET", f"/dataset/{dataset_id}/resource/{resource}/download/data.csv")
    yield Attempt("文件下载", "GET", f"/file/download/{resource}")
    yield Attempt("公开文件下载", "GET", f"/file/public-download/{resource}")
    for kind in ("csv", "json", "tsv", "xml"):
        yield Attempt(f"DataStore 导出 {kind}", "GET", f"/datastore/dump/{resource}", {"format": kind})
    yield Attempt("datastore_search", "GET", f"{action}datastore_search", {"resource_id": resource})
    yield Attempt("datastore_search 检索", "GET", f"{action}datastore_search", {"resource_id": resource, "q": probe})
    yield Attempt("datastore_info", "POST", f"{action}datastore_info", json={"id": resource})
    yield Attempt("datastore_search_sql", "GET", f"{action}datastore_search_sql",
                  {"sql": f'SELECT * FROM "{resource}" LIMIT 5'})
    yield Attempt("SQL 读受限模式", "GET", f"{action}datastore_search_sql",
                  {"sql": "SELECT * FROM restricted.r_0 LIMIT 5"})
    yield Attempt("SQL 跨库", "GET", f"{action}datastore_search_sql",
                  {"sql": "SELECT * FROM govopen.restricted.r_0"})
    yield Attempt("SQL 系统表", "GET", f"{action}datastore_search_sql",
                  {"sql": "SELECT tablename FROM pg_catalog.pg_tables"}, must_fail=False)
    yield Attempt("写入受限资源", "POST", f"{action}datastore_upsert",
                  json={"resource_id": resource, "records": [{"x": 1}], "force": True})
    yield Attempt("新建视图", "POST", f"{action}resource_view_create",
                  json={"resource_id": resource, "title": "x", "view_type": "datatables_view"})
    yield Attempt("改写资源地址", "POST", f"{action}resource_patch",
                  json={"id": resource, "url": "http://example.com/leak.csv"})
    yield from _catalogue_attempts(action, resource, dataset_id, probe)
    yield from _service_attempts(resource)


def _catalogue_attempts(action: str, resource: str, dataset_id: str, probe: str) -> Iterator[Attempt]:
    yield Attempt("package_show", "GET", f"{action}package_show", {"id": REGISTER}, must_fail=False)
    yield Attempt("resource_show", "GET", f"{action}resource_show", {"id": resource}, must_fail=False)
    for fields in ("*", "data_dict", "validated_data_dict", "res_url", "extras_*"):
        yield Attempt(f"搜索字段 fl={fields}", "GET", f"{action}package_search",
                      {"q": f"id:{dataset_id}", "fl": fields}, must_fail=False)
    for name in ("res_url", "extras_location", "urls"):
        yield Attempt(f"分面 {name}", "GET", f"{action}package_search",
                      {"q": "*:*", "facet.field": f'["{name}"]', "rows": 0}, must_fail=False)
    yield Attempt("零计数分面", "GET", f"{action}package_search",
                  {"q": "*:*", "rows": 0, "facet.mincount": 0, "facet.limit": -1, "facet.field": '["res_url","text"]'},
                  must_fail=False)
    yield Attempt("按地址筛选", "GET", f"{action}package_search", {"fq": "res_url:*restricted*"}, must_fail=False)
    yield Attempt("全文检索原值", "GET", f"{action}package_search", {"q": probe}, must_fail=False)
    yield Attempt("resource_search", "GET", f"{action}resource_search", {"query": "url:restricted"}, must_fail=False)
    yield Attempt("resource_search hash", "GET", f"{action}resource_search", {"query": "hash:a"}, must_fail=False)
    yield Attempt("视图列表", "GET", f"{action}resource_view_list", {"id": resource}, must_fail=False)
    yield Attempt("动态", "GET", f"{action}package_activity_list", {"id": dataset_id}, must_fail=False)
    yield Attempt("订阅源", "GET", "/feeds/dataset.atom", must_fail=False)


def _service_attempts(resource: str) -> Iterator[Attempt]:
    forged = {"Authorization": "Bearer gok_forged00_0000000000000000000000000000"}
    yield Attempt("接口无密钥", "GET", f"/data/v1/{resource}", {"format": "csv"})
    yield Attempt("接口无密钥 JSONL", "GET", f"/data/v1/{resource}", {"format": "jsonl"})
    yield Attempt("分页接口无密钥", "GET", f"/data/v1/{resource}/rows")
    yield Attempt("接口伪造密钥", "GET", f"/data/v1/{resource}", headers=forged)
    yield Attempt("密钥放在地址里", "GET", f"/data/v1/{resource}", {"key": "gok_forged00_0000"})
    yield Attempt("受限装载接口", "GET", f"/v1/restricted/{resource}")
    yield Attempt("数据对象", "GET", f"/v1/data-objects/{resource}", must_fail=False)
    yield Attempt("冒充发布", "PUT", f"/v1/data-objects/{resource}", json={
        "resource_id": resource, "dataset_id": "x", "organisation_id": "x", "open_attribute": "unconditional",
        "grade": "general-1", "has_personal_info": False,
    })
    yield Attempt("用量明细", "GET", "/v1/usage/events")
    yield Attempt("审计导出", "GET", "/v1/audit/export")


def _secrets(home: Path) -> list[str]:
    """Values of the restricted table that must appear in no answer."""
    table = pq.read_table(home / "demo" / "enterprises.parquet", columns=["credit_code", "contact_phone", "address"])
    some = table.slice(0, 200)
    return [value for column in some.columns for value in column.to_pylist()]


def try_everything(
    city: City, step: Step, home: Path, sign_in: Callable[[str, str, str], httpx.Client]
) -> None:
    """Every attempt as the public, as another enterprise, as an editor of another department; all must fail."""
    resource = city.resources[REGISTER]
    dataset_id = city.public.action("package_show", id=REGISTER)["id"]
    secrets = _secrets(home)
    callers: dict[str, list[httpx.Client]] = {"anonymous": [city.public.http]}
    for name in ("qiye-qian", "minzheng-admin"):
        callers[name] = [city.people[name].http, sign_in(city.site, name, city.passwords[name])]
    step.by(*callers)
    tried = refused = 0
    listed: list[dict[str, Any]] = []
    for caller, sessions in callers.items():
        for session in sessions:
            for attempt in attempts(resource, dataset_id, secrets[0]):
                answer = session.request(
                    attempt.method, attempt.path, params=attempt.params, json=attempt.json,
                    headers=attempt.headers, follow_redirects=False,
                )
                tried += 1
                refused += answer.status_code >= 400
                listed.append({"caller": caller, "attempt": attempt.name, "status": answer.status_code})
                leaked = next((value for value in secrets if value in answer.text), None)
                step.check(leaked is None, f"{caller} {attempt.name}：回答中没有受限数据")
                step.check(answer.status_code < 500, f"{caller} {attempt.name}：没有 500（{answer.status_code}）")
                if attempt.must_fail:
                    step.check(_refused(answer), f"{caller} {attempt.name}：被拒绝（{answer.status_code}）")
                step.check("restricted\".\"r_" not in answer.text and '"location"' not in answer.text,
                           f"{caller} {attempt.name}：不透露存放位置")
    step.figure("attempts", tried)
    step.figure("refused_outright", refused)
    step.figures["tried"] = listed
    step.see(f"{city.site}/dataset/{REGISTER}", "受限数据只有目录与申请入口")


def _refused(answer: httpx.Response) -> bool:
    if 300 <= answer.status_code < 400:
        return False
    if answer.status_code >= 400:
        return True
    try:
        document = answer.json()
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("success") is False
