"""Steps 5 and 6: a grant in use, its limits, and the same data for the public interest, metered and free."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx
import pyarrow.parquet as pq

from ops.demo.load import City
from ops.demo.record import Step
from ops.demo.story.apply import APPROVED, QUOTA, REGION, Customer


def fetch(city: City, customer: Customer, **params: Any) -> httpx.Response:
    """A call of the delivery interface with the customer's key."""
    with httpx.Client(base_url=city.site, timeout=120, trust_env=False) as program:
        answer = program.get(
            f"/data/v1/{city.resources[customer.register]}", params={"format": "csv", **params},
            headers={"Authorization": f"Bearer {customer.key}", "Accept-Language": "zh"},
        )
    if answer.status_code == 200 and params.get("format", "csv") == "csv":
        customer.delivered_rows += len(list(csv.reader(io.StringIO(answer.text)))) - 1
    return answer


def _code(answer: httpx.Response) -> str:
    return str(answer.json().get("code")) if answer.status_code >= 400 else "ok"


def _source(stack_home: Any) -> list[dict[str, Any]]:
    table = pq.read_table(
        stack_home / "demo" / "enterprises.parquet", columns=["region_code", *APPROVED]
    )
    return [row for row in table.to_pylist() if row["region_code"].startswith(REGION)]


def call_with_key(city: City, step: Step, customer: Customer, home: Any) -> None:
    """Step 5: two fields, names masked, rows of the region; what lies outside is refused and says what to do."""
    step.by(customer.person.name)
    answer = fetch(city, customer, purpose=customer.purpose)
    step.check(answer.status_code == 200, f"按授权调用成功（{answer.status_code} {_code(answer)}）")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    expected = _source(home)
    step.check(list(rows[0]) == list(APPROVED), "只有获批的两个字段")
    step.check(len(rows) == len(expected), f"行数等于授权区域内的 {len(expected):,} 行")
    step.check(
        sorted(row["enterprise_name"] for row in rows) == sorted(row["enterprise_name"] for row in expected),
        "企业名称与来源逐行一致",
    )
    raw = {row["legal_representative"] for row in expected}
    step.check(not any(row["legal_representative"] in raw for row in rows), "法定代表人姓名全部遮盖")
    step.figure("rows_delivered", len(rows))
    step.figures["example"] = rows[0]

    refused = {
        "third_field": fetch(city, customer, columns="enterprise_name,contact_phone", purpose=customer.purpose),
        "other_purpose": fetch(city, customer, purpose="market_analysis"),
    }
    over = fetch(city, customer, purpose=customer.purpose)
    refused["quota_used_up"] = over
    for name, one in refused.items():
        document = one.json() if one.status_code >= 400 else {}
        step.check(400 <= one.status_code < 500, f"{name} 被拒绝（{one.status_code}）")
        step.check(document.get("next"), f"{name} 说明下一步：{document.get('next')}")
        step.figures[name] = {"status": one.status_code, "code": document.get("code"), "next": document.get("next"),
                              "reasons": [reason["code"] for reason in document.get("reasons", [])]}
        print(f"     {name}: {one.status_code} {_code(one)} — {document.get('detail')} {document.get('next')}")
    left = QUOTA["rows_month"] - customer.delivered_rows
    used = customer.person.get(f"/v1/grants/{customer.grant['id']}/usage")
    step.figures["usage"] = used
    step.figure("quota_rows_left", left)
    step.see(f"{city.site}/my/grants/{customer.grant['id']}", "用量与额度")


def use_for_the_public(city: City, step: Step, customer: Customer) -> None:
    """Step 6."""
    step.by(customer.person.name)
    answer = fetch(city, customer, purpose=customer.purpose, limit=500)
    step.check(answer.status_code == 200, f"公益用途调用成功（{answer.status_code}）")
    step.check(customer.delivered_rows == 500, "500 行")
    used = customer.person.get(f"/v1/grants/{customer.grant['id']}/usage")
    step.check("500" in str(used), "公益用量同样计量")
    step.figure("rows_metered", customer.delivered_rows)
    step.check(customer.application["offer"]["use_class"] == "public_interest", "公益用途免费")
