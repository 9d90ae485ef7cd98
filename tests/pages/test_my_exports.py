"""A grantee's exports and webhooks, as pages: asked for, fetched, given up; added, tried, looked into."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from office import Office, Sit, beside, grant_of
from playwright.sync_api import Page, expect
from test_why import PURPOSE, look

from authz import Runtime
from ops.delivery.webhooks import signing

ROWS = 300
PATIENCE_MS = 60_000
HOOK = "https://hooks.invalid/govopen"
"""A name that no resolver knows: nothing leaves the machine."""


async def _hook(runtime: Runtime, grant_id: str) -> None:
    secret = signing.seal(runtime.signing_key, "whk_pages", signing.new_secret())
    await runtime.pool.execute(
        "INSERT INTO ops.webhook_endpoint (id, grant_id, url, events, secret, created_by_name, created_at)"
        " VALUES ('whk_pages', $1, $2, '{export.finished,grant.state_changed}', $3, '孙一', now())",
        grant_id, HOOK, secret,
    )


@pytest.fixture(scope="module")
def granted(office: Office) -> str:
    """A grant on conditional data with rows, and an address to be told."""
    owner = office.people["owner"]
    lines = "".join(f"91330100MA{number:08d},1380000{number:04d}\n" for number in range(ROWS))
    answer = httpx.put(
        f"{office.stack.site_url}/v1/restricted/{office.resource}", content="uscc,phone\n" + lines, timeout=60,
        headers={"Authorization": owner.token, "Content-Type": "text/csv"},
    )
    assert answer.status_code == 200, answer.text
    return str(beside(grant_of(office, PURPOSE, _hook)))


def seen(page: Page, name: str) -> None:
    page.status = 200  # type: ignore[attr-defined]
    look(page, name)


def test_an_export_from_the_form_to_the_file(sit: Sit, granted: str) -> None:
    page = sit("sun", f"/my/grants/{granted}/exports")
    expect(page.locator("#live")).to_contain_text("还没有导出任务")
    seen(page, "exports-none")
    page = sit("sun", f"/my/grants/{granted}/exports")
    page.select_option("#field-field", "uscc")
    page.select_option("#field-op", "prefix")
    page.fill("#field-value", "91330100MA0000000")
    page.get_by_role("button", name="生成文件").click()
    expect(page.locator("main, .go-flash, .go-notice--done").first).to_be_visible()
    expect(page.get_by_text("正在生成导出文件")).to_be_visible()
    expect(page.locator("#live tbody")).to_contain_text("已生成", timeout=PATIENCE_MS)  # without reloading
    seen(page, "exports")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="下载", exact=True).click()
    file = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert file.splitlines()[0] == "uscc"
    assert len(file.splitlines()) == 11
    page = sit("sun", f"/my/grants/{granted}/exports")
    page.get_by_role("button", name="移除").click()
    expect(page.locator("#live tbody")).to_contain_text("已取消")
    page = sit("sun", f"/en/my/grants/{granted}/exports")
    expect(page.locator("#live tbody")).to_contain_text("given up")
    seen(page, "exports-en")


def test_what_is_wrong_with_an_export_stands_beside_the_field(sit: Sit, granted: str) -> None:
    page = sit("sun", f"/my/grants/{granted}/exports")
    page.uncheck("input[name=columns]")
    page.get_by_role("button", name="生成文件").click()
    expect(page.locator(".go-field__error").first).to_be_visible()
    page = sit("sun", f"/my/grants/{granted}/exports")
    page.select_option("#field-field", "uscc")
    page.locator("#field-value").evaluate("field => field.removeAttribute('maxlength')")
    page.fill("#field-value", "9" * 4_001)
    page.get_by_role("button", name="生成文件").click()
    expect(page.locator(".go-field:has(#field-value) .go-field__error")).to_be_visible()
    expect(page.locator("#field-value")).to_have_value("9" * 4_001)


def test_webhooks_are_kept_and_tried(sit: Sit, granted: str) -> None:
    page = sit("sun", f"/my/grants/{granted}/webhooks")
    expect(page.locator("tbody").first).to_contain_text(HOOK)
    seen(page, "webhooks")
    page = sit("sun", f"/my/grants/{granted}/webhooks")
    page.fill("#field-url", "http://127.0.0.1/inwards")
    page.get_by_role("button", name="添加").click()
    expect(page.locator(".go-field__error").first).to_be_visible()
    expect(page.locator("#field-url")).to_have_value("http://127.0.0.1/inwards")
    page = sit("sun", f"/my/grants/{granted}/webhooks")
    page.get_by_role("button", name="更换密钥").first.click()
    page.locator("dialog[open]").get_by_role("button", name="更换密钥").click()
    expect(page.locator("#new-secret")).to_contain_text("whsec_")
    seen(page, "webhooks-secret")
    page = sit("sun", f"/my/grants/{granted}/webhooks")
    page.get_by_role("button", name="发送测试").first.click()
    expect(page.locator("tbody")).to_contain_text("测试")
    page.locator("summary", has_text="通知内容").first.click()
    expect(page.locator("tbody")).to_contain_text("webhook.test")
    seen(page, "webhook-deliveries")
    page = sit("sun", f"/en/my/grants/{granted}/webhooks/whk_pages")
    page.get_by_role("button", name="Send again").first.click()
    expect(page.locator("main")).to_contain_text("It is sent in a moment")
    seen(page, "webhook-deliveries-en")
    page = sit("sun", f"/my/grants/{granted}/webhooks")
    page.get_by_role("button", name="移除").or_(page.get_by_role("button", name="删除")).first.click()
    page.locator("dialog[open]").get_by_role("button").last.click()
    expect(page.locator("main")).to_contain_text("还没有通知地址")


@pytest.mark.parametrize("tail", ["exports", "webhooks", "webhooks/whk_pages", "exports/live"])
def test_strangers_are_told_nothing(sit: Sit, granted: str, tail: str) -> None:
    page = sit("pending", f"/my/grants/{granted}/{tail}")
    assert page.status in (403, 404)  # type: ignore[attr-defined]
    assert HOOK not in page.content()
