"""The staff console by a browser: who may see it, each decision, each form with good and bad input."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from office import Office, Sit, confirm, refused
from playwright.sync_api import Browser, expect

from ops.demo.clients import CSRF
from ops.demo.made import credit_code

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(r"[A-Za-z]{4,}")
TEXTS = """() => {
  const found = [];
  const walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (!node.parentElement.closest('script, style, pre, code, datalist, .go-mono, .go-num, [lang]'))
      found.push(node.textContent.trim());
  }
  return found.filter(Boolean);
}"""


def test_only_staff_come_in(sit: Sit, office: Office, browser: Browser) -> None:
    stranger: Any = sit("sun", "/staff")
    assert stranger.status == 403
    expect(stranger.locator("main")).to_contain_text("您的账号没有工作角色")
    anonymous = browser.new_page()
    anonymous.goto(f"{office.stack.site_url}/staff/ceilings")
    assert "/user/login" in anonymous.url
    assert "ceilings" in anonymous.url
    anonymous.close()


def test_supplement_keeps_what_was_typed_and_the_form_is_passed(sit: Sit, office: Office) -> None:
    item = office.apply()
    page: Any = sit("li", f"/staff/applications/{item['id']}?do=request_supplement")
    expect(page.locator("main")).to_contain_text("页面测试小额贷款有限公司")
    expect(page.locator("main")).to_contain_text("通过接口按授权调用")
    page.fill("#field-items", "安全措施说明\n等保测评报告")
    confirm(page, "要求补正")
    refused(page)
    expect(page.locator("#field-items")).to_have_value("安全措施说明\n等保测评报告")
    page.get_by_role("link", name="规范性审查通过").click()
    confirm(page, "规范性审查通过")
    expect(page.locator(".go-notice--done")).to_contain_text("已办理")
    assert office.people["li"].get(f"/v1/applications/{item['id']}")["state"] == "owner_review"


def test_two_decide_at_once(sit: Sit, office: Office) -> None:
    item = office.apply()
    page: Any = sit("han", f"/staff/applications/{item['id']}?do=refuse")
    page.fill("#field-reason", "用途不明 <b>x</b>")
    office.people["li"].step("applications", office.people["li"].get(f"/v1/applications/{item['id']}"), "pass_form")
    confirm(page, "不予同意")
    expect(page.locator("main")).to_contain_text("该事项已被他人处理")
    expect(page.locator("main")).to_contain_text("用途不明 <b>x</b>")
    expect(page.locator("h1 + .go-badge")).to_contain_text("实质审核")


def test_department_decides_field_by_field(sit: Sit, office: Office) -> None:
    item = office.passed()
    page: Any = sit("owner", f"/staff/applications/{item['id']}")
    page.check("input[name='verdict.0'][value=approve]")
    page.check("input[name='verdict.1'][value=refuse]")
    page.select_option("select[name='filter_field.0']", "uscc")
    page.select_option("select[name='filter_op.0']", "prefix")
    page.fill("[name='filter_value.0']", "9132")
    page.get_by_role("button", name="增加条件").click()
    expect(page.locator("[name='filter_value.0']")).to_have_value("9132")
    expect(page.locator("[name='filter_value.2']")).to_be_visible()
    confirm(page, "作出实质审核决定")
    refused(page, "理由")
    expect(page.locator("input[name='verdict.1'][value=refuse]")).to_be_checked()
    page.fill("[name='reason.1']", "与用途无关")
    page.select_option("select[name='mask.0']", "hash")
    confirm(page, "作出实质审核决定")
    done = office.people["owner"].get(f"/v1/applications/{item['id']}")
    assert [one["decision"] for one in done["fields"]] == ["approve", "refuse"]
    assert done["row_filter"] == [{"field": "uscc", "op": "prefix", "value": "9132"}]
    assert done["masks"]["uscc"] == "hash"


def test_ceiling_and_price_by_four_hands(sit: Sit, office: Office) -> None:
    today = office.people["li"].get("/v1/health")["now"][:10]
    page: Any = sit("li", "/staff/ceilings")
    page.get_by_text("提出上限", exact=True).first.click()
    page.select_option("#field-resource_id", office.resource)
    page.fill("#field-max_amount", "0.305")
    page.fill("#field-effective_on", today)
    page.fill("#field-source_document", "测试上限标准")
    page.get_by_role("button", name="提出上限标准").click()
    refused(page, "分")
    expect(page.locator("#field-max_amount")).to_have_value("0.305")
    page.fill("#field-max_amount", "0.30")
    page.get_by_role("button", name="提出上限标准").click()
    expect(page.locator(".go-notice--done")).to_contain_text("另一人审批")
    for name, said in (("li", ".go-notice--danger"), ("han", ".go-notice--done")):
        deciding: Any = sit(name, "/staff/ceilings")
        deciding.locator("tbody .st-more summary").first.click()
        confirm(deciding, "同意")
        expect(deciding.locator(said).first).to_be_visible()
    item = office.decided()
    pricing: Any = sit("lin", f"/staff/applications/{item['id']}/price")
    pricing.fill("[name='tiers.0.up_to']", "10000")
    pricing.fill("[name='tiers.0.amount']", "0.255")
    pricing.fill("[name='tiers.1.amount']", "0.15")
    pricing.get_by_role("button", name="模拟账单").click()
    refused(pricing, "分")
    pricing.fill("[name='tiers.0.amount']", "0.31")
    pricing.get_by_role("button", name="模拟账单").click()
    refused(pricing, "高于上限")
    expect(pricing.locator("svg.st-chart .st-cap")).to_have_count(1)
    pricing.fill("[name='tiers.0.amount']", "0.25")
    confirm(pricing, "提出该价格")
    expect(pricing.locator("tbody", has_text="¥40.00").first).to_be_visible()
    approving: Any = sit("gao", f"/staff/applications/{item['id']}/price")
    confirm(approving, "退回报价")
    refused(approving)
    confirm(approving, "同意并向申请人报价")
    assert office.people["sun"].get(f"/v1/applications/{item['id']}")["state"] == "offered"
    sun = office.people["sun"]
    seen = sun.step("applications", sun.get(f"/v1/applications/{item['id']}"), "accept_offer")
    sun.step("applications", seen, "sign", signer_name="经办人", consent=True)
    signing: Any = sit("chen", f"/staff/applications/{item['id']}")
    expect(signing.locator("main")).to_contain_text("SHA-256")
    confirm(signing, "会签生效")
    assert sun.get(f"/v1/applications/{item['id']}")["state"] == "granted"


def _content(title: str, today: str) -> dict[str, Any]:
    return {
        "kind": "product", "title": title, "summary": "对企业登记状态进行核验，返回是否一致，不输出原始数据。",
        "domain": "市场监督", "region": "示范市", "update_cycle": "每日", "scale": "20 万户", "format": "服务接口",
        "grade": "general-2", "has_personal_info": False, "contact_name": "马营", "contact_phone": "0512-12000004",
        "source": {"mode": "agreement", "basis": "授权运营协议第三条"},
        "evidence": {"provider": "存证中心", "number": "CZ-1", "algorithm": "SHA-256",
                     "digest": hashlib.sha256(title.encode()).hexdigest(), "deposited_on": today},
        "product": {"category": "industry", "form": "verification"},
        "scenario": {"name": "贷前核验", "description": "核验企业登记信息"},
        "security": {"assessed_on": today, "conclusion": "low", "measures": "访问控制、脱敏"},
        "business_review": {"reviewer": "合规部", "reviewed_on": today, "opinion": "同意登记"},
    }


def test_registration_is_accepted_and_put_to_notice(sit: Sit, office: Office) -> None:
    today = office.people["li"].get("/v1/health")["now"][:10]
    item = office.people["sun"].post("/v1/registrations", {
        "party_id": office.party, "content": _content(f"核验服务{secrets.token_hex(2)}", today), "submit": True})
    page: Any = sit("fang", f"/staff/registrations/{item['id']}?do=reject")
    confirm(page, "不予登记")
    refused(page)
    page.get_by_role("link", name="受理").click()
    confirm(page, "受理")
    confirm(page, "审核通过并公示")
    expect(page.locator("h1 + .go-badge")).to_contain_text("公示")
    listed: Any = sit("fang", "/staff/registrations")
    expect(listed.locator("tbody")).to_contain_text(item["number"])


def test_billing_refuses_what_it_cannot_take(sit: Sit, office: Office) -> None:
    page: Any = sit("chen", "/staff/billing")
    page.fill("#field-period", "2026-13")
    confirm(page, "关账")
    refused(page)
    expect(page.locator("#field-period")).to_have_value("2026-13")
    payments: Any = sit("chen", "/staff/billing/payments")
    payments.get_by_text("登记未知账单的转账").click()
    payments.fill("#field-reference", "无编号")
    payments.fill("#field-amount", "12.345")
    payments.fill("#field-payer", "<script>alert(1)</script>")
    payments.get_by_role("button", name="登记转账").click()
    refused(payments, "分")
    expect(payments.locator("#field-payer")).to_have_value("<script>alert(1)</script>")
    payments.fill("#field-amount", "12.34")
    payments.fill("#field-received_on", office.people["li"].get("/v1/health")["now"][:10])
    payments.fill("#field-bank_serial", f"T{secrets.token_hex(6)}")
    payments.get_by_role("button", name="登记转账").click()
    expect(payments.locator("tbody")).to_contain_text("¥12.34")
    ledger: Any = sit("chen", "/staff/billing/ledger?verify=1")
    expect(ledger.locator(".go-notice--done")).to_contain_text("账目无误")


def test_parties_are_verified_and_roles_assigned(sit: Sit, office: Office) -> None:
    made = office.people["pending"].post("/v1/parties", {
        "kind": "enterprise", "name": "待核验测试有限公司", "legal_representative": "演示", "contact_name": "演示",
        "uscc": credit_code("320501", 73_000_000 + secrets.randbelow(900_000)), "contact_phone": "0512-1",
    })
    page: Any = sit("li", f"/staff/parties/{made['id']}?do=refuse")
    confirm(page, "核验不通过")
    refused(page)
    page.get_by_role("link", name="核验通过", exact=True).click()
    confirm(page, "核验通过")
    expect(page.locator("h1 + .go-badge")).to_contain_text("已核验")
    roles: Any = sit("zhou", "/staff/roles")
    roles.get_by_text("分配角色", exact=True).click()
    roles.fill("#field-user_name", "no-such-account")
    roles.select_option("#field-role", "auditor")
    roles.fill("#field-organisation_id", "city")
    roles.get_by_role("button", name="分配", exact=True).click()
    refused(roles, "账号")
    roles.fill("#field-user_name", office.account("pending"))
    roles.get_by_role("button", name="分配", exact=True).click()
    row = roles.locator("tr", has_text=office.account("pending")).filter(has_text="审计员")
    expect(row).to_have_count(1)
    row.get_by_role("button", name="终止").click()
    roles.locator("dialog[open]").get_by_role("button", name="确认").click()
    expect(roles.locator("tr", has_text=office.account("pending")).filter(has_text="审计员")).to_have_count(0)


def test_department_loads_its_rows(sit: Sit, office: Office) -> None:
    page: Any = sit("owner", f"/department/{office.resource}/data")
    page.set_input_files("#field-file", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"uscc,wrong\n1,2\n"})
    confirm(page, "载入")
    expect(page.locator(".go-notice--danger").first).to_be_visible()
    page.set_input_files("#field-file", {"name": "a.exe", "mimeType": "text/csv", "buffer": b"MZ"})
    confirm(page, "载入")
    refused(page)
    good = b"uscc,phone\n9132,13800000000\n9133,13900000000\n"
    page.set_input_files("#field-file", {"name": "a.csv", "mimeType": "text/csv", "buffer": good})
    confirm(page, "载入")
    expect(page.locator(".go-notice--done")).to_contain_text("2")
    expect(page.locator(".go-figures")).to_contain_text("2")


PLACES = (
    ("li", "/staff"), ("li", "/staff/ceilings"), ("li", "/staff/parties"), ("fang", "/staff/registrations"),
    ("lin", "/staff/rate-cards"), ("chen", "/staff/billing"), ("chen", "/staff/billing/payments"),
    ("chen", "/staff/billing/settlements"), ("chen", "/staff/billing/rules"), ("chen", "/staff/billing/ledger"),
    ("owner", "/department/data"), ("owner", "/staff/applications/{passed}"),
    ("lin", "/staff/applications/{priced}/price"),
)


def test_the_field_editor_offers_masks_by_type_and_keeps_the_one_that_stands_there(sit: Sit) -> None:
    page = sit("owner", "/dataset/edit/ceshi-youtiaojian")
    row = page.locator(".go-items tbody tr").nth(1)
    kind, mask = (row.locator("td").nth(place).locator("select") for place in (2, 5))
    expect(mask).to_have_value("partial")
    mask.select_option("partial:phone")
    kind.select_option("date")
    expect(mask).to_have_value("partial:phone")
    mask.select_option("generalise_date:year")
    sent = json.loads(page.locator("textarea[name=items]").input_value())
    assert (sent[1]["type"], sent[1]["mask"]) == ("date", "generalise_date:year")


@pytest.mark.parametrize(("name", "path"), PLACES)
@pytest.mark.parametrize("language", ["", "/en"])
def test_pages_are_translated_accessible_and_fit_a_phone(
    sit: Sit, office: Office, name: str, path: str, language: str,
) -> None:
    if "{" in path:
        path = path.format(passed=office.passed()["id"] if "passed" in path else "",
                           priced=office.decided()["id"] if "priced" in path else "")
    page: Any = sit(name, language + path)
    assert page.status == 200
    assert page.locator("h1").count() == 1
    if not language:
        bare = [text for text in page.evaluate(TEXTS) if not CHINESE.search(text) and ENGLISH.search(text)]
        assert [text for text in bare if not re.search(r"st-|SHA|SQ-|ZD-|own|conf|@", text)] == []
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


ODD = ("", "'; DROP TABLE x; --", "<script>1</script>", "9" * 40, "1e999999", "-1", "０", "NaN", "x" * 5_000)


def test_no_input_breaks_a_page(sit: Sit, office: Office) -> None:
    item, priced = office.passed(), office.decided()
    forms = (
        ("owner", f"/staff/applications/{item['id']}", ("event", "version", "reason", "verdict.0", "name.0", "mask.0",
                                                        "filter_field.0", "filter_op.0", "filter_value.0")),
        ("lin", f"/staff/applications/{priced['id']}/price", ("act", "kind", "meter", "flat", "tiers.0.amount",
                                                              "tiers.0.up_to", "tiers.0.per", "rows_month", "version")),
        ("li", "/staff/ceilings", ("resource_id", "meter", "max_amount", "per", "effective_on", "once")),
        ("chen", "/staff/billing/close", ("period",)), ("chen", "/staff/billing/settlements", ("period", "once")),
        ("chen", "/staff/billing/rules", ("holder", "operator", "exchange", "effective_on", "operator_id")),
        ("chen", "/staff/billing/payments", ("amount", "received_on", "bank_serial", "payer", "payment_id")),
    )
    for name, path, fields in forms:
        page: Any = sit(name, "/staff/billing" if path.endswith("close") else path)
        token = CSRF.search(page.content())
        assert token
        for odd in ODD:
            sent = dict.fromkeys(fields, odd)
            fixed = {"event": "decide_owner", "act": "propose"} if len(odd) % 2 else {}
            answer = page.request.post(office.stack.site_url + path, form={
                **sent, **{key: value for key, value in fixed.items() if key in sent},
                "_csrf_token": token.group(1) or token.group(2),
            }, headers={"Referer": office.stack.site_url + path})
            assert answer.status < 500, (path, odd, answer.status)
    for path in ("/staff/applications/%2e%2e", "/staff/applications/x'y", "/staff/registrations/" + "z" * 900,
                 "/staff/billing/invoices/nope", "/staff/parties/%00", "/staff/billing/settlements/a/statements/b",
                 "/staff/parties?cursor=%FF&state=zzz", "/staff/billing?state=x&cursor='"):
        odd_page: Any = sit("chen", path)
        assert 200 <= odd_page.status < 500, (path, odd_page.status)
