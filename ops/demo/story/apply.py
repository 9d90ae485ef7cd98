"""Steps 3 and 4: an application with its supplement, reviews, price, offer, agreement; and others without detours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ops.demo.clients import Person, Refused
from ops.demo.load import City
from ops.demo.record import Step
from ops.demo.story.leaks import REGISTER

FIELDS = ("enterprise_name", "legal_representative", "contact_phone")
APPROVED = FIELDS[:2]
REGION = "3205"
CEILING = {"meter": "rows", "max_amount_fen": 30, "per": 100}
PRICING = {
    "kind": "graduated", "meter": "rows", "flat_fen": 0,
    "tiers": [{"up_to": 10_000, "amount_fen": 25, "per": 100}, {"up_to": None, "amount_fen": 15, "per": 100}],
}
QUOTA = {"rows_month": 30_000, "calls_day": 1_000}


@dataclass
class Customer:
    """An applicant on its way: application, agreement, grant, key, and what it was delivered."""

    person: Person
    party_id: str
    purpose_class: str
    purpose: str
    register: str = REGISTER
    fields: tuple[str, ...] = FIELDS
    owner: str = "shichang-admin"
    rows_month: int = 20_000
    application: dict[str, Any] = field(default_factory=dict)
    agreement: dict[str, Any] = field(default_factory=dict)
    grant: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    delivered_rows: int = 0


def submit(city: City, customer: Customer) -> None:
    customer.application = customer.person.post("/v1/applications", {
        "party_id": customer.party_id, "resource_id": city.resources[customer.register],
        "fields": list(customer.fields),
        "purpose_class": customer.purpose_class, "purpose": customer.purpose,
        "purpose_text": "核对客户的登记状态与法定代表人，用于业务风险控制。", "scenario": "业务受理时的主体核验",
        "region_codes": ["320500"], "term_months": 12, "delivery": ["api"], "expected_rows_month": customer.rows_month,
        "submit": True,
    })


def apply_with_supplement(city: City, step: Step, customer: Customer) -> None:
    """Step 3."""
    authority = city.people["zhuguan-li"]
    step.by(customer.person.name, authority.name)
    submit(city, customer)
    step.see(f"{city.site}/my/applications/{customer.application['id']}", "申请")
    step.check(customer.application["state"] == "form_review", "提交后进入规范性审查")
    clock = customer.application["clock"]
    step.check(clock["working_days_left"] == 5, "规范性审查期限 5 个工作日")
    step.figure("number", customer.application["number"])
    item = authority.step(
        "applications", customer.application, "request_supplement",
        reason="请补充说明数据安全保障措施", items=["安全保障措施说明"],
    )
    step.check(item["state"] == "supplement" and item["clock"]["paused"], "要求补正后时钟暂停")
    again = _refusal(lambda: authority.step("applications", item, "request_supplement", reason="再次补正"))
    step.check(again is not None, "补正只能一次性告知")
    seen = customer.person.get(f"/v1/applications/{item['id']}")
    customer.application = customer.person.step(
        "applications", seen, "answer_supplement", text="系统已通过等保三级测评，日志留存六个月以上。",
    )
    step.check(customer.application["state"] == "form_review", "补正后回到规范性审查")
    step.check(not customer.application["clock"]["paused"], "补正后时钟继续")


def _refusal(act: Any) -> Refused | None:
    try:
        act()
    except Refused as refusal:
        return refusal
    return None


def set_ceiling(city: City, step: Step) -> None:
    """A ceiling proposed by one person of the authority and approved by another."""
    proposer, approver = city.people["zhuguan-li"], city.people["zhuguan-han"]
    today = proposer.get("/v1/health")["now"][:10]
    ceiling = proposer.post("/v1/ceilings", {
        "resource_id": city.resources[REGISTER], **CEILING, "stage": "trial",
        "source_document": "示范市公共数据运营服务费上限收费标准（试行）", "effective_on": today,
    })
    own = _refusal(lambda: proposer.post(f"/v1/ceilings/{ceiling['id']}/approve", {"version": ceiling["version"]}))
    step.check(own is not None and own.status == 403, "提出人不能自己批准上限")
    approver.post(f"/v1/ceilings/{ceiling['id']}/approve", {"version": ceiling["version"], "reason": "同意"})


def review_and_sign(city: City, step: Step, customer: Customer) -> None:
    """Step 4."""
    authority, owner = city.people["zhuguan-li"], city.people["shichang-admin"]
    pricer, approver = city.people["jiaoyi-lin"], city.people["jiaoyi-gao"]
    step.by(authority.name, owner.name, pricer.name, approver.name, "jiaoyi-chen", customer.person.name)
    item = authority.step("applications", authority.get(f"/v1/applications/{customer.application['id']}"), "pass_form")
    decide(owner, item, step)
    set_ceiling(city, step)
    item = pricer.get(f"/v1/applications/{item['id']}")
    dear = {**PRICING, "tiers": [{"up_to": None, "amount_fen": 31, "per": 100}]}
    refusal = _refusal(lambda: pricer.post(f"/v1/applications/{item['id']}/price", {
        "pricing": dear, "quota": QUOTA, "reason": "", "version": item["version"],
    }))
    step.check(refusal is not None and refusal.code == "ceiling_exceeded", "超过上限的价格不能提出")
    simulated = pricer.post(f"/v1/applications/{item['id']}/price/simulate", {
        "pricing": PRICING, "rows_month": [5_000, 20_000, 30_000],
    })
    bills = {bill["quantity"]: bill["total_fen"] for bill in simulated["bills"]}
    step.check(bills == {5_000: 1_250, 20_000: 4_000, 30_000: 5_500}, "模拟账单与手算一致")
    step.figure("simulated_20000_rows_fen", bills[20_000])
    price(city, customer, step)
    step.see(f"{city.site}/staff/applications/{item['id']}/price", "定价")
    conclude(city, customer)
    step.check(customer.agreement["state"] == "in_force", "协议双方签署后生效")
    step.check(customer.application["state"] == "partly_granted", "两个字段获得授权")
    step.see(f"{city.site}/my/grants/{customer.grant['id']}", "授权")


def decide(owner: Person, item: dict[str, Any], step: Step | None = None) -> dict[str, Any]:
    """The department approves two fields with a region, refuses the third with its reason."""
    asked = [one["name"] for one in item["fields"]]
    verdicts = [
        {"name": name, "verdict": "approve"} if name in APPROVED else
        {"name": name, "verdict": "refuse", "reason": "联系电话属于个人信息，与用途无必要关联"} for name in asked
    ]
    seen = owner.get(f"/v1/applications/{item['id']}")
    decided = owner.step(
        "applications", seen, "decide_owner", fields=verdicts,
        row_filter=[{"field": "region_code", "op": "prefix", "value": REGION}],
        masks={"legal_representative": "partial:name"}, reason="按最小必要原则部分同意",
    )
    if step:
        refused = [one for one in decided["fields"] if one.get("decision") in ("refuse", "refused")]
        step.check([one["name"] for one in refused] == ["contact_phone"], "第三个字段不予同意")
        step.check(all(one.get("reason") for one in refused), "不予同意写明理由")
    return dict(decided)


def price(city: City, customer: Customer, step: Step | None = None) -> None:
    """One proposes, another approves."""
    pricer, approver = city.people["jiaoyi-lin"], city.people["jiaoyi-gao"]
    address = f"/v1/applications/{customer.application['id']}"
    item = pricer.get(address)
    pricer.post(f"{address}/price", {
        "pricing": PRICING, "quota": QUOTA, "reason": "按数据量分档", "version": item["version"],
    })
    item = approver.get(address)
    if step:
        body = {"verdict": "approve", "reason": "同意", "version": item["version"]}
        own = _refusal(lambda: pricer.post(f"{address}/price/approve", body))
        step.check(own is not None and own.status == 403, "定价人不能审批自己的价格")
    approver.post(f"{address}/price/approve", {"verdict": "approve", "reason": "未超上限", "version": item["version"]})


def conclude(city: City, customer: Customer) -> None:
    """Accept the offer, sign, countersign; the grant is issued with the agreement's entry into force."""
    address = f"/v1/applications/{customer.application['id']}"
    person, officer = customer.person, city.people["jiaoyi-chen"]
    item = person.step("applications", person.get(address), "accept_offer")
    item = person.step("applications", item, "sign", signer_name="经办人", consent=True)
    agreement = officer.get(f"/v1/agreements/{item['agreement_id']}")
    customer.agreement = officer.step("agreements", agreement, "countersign")
    customer.application = person.get(address)
    customer.grant = person.get(f"/v1/grants/{customer.application['grant_id']}")
    customer.key = person.post(f"/v1/grants/{customer.grant['id']}/keys", {"label": "演示"})["key"]


def straight_through(city: City, customer: Customer) -> None:
    """An application without detours; for the public interest there is no price to decide."""
    submit(city, customer)
    address = f"/v1/applications/{customer.application['id']}"
    authority, owner = city.people["zhuguan-li"], city.people[customer.owner]
    item = authority.step("applications", authority.get(address), "pass_form")
    if customer.register == REGISTER:
        decide(owner, item)
    else:
        verdicts = [{"name": one["name"], "verdict": "approve"} for one in item["fields"]]
        owner.step("applications", owner.get(address), "decide_owner", fields=verdicts)
    if customer.purpose_class == "industry":
        price(city, customer)
    conclude(city, customer)
