"""Step 1: the public finds, previews and downloads open data, without an account."""

from __future__ import annotations

import csv
import json

import pyarrow.parquet as pq

from ops.demo.load import City
from ops.demo.open_data import DIVISIONS
from ops.demo.record import Step

VILLAGES = "xingzheng-quhua-cun"
CITY_CODE = "3205"


def download_villages(city: City, step: Step) -> None:
    """Search 行政区划, open the village dataset, preview it, download it whole and one city of it."""
    public, step_resource = city.public, city.resources[VILLAGES]
    step.by("anonymous")
    step.check("authorization" not in public.http.headers, "没有账号，没有令牌")

    page = public.send("GET", "/dataset/", params={"q": "行政区划"})
    step.check(page.status_code == 200 and f"/dataset/{VILLAGES}" in page.text, "搜索“行政区划”找到村级数据集")
    step.see(f"{city.site}/dataset/?q=行政区划", "搜索结果")
    found = public.action("package_search", q="行政区划", rows=50)
    step.figure("search_hits", found["count"])

    dataset = public.send("GET", f"/dataset/{VILLAGES}")
    step.check(dataset.status_code == 200 and "全国行政区划（村级）" in dataset.text, "数据集页面可打开")
    step.see(f"{city.site}/dataset/{VILLAGES}", "数据集")
    preview = public.action("datastore_search", resource_id=step_resource, limit=20)
    step.check(len(preview["records"]) == 20, "预览前 20 行")

    wanted = pq.read_metadata(DIVISIONS / "villages.parquet").num_rows
    address = f"/data/v1/{step_resource}"
    rows = size = 0
    with public.http.stream("GET", address, params={"format": "csv"}) as answer:
        step.check(answer.status_code == 200, "整表下载被接受")
        reader = csv.reader(answer.iter_lines())
        head = next(reader)
        for record in reader:
            rows += 1
            size += len(record)
    step.check("code" in head and "name" in head, "CSV 有表头")
    step.figure("csv_rows", rows)
    step.check(rows == wanted, f"整表行数等于来源 {wanted:,} 行")
    step.see(f"{city.site}{address}?format=csv", "整表下载")

    table = pq.read_table(DIVISIONS / "villages.parquet", columns=["cityCode"])
    expected = table["cityCode"].to_pylist().count(CITY_CODE)
    query = {"format": "jsonl", "filter[city_code]": CITY_CODE}
    part = public.send("GET", address, params=query)
    records = [json.loads(line) for line in part.text.splitlines()]
    step.check(len(records) == expected, f"单个城市筛选下载等于来源 {expected:,} 行")
    step.check(all(record["city_code"] == CITY_CODE for record in records), "筛选结果全部属于该城市")
    step.figure("jsonl_rows_of_one_city", len(records))
    step.see(f"{city.site}{address}?format=jsonl&filter[city_code]={CITY_CODE}", "筛选下载")
