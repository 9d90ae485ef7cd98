"""A running stack with a few datasets, and a browser to look at it with.

``GOVOPEN_TEST_HOME`` names the folder of a stack that already runs, to look at that one instead.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from ops.stack import Home, Stack, find
from ops.stack.testing import running_stack

sys.path.insert(0, str(Path(__file__).parent))
from applicants import city  # noqa: F401 - fixtures that modules share
from office import admin_token, office, sit  # noqa: F401
from opening import OpenPage, opener, options_of

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
USCC = "11330100002489559L"
LONG_TITLE = (
    "全市各县区街道乡镇村居委会及开发区管理委员会政务服务事项办理情况"
    "按月统计汇总与同比环比分析数据集（含历史修订版本）"
)


def chromium() -> str | None:
    """The browser of this machine: ``GOVOPEN_CHROMIUM``, or one in a usual place."""
    given = os.environ.get("GOVOPEN_CHROMIUM")
    return given or next((path for path in CHROMIUM if Path(path).exists()), None) or shutil.which("chromium")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        reason = "no Chromium: install it (apt-get install chromium) or set GOVOPEN_CHROMIUM to its path"
        if os.environ.get("CI"):
            pytest.fail(reason)
        print(f"browser tests skipped: {reason}")
        pytest.skip(reason)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The stack to look at, with the datasets of these tests in it."""
    given = os.environ.get("GOVOPEN_TEST_HOME")
    if given:
        running = find(Home.at(given))
        assert running is not None, f"no stack runs at {given}"
        seed(running)
        yield running
        return
    with running_stack() as started:
        seed(started)
        yield started


@pytest.fixture(scope="session")
def site(stack: Stack) -> str:
    return stack.site_url


@pytest.fixture
def open_page(browser: Browser, site: str) -> Iterator[OpenPage]:
    """Opens an address of the site, each time in a browser that has seen nothing yet."""
    contexts: list[BrowserContext] = []

    def made(width: int, scheme: str, scripts: bool) -> BrowserContext:
        contexts.append(browser.new_context(**options_of(width, scheme, scripts)))
        return contexts[-1]

    yield opener(site, made)
    for context in contexts:
        context.close()


def seed(stack: Stack) -> None:
    """A department with an open table, a conditional and a closed entry; nothing when they are there."""
    headers = {"Authorization": admin_token(stack)}
    with httpx.Client(base_url=stack.site_url, headers=headers, timeout=60, trust_env=False) as http:
        if http.get("/api/3/action/package_show", params={"id": "ceshi-kaifang"}).status_code == 200:
            return
        if http.get("/api/3/action/organization_show", params={"id": "ceshi-ju"}).status_code != 200:
            act(http, "organization_create", name="ceshi-ju", title="测试市数据局", description="用于页面测试的部门")
        opened = act(http, "package_create", **entry("ceshi-kaifang", "测试空气质量日报", domain="environment"))
        resource = opened["resources"][0]["id"]
        act(http, "datastore_create", resource_id=resource, force=True, fields=[
            {"id": "station", "type": "text"}, {"id": "measured_on", "type": "date"}, {"id": "pm25", "type": "int"},
        ], records=[{"station": f"监测站{n}", "measured_on": "2026-11-01", "pm25": n} for n in range(30)])
        act(http, "package_create", **entry(
            "ceshi-youtiaojian", "测试企业信用信息", domain="credit", open_attribute="conditional", grade="general-2",
            open_mode="通过接口按授权调用", use_requirements="仅限申请时载明的用途",
            security_measures="日志留存不少于六个月",
            items=[{"name": "uscc", "title": "统一社会信用代码", "type": "text", "grade": "general-1",
                    "open_attribute": "conditional"},
                   {"name": "phone", "title": "联系电话", "type": "text", "grade": "general-2",
                    "open_attribute": "conditional", "mask": "partial", "sensitive": True}]))
        act(http, "package_create", **entry(
            "ceshi-buyu", LONG_TITLE, domain="other", open_attribute="closed", grade="general-4",
            refuse_reason="涉及个人信息", legal_basis="《中华人民共和国个人信息保护法》",
            items=[{"name": "person", "title": "信息主体", "type": "text", "grade": "general-4",
                    "open_attribute": "closed"}]))


def act(http: httpx.Client, action: str, **document: Any) -> Any:
    answer = http.post(f"/api/3/action/{action}", json=document)
    assert answer.status_code == 200, f"{action}: {answer.status_code} {answer.text[:800]}"
    return answer.json()["result"]


def entry(name: str, title: str, **changes: Any) -> dict[str, Any]:
    """A complete catalogue entry with one table."""
    opened = changes.get("open_attribute", "unconditional") == "unconditional"
    return {
        "name": name, "title": title, "owner_org": "ceshi-ju", "category": "2", "provider_code": USCC,
        "notes": "用于页面测试的数据，说明文字较长时在列表里截为两行，在数据集页面上完整显示。", "format": "database",
        "share_type": "unconditional", "open_attribute": "unconditional", "update_cycle": "daily",
        "grade": "general-1", "domain": "environment", "license_id": "cc-by", "contact_phone": "0512-12345678",
        "tags": [{"name": "页面测试"}],
        "items": [{"name": "station", "title": "监测站", "type": "text"},
                  {"name": "measured_on", "title": "监测日期", "type": "date"},
                  {"name": "pm25", "title": "细颗粒物浓度", "type": "integer", "description": "微克每立方米"}],
        "resources": [{"name": title, "format": "CSV", "url": "", **({"url_type": "datastore"} if opened else {})}],
        **changes,
    }
