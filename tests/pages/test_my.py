"""The applicant's way through the pages, by a browser: sign up, apply, answer, accept, sign, make a key."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from applicants import City
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

OpenPage = Callable[..., Page]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(r"[A-Za-z]{4,}")
TEXTS = """() => {
  const found = [];
  const walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (!node.parentElement.closest('script, style, pre, code, .go-mono, [lang]')) found.push(node.textContent.trim());
  }
  return found.filter(Boolean);
}"""


@pytest.fixture(scope="module")
def context(browser: Browser, city: City) -> Iterator[BrowserContext]:
    """The browser in which the applicant is signed in."""
    made = browser.new_context(viewport={"width": 1280, "height": 900})
    _sign_in(made, city, "my-applicant")
    yield made
    made.close()


def _sign_in(context: BrowserContext, city: City, name: str, path: str = "/my") -> Page:
    page = context.new_page()
    page.goto(city.stack.site_url + path)
    page.fill("#field-login", name)
    page.fill("#field-password", city.passwords[name])
    page.locator("main button[type=submit]").click()
    page.wait_for_url(f"**{path}")
    return page


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    made = context.new_page()
    yield made
    made.close()


def _go(page: Page, city: City, path: str) -> int:
    answer = page.goto(city.stack.site_url + path)
    return answer.status if answer else 0


def _application(city: City) -> dict[str, Any]:
    found: dict[str, Any] = city.people["my-applicant"].get(f"/v1/applications/{city.ids['application']}")
    return found


def test_pages_of_applicants_ask_to_sign_in_and_come_back(site: str, city: City) -> None:
    for path in ("/my", "/my/organisation", f"/apply/{city.resource}", "/registrations/new", "/my/grants/x"):
        answer = httpx.get(site + path, trust_env=False, timeout=30)
        assert answer.status_code == 302, path
        assert "/user/login" in answer.headers["location"]
        assert "came_from=" in answer.headers["location"]


def test_newcomers_are_shown_the_way(browser: Browser, city: City) -> None:
    context = browser.new_context()
    page = _sign_in(context, city, "my-newcomer", f"/apply/{city.resource}")
    expect(page.locator("main")).to_contain_text("申请须以单位名义提出")
    page.locator("main a.go-btn--primary").click()
    page.wait_for_url("**/my/organisation")
    expect(page.locator("#field-uscc")).to_be_visible()
    _go(page, city, "/my")
    expect(page.locator(".go-empty").first).to_contain_text("没有待办事项")
    context.close()


def test_sign_up_names_a_wrong_code_and_keeps_what_was_typed(page: Page, city: City) -> None:
    _go(page, city, "/my/organisation")
    page.fill("#field-name", "页面测试有限公司")
    page.fill("#field-uscc", city.uscc[:-1] + ("A" if city.uscc[-1] != "A" else "B"))
    page.locator("main form button[type=submit]").first.click()
    expect(page.locator("[data-error-summary]")).to_be_focused()
    expect(page.locator("#field-uscc")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#field-name")).to_have_value("页面测试有限公司")
    page.fill("#field-uscc", city.uscc)
    typed = f"91110000000000500T\n\n{city.uscc}，9111\n91110000000000501A\n"
    page.fill("#field-affiliates", typed)
    page.locator("main form button[type=submit]").first.click()
    expect(page.locator("#field-affiliates")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#field-affiliates")).to_have_value(typed)
    told = page.locator("[data-error-summary] a")
    expect(told).to_have_count(2)
    expect(told.nth(0)).to_contain_text("第 3 行“9111”：统一社会信用代码应为18位")
    expect(page.locator("#field-affiliates-error")).to_contain_text("第 4 行“91110000000000501A”")
    told.nth(1).press("Enter")
    expect(page.locator("#field-affiliates")).to_be_focused()
    marked = "() => { const a = document.activeElement; return a.value.slice(a.selectionStart, a.selectionEnd); }"
    assert page.evaluate(marked) == "91110000000000501A"
    page.fill("#field-affiliates", "")
    page.locator("main form button[type=submit]").first.click()
    expect(page.locator(".go-notice--done")).to_contain_text("单位已注册")
    expect(page.locator("main")).to_contain_text("正在核验")
    checker = city.people["my-authority"]
    party = next(one for one in checker.get("/v1/parties", state="pending")["items"] if one["uscc"] == city.uscc)
    checker.post(f"/v1/parties/{party['id']}/verify", {
        "verdict": "approve", "reason": "证照核对一致", "version": party["version"]})
    city.ids["party"] = party["id"]


def test_members_are_added_by_name_and_removed_after_a_question(page: Page, city: City) -> None:
    _go(page, city, "/my/organisation")
    page.fill("#field-user_name", "nobody-of-this-name")
    page.locator("form.go-card button[type=submit]").click()
    expect(page.locator("#field-user_name-error")).to_contain_text("没有这个账号")
    page.fill("#field-user_name", "my-newcomer")
    page.locator("form.go-card button[type=submit]").click()
    expect(page.locator(".go-list")).to_contain_text("my-newcomer")
    page.locator(".go-list [data-opens]").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("不能再代表本单位")
    dialog.locator("button[type=submit]").click()
    expect(page.locator(".go-list")).not_to_contain_text("my-newcomer")


def test_data_that_needs_or_takes_no_application_says_so(page: Page, city: City) -> None:
    assert _go(page, city, f"/apply/{city.closed}") == 200
    expect(page.locator("main")).to_contain_text("个人信息保护法")
    assert page.locator("main form").count() == 0
    assert _go(page, city, f"/apply/{city.open}") == 200
    expect(page.locator("main a.go-btn--primary")).to_have_attribute("href", "/dataset/ceshi-kaifang")


def test_a_refused_application_keeps_everything(page: Page, city: City) -> None:
    _go(page, city, f"/apply/{city.resource}?fields=uscc")
    expect(page.locator("[name=fields][value=uscc]")).to_be_checked()
    text = '核对主体 <script>alert("x")</script> \'; DROP TABLE party; --'
    page.check("[name=purpose_class][value=public_interest]")
    page.fill("#field-purpose_text", text)
    page.fill("#field-region_codes", "320500 99x")
    page.fill("#field-term_months", "999")
    page.fill("#field-expected_rows_month", "-5")
    page.locator("button[value=submit]").click()
    expect(page.locator("[data-error-summary]")).to_be_focused()
    for name in ("term_months", "expected_rows_month", "purpose", "scenario"):
        expect(page.locator(f"#field-{name}")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#field-purpose_text")).to_have_value(text)
    expect(page.locator("#field-region_codes")).to_have_value("320500 99x")
    expect(page.locator("[name=fields][value=uscc]")).to_be_checked()
    expect(page.locator("[name=purpose_class][value=public_interest]")).to_be_checked()


def test_apply_save_change_and_hand_in(page: Page, city: City) -> None:
    _go(page, city, f"/apply/{city.resource}?fields=uscc,phone,nosuch")
    page.check("[name=purpose_class][value=public_interest]")
    page.select_option("#field-purpose", "public_welfare_service")
    page.fill("#field-purpose_text", "核对受助单位的登记状态")
    page.fill("#field-scenario", "发放救助前的主体核验")
    page.fill("#field-expected_rows_month", "20,000")
    page.keyboard.press("Enter")
    expect(page.locator(".go-notice--done")).to_contain_text("草稿已保存")
    city.ids["application"] = page.url.rstrip("/").rsplit("/", 1)[-1].split("?")[0]
    page.get_by_role("link", name="修改草稿").click()
    expect(page.locator("#field-expected_rows_month")).to_have_value("20000")
    page.fill("#field-scenario", "发放救助前核验受助单位")
    page.locator("main button[value=submit]:not([hidden])").click()
    expect(page.locator(".go-notice--done")).to_contain_text("申请已提交")
    expect(page.locator(".go-clock")).to_contain_text("还剩 5 个工作日")
    expect(page.locator(".go-clock")).to_contain_text("数据主管部门")
    expect(page.locator("[aria-current=step]")).to_contain_text("规范性审查")


def test_supplement_is_answered_and_a_stale_form_keeps_its_text(page: Page, city: City) -> None:
    authority = city.people["my-authority"]
    item = authority.get(f"/v1/applications/{city.ids['application']}")
    authority.step("applications", item, "request_supplement", reason="请说明安全措施", items=["等保证明"])
    _go(page, city, "/my")
    first = page.locator(".go-waiting li").first
    expect(first).to_contain_text("提交补正")
    first.locator("a").click()
    expect(page.locator("main")).to_contain_text("等保证明")
    page.evaluate("document.querySelector('form.go-form [name=version]').value = '1'")
    page.fill("#field-text", "已通过等保三级测评")
    page.get_by_role("button", name="提交补正材料").click()
    expect(page.locator(".go-notice--danger")).to_contain_text("已被他人处理")
    expect(page.locator("#field-text")).to_have_value("已通过等保三级测评")
    page.get_by_role("button", name="提交补正材料").click()
    expect(page.locator(".go-notice--done")).to_contain_text("补正已提交")


def test_decisions_are_shown_with_reasons_then_accept_and_sign(page: Page, city: City) -> None:
    authority, owner = city.people["my-authority"], city.people["my-owner"]
    address = f"/v1/applications/{city.ids['application']}"
    authority.step("applications", authority.get(address), "pass_form")
    owner.step("applications", owner.get(address), "decide_owner", reason="最小必要", fields=[
        {"name": "uscc", "verdict": "approve"}, {"name": "phone", "verdict": "refuse", "reason": "与用途无关"}])
    _go(page, city, f"/my/applications/{city.ids['application']}")
    expect(page.locator("main")).to_contain_text("与用途无关")
    expect(page.locator("main")).to_contain_text("行政复议")
    page.locator("[data-opens=accept]").click()
    expect(page.locator("dialog[open]")).to_contain_text("未交付数据之前不产生费用")
    page.locator("dialog[open] button[type=submit]").click()
    expect(page.locator("pre.go-paper")).to_contain_text("公共数据使用协议")
    page.locator("[data-opens=sign]").click()
    page.locator("dialog[open] button[type=submit]").click()
    expect(page.locator("dialog[open] #field-signer_name")).to_have_attribute("aria-invalid", "true")
    page.locator("dialog[open] #field-signer_name").fill("经办人")
    page.locator("dialog[open] #field-consent").check()
    page.locator("dialog[open] button[type=submit]").click()
    expect(page.locator(".go-notice--done")).to_contain_text("等待交易所会签")
    officer = city.people["my-officer"]
    agreement = officer.get(f"/v1/agreements/{_application(city)['agreement_id']}")
    officer.step("agreements", agreement, "countersign")
    city.ids["grant"], city.ids["agreement"] = _application(city)["grant_id"], agreement["id"]


def test_a_key_is_shown_once_and_stopped(page: Page, city: City) -> None:
    path = f"/my/grants/{city.ids['grant']}"
    assert _go(page, city, path) == 200
    expect(page.locator("#example-curl")).to_contain_text(f"/data/v1/{city.resource}")
    expect(page.locator("#example-curl")).to_contain_text("purpose=public_welfare_service")
    page.fill("#field-label", "页面测试程序")
    page.get_by_role("button", name="创建密钥").click()
    key = page.locator("#new-key").inner_text()
    assert re.fullmatch(r"gok_[0-9a-z]+_[0-9a-z]+", key)
    _go(page, city, path)
    assert key not in page.content()
    page.get_by_role("button", name="停用", exact=True).click()
    expect(page.locator("dialog[open]")).to_contain_text("立即被拒绝")
    page.locator("dialog[open] button[type=submit]").click()
    expect(page.locator("#keys table")).to_contain_text("已停用")


def test_a_key_is_limited_and_one_that_leaked_is_told(page: Page, city: City) -> None:
    path = f"/my/grants/{city.ids['grant']}"
    _go(page, city, path)
    page.fill("#field-label", "对账程序")
    page.locator("form .go-choice input[value=download]").last.uncheck()
    page.fill("#field-ip_allow", "203.0.113.0/24\n不是地址")
    page.get_by_role("button", name="创建密钥").click()
    expect(page.locator("[data-error-summary]")).to_contain_text("203.0.113.0/24")
    assert page.input_value("#field-ip_allow") == "203.0.113.0/24\n不是地址"
    page.fill("#field-ip_allow", "203.0.113.0/24\n2001:DB8::/48")
    page.get_by_role("button", name="创建密钥").click()
    key = page.locator("#new-key").inner_text()
    _go(page, city, path)
    row = page.locator("#keys table tr", has_text="对账程序")
    expect(row).to_contain_text("203.0.113.0/24, 2001:db8::/48")
    expect(row).not_to_contain_text("整表下载")
    row.get_by_role("button", name="限制").click()
    dialog = page.locator("dialog[open]")
    dialog.locator("input[value=download]").check()
    dialog.locator("textarea").fill("")
    dialog.locator("button[type=submit]").click()
    row = page.locator("#keys table tr", has_text="对账程序")
    expect(row).to_contain_text("不限来源地址")
    said = httpx.post(f"{city.stack.site_url}/v1/keys/leaked", json={"key": key}, trust_env=False)
    assert said.status_code == 202
    _go(page, city, path)
    expect(page.locator(".go-notice--danger").first).to_contain_text("对账程序")
    expect(page.locator("#keys table tr", has_text="对账程序")).to_contain_text("已泄露，停用")
    if folder := os.environ.get("GOVOPEN_PICTURES"):
        for language, width in (("", 1280), ("/en", 1280), ("", 390)):
            page.set_viewport_size({"width": width, "height": 900})
            _go(page, city, language + path)
            page.screenshot(path=f"{folder}/grant{language.replace('/', '-')}-{width}.png", full_page=True)


def test_use_is_seen_without_reloading_and_what_is_missing_is_told(page: Page, city: City) -> None:
    grant, applicant = city.ids["grant"], city.people["my-applicant"]
    source = f"https://pages.example/{secrets.token_hex(4)}"
    applicant.post("/v1/usage/products", {
        "party_id": applicant.get(f"/v1/grants/{grant}")["party_id"], "source": source, "title": "页面测试产品",
        "types": ["cn.example.query"], "grants": [grant]})

    def report(rows: int, sequence: int) -> None:
        event = {
            "specversion": "1.0", "id": secrets.token_hex(8), "source": source, "type": "cn.example.query",
            "subject": grant, "time": applicant.get("/v1/health")["now"], "sequence": str(sequence),
            "data": {"rows": rows, "calls": 1, "bytes": 2_000_000},
        }
        answer = applicant.send("POST", "/v1/usage/events", content=json.dumps(event),
                                headers={"Content-Type": "application/cloudevents+json"})
        assert answer.status_code == 201, answer.text

    report(11, 1)
    _go(page, city, f"/my/grants/{grant}")
    page.get_by_role("link", name="全部用量（实时）").click()
    page.locator("#live summary").click()
    report(4321, 4)
    expect(page.locator("#live details table")).to_contain_text("4,332", timeout=60_000)
    expect(page.locator("#live details")).to_have_attribute("open", "")
    _go(page, city, f"/my/grants/{grant}/usage")
    expect(page.locator(".go-notice").first).to_contain_text("2 至 3")


def _paths(city: City) -> list[str]:
    return ["/my", "/my/applications", "/my/grants", "/my/invoices", "/my/registrations", "/my/organisation",
            "/my/organisation?new=1", f"/my/applications/{city.ids['application']}", f"/my/grants/{city.ids['grant']}",
            f"/my/grants/{city.ids['grant']}/usage",
            f"/my/agreements/{city.ids['agreement']}", f"/apply/{city.resource}", "/registrations/new"]


DATA = {"api", "curl", "python", "javascript", "sha-256", "sm3", "my-applicant"}


def test_pages_are_translated_fit_a_phone_and_pass_axe(page: Page, city: City) -> None:
    faults = []
    for path in _paths(city):
        for language, width in (("", 1280), ("/en", 360)):
            page.set_viewport_size({"width": width, "height": 900})
            assert _go(page, city, language + path) == 200, path
            assert page.locator("h1").count() == 1, path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            if not language:
                plain = [text for text in page.evaluate(TEXTS) if not CHINESE.search(text)]
                faults += [f"{path}: {t}" for t in plain if ENGLISH.search(t) and t.lower() not in DATA]
            found = Axe().run(page, options={"runOnly": RULES})
            faults += [f"{language}{path}: {rule['id']}: {node['html'][:160]}"
                       for rule in found.response["violations"] for node in rule["nodes"]]
    assert faults == []


@pytest.mark.parametrize("path", [
    "/my/applications/nosuch", "/my/applications/..%2f..", "/my/grants/%E4%B8%AD", "/my/grants/" + "x" * 300,
    "/my/invoices/'%20OR%201=1", "/my/registrations/zzz", "/my/agreements/zzz", "/my/agreements/zzz/text",
    "/my/grants/zzz/usage", "/my/grants/zzz/usage/live", "/my/invoices/zzz/lines/1",
    "/my/invoices/zzz/usage.csv", "/apply/zzz", "/apply/%2e%2e%2f", "/notices/zzz/object", "/my/nosuch",
    "/my/applications/nosuch/edit", "/my/registrations/zzz/edit",
])
def test_addresses_of_nothing_are_not_found(page: Page, city: City, path: str) -> None:
    assert _go(page, city, path) == 404


def test_a_registration_is_drawn_up_with_its_errors_beside_the_fields(page: Page, city: City) -> None:
    _go(page, city, "/registrations/new")
    page.check("[name=kind][value=product]")
    page.check("[name='source.mode'][value=sharing]")
    page.fill("[name='source.basis']", "履行职责")
    page.fill("[name='evidence.digest']", "XYZ")
    page.locator("button[value=submit]").click()
    expect(page.locator("[data-error-summary]")).to_be_focused()
    for name in ("title", "source-provider_consent", "evidence-digest", "security-assessed_on"):
        expect(page.locator(f"#field-{name}")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("[name='evidence.digest']")).to_have_value("XYZ")
    expect(page.locator("[name='source.mode'][value=sharing]")).to_be_checked()


def test_a_form_without_its_token_is_refused(context: BrowserContext, city: City) -> None:
    answer = context.request.post(f"{city.stack.site_url}/my/organisation", form={"act": "sign_up", "name": "x"})
    assert answer.status == 400
