"""Pages that tell why: a permit, a denial, a supposition, who can see data, and the policies changed by two persons."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from office import Office, Sit, beside, confirm, grant_of
from playwright.sync_api import Page, expect

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ENGLISH = re.compile(r"\b[A-Za-z]{2,} [A-Za-z]{2,} [A-Za-z]{2,}")
PURPOSE = "lending_risk_control"


@pytest.fixture(scope="module")
def granted(office: Office) -> str:
    """A grant of sun's party on the conditional data, and a denial of a stranger in the log."""
    httpx.get(f"{office.stack.site_url}/data/v1/{office.resource}")
    return str(beside(grant_of(office, PURPOSE)))


def look(page: Page, name: str) -> None:
    """One heading, Chinese throughout, accessible, no wider than a phone; a picture where one is wanted."""
    assert page.status == 200  # type: ignore[attr-defined]
    assert page.locator("h1").count() == 1
    folder = os.environ.get("GOVOPEN_TEST_PICTURES")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
    text = page.locator("main").inner_text()
    if "/en/" not in page.url:
        assert ENGLISH.findall(re.sub(r"[\w./-]*_[\w./-]*", "", text)) == []
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 390, "height": 800})
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}-phone.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize("language", ["", "/en"])
def test_a_permit_is_told_rule_by_rule(sit: Sit, office: Office, granted: str, language: str) -> None:
    page = sit("sun", f"{language}/decisions/why?subject_id={granted}&resource_id={office.resource}&channel=api")
    expect(page.locator("#answer .go-notice--done")).to_be_visible()
    assert page.locator("#answer tbody tr").count() > 15
    look(page, f"why-permit{language.replace('/', '-')}")


def test_a_denial_says_what_to_do(sit: Sit, office: Office, granted: str) -> None:
    page = sit("sun", f"/decisions/why?subject_id={granted}&resource_id={office.resource}&channel=download&purpose=x")
    expect(page.locator("#answer .go-notice--danger")).to_contain_text("授权不包含")
    link = page.locator("#answer .go-notice--danger a").first
    expect(link).to_have_attribute("href", re.compile(f"/apply/{office.resource}$"))
    expect(page.locator("#answer tbody tr").first).to_contain_text("不符合")
    look(page, "why-denial")


def test_a_supposition_is_marked_as_one(sit: Sit, office: Office, granted: str) -> None:
    page = sit("sun", f"/decisions/why?subject_id={granted}&resource_id={office.resource}")
    page.get_by_text("假设授权有所不同").click()
    page.select_option("#field-if_state", "revoked")
    page.get_by_role("button", name="查询").click()
    expect(page.locator("#answer")).to_contain_text("这是假设")
    expect(page.locator("#answer .go-notice--danger")).to_contain_text("撤销")
    page.status = 200  # type: ignore[attr-defined]
    look(page, "why-supposition")


def test_a_logged_denial_is_explained_to_the_department(sit: Sit, office: Office, granted: str) -> None:
    page = sit("owner", f"/decisions?effect=deny&resource_id={office.resource}")
    look(page, "decisions")
    page.locator("tbody a").first.click()
    expect(page.locator(".go-notice--danger")).to_contain_text("需凭授权访问")
    page.status = 200  # type: ignore[attr-defined]
    look(page, "decision")


def test_who_can_see_this_and_what_a_grant_allows(sit: Sit, office: Office, granted: str) -> None:
    page = sit("owner", f"/decisions/data/{office.resource}")
    expect(page.locator("tbody")).to_contain_text("页面测试小额贷款有限公司")
    look(page, "readers")
    page = sit("sun", f"/decisions/grants/{granted}")
    expect(page.locator("details[open]")).to_contain_text("接口")
    look(page, "grant-allows")


@pytest.mark.parametrize("path", ["/decisions/grants/{grant}", "/decisions/data/{resource}", "/decisions/999999999"])
def test_strangers_are_told_nothing(sit: Sit, office: Office, granted: str, path: str) -> None:
    page: Any = sit("pending", path.format(grant=granted, resource=office.resource))
    assert page.status in (403, 404)
    assert "页面测试小额贷款有限公司" not in page.content()


def test_policies_are_changed_by_two_persons(sit: Sit, office: Office, granted: str) -> None:
    page = sit("zhou", "/staff/policies/new?file=roles.csv")
    text = page.locator("#field-text").input_value()
    page.fill("#field-text", text + "p, auditor, everywhere, audit:read\n")
    page.fill("#field-reason", "放宽")
    page.get_by_role("button", name="提出").click()
    expect(page.locator(".go-field__error").first).to_contain_text("格式不正确")
    expect(page.locator("#field-reason")).to_have_value("放宽")
    page.fill("#field-text", text + "p, auditor, any, price:look\n")
    page.get_by_role("button", name="提出").click()
    expect(page.locator(".go-notice--done")).to_contain_text("由他人审批")
    version = page.url.rsplit("/", 1)[1]
    page = sit("li", f"/staff/policies/{version}")
    expect(page.locator("main")).to_contain_text("将带来的变化")
    expect(page.locator(".go-diff--add")).to_contain_text("price:look")
    expect(page.locator("h1")).to_contain_text("策略版本")
    look(page, "policy")
    page = sit("li", f"/staff/policies/{version}")
    page.fill("#field-reason", "同意")
    confirm(page, "同意")
    expect(page.locator(".go-notice--done")).to_contain_text("已生效")
    page = sit("li", "/staff/policies")
    look(page, "policies")
    page = sit("li", "/staff/policies")
    page.fill("#reason-release", "恢复")
    confirm(page, "恢复软件自带策略")
    expect(page.locator(".go-notice--done")).to_contain_text("恢复生效")


def test_what_a_proposal_would_change_is_told_in_sentences(sit: Sit, office: Office, granted: str) -> None:
    page = sit("zhou", "/staff/policies/new?file=data_access/data_access.rego")
    text, needed = page.locator("#field-text").input_value(), "\tis_string(grant.state)\n"
    assert needed in text
    page.fill("#field-text", text.replace(needed, f'{needed}\tobject.resource_id != "{office.resource}"\n', 1) + f"""
reasons contains "channel_not_granted" if {{
	_grant_examined
	input.object.resource_id == "{office.resource}"
}}
""")
    page.fill("#field-reason", "暂停该数据的接口")
    page.get_by_role("button", name="提出").click()
    version = page.url.rsplit("/", 1)[1]
    page = sit("li", f"/staff/policies/{version}")
    grants = page.get_by_role("region", name="有效的授权")
    expect(grants).to_contain_text("拒绝")
    expect(grants).to_contain_text("授权不包含“接口调用”这种交付方式。")
    expect(page.locator("main table").first).not_to_contain_text("channel_not_granted")
    look(page, "policy-changes")
    page = sit("li", f"/en/staff/policies/{version}")
    expect(page.locator("main table").first).to_contain_text("The grant does not include this form of delivery")
    look(page, "policy-changes-en")
    page = sit("li", f"/staff/policies/{version}")
    page.fill("#field-reason", "不同意")
    confirm(page, "退回")
    expect(page.locator(".go-notice--done")).to_contain_text("驳回")
