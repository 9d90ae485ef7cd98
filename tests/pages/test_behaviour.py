"""What the pages do: searching by keyboard, filters, tabs, the reading mode, life without scripts, bad addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

OpenPage = Callable[..., Page]


def test_keyboard_reaches_the_search_and_the_first_result(open_page: OpenPage) -> None:
    page = open_page("/")
    page.keyboard.press("Tab")
    skip = page.locator(".go-skip")
    expect(skip).to_be_focused()
    assert skip.bounding_box()["y"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#home-search")).to_be_focused()
    page.keyboard.type("测试空气质量")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dataset/?q=*")
    expect(page.locator("#search-q")).to_have_value("测试空气质量")
    expect(page.locator(".go-results h3 a").first).to_have_text("测试空气质量日报")
    expect(page.locator(".go-results mark").first).to_be_visible()


def test_filters_are_chips_that_can_be_taken_off(open_page: OpenPage) -> None:
    page = open_page("/dataset/?q=测试")
    page.locator(".go-facets").get_by_role("link", name="有条件开放").click()
    chip = page.locator(".go-chip")
    expect(chip).to_have_count(1)
    expect(chip).to_contain_text("有条件开放")
    expect(page.locator("#search-q")).to_have_value("测试")
    expect(page.locator(".go-results")).to_contain_text("测试企业信用信息")
    expect(page.locator(".go-results")).not_to_contain_text("测试空气质量日报")
    chip.click()
    expect(page.locator(".go-chip")).to_have_count(0)


def test_tabs_move_with_arrows_and_keep_their_address(open_page: OpenPage) -> None:
    page = open_page("/dataset/ceshi-kaifang")
    first = page.get_by_role("tab").first
    first.focus()
    expect(page.locator("#panel-preview")).to_be_visible()
    expect(page.locator("#panel-preview tbody tr")).to_have_count(20)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panel-fields")).to_be_visible()
    expect(page.locator("#panel-preview")).to_be_hidden()
    linked = open_page("/dataset/ceshi-kaifang#api")
    expect(linked.locator("#panel-api")).to_be_visible()
    expect(linked.locator("#panel-api")).to_contain_text("/data/v1/")


def test_open_data_has_downloads_and_restricted_data_only_a_way_to_apply(open_page: OpenPage) -> None:
    opened = open_page("/dataset/ceshi-kaifang")
    assert "/data/v1/" in (opened.locator(".go-actions .go-btn--primary").get_attribute("href") or "")
    restricted = open_page("/dataset/ceshi-youtiaojian")
    assert "/apply/" in (restricted.locator(".go-actions .go-btn--primary").get_attribute("href") or "")
    assert restricted.locator("a[download]").count() == 0
    assert restricted.locator("#panel-preview").count() == 0
    closed = open_page("/dataset/ceshi-buyu")
    assert closed.locator("a[download], a[href*='/apply/'], a[href*='/data/v1/']").count() == 0
    expect(closed.locator("main")).to_contain_text("个人信息保护法")


def test_files_are_listed_with_what_the_service_tells_of_them(open_page: OpenPage) -> None:
    page = open_page("/dataset/ceshi-kaifang#files")
    row = page.locator("[data-format=csv]")
    assert "format=csv" in (row.locator("a").get_attribute("href") or "")
    expect(row.locator("[data-size]")).not_to_have_text("–", timeout=30_000)
    expect(page.locator("[data-format=geojson]")).to_be_hidden(timeout=30_000)
    assert open_page("/dataset/ceshi-youtiaojian").locator("[data-files]").count() == 0


def test_resource_page_shows_the_same(open_page: OpenPage, site: str) -> None:
    found = httpx.get(f"{site}/api/3/action/package_show", params={"id": "ceshi-kaifang"}, trust_env=False).json()
    page: Any = open_page(f"/dataset/ceshi-kaifang/resource/{found['result']['resources'][0]['id']}")
    assert page.status == 200
    expect(page.locator("#panel-preview tbody tr")).to_have_count(20)


def test_pages_work_without_scripts(open_page: OpenPage) -> None:
    page = open_page("/dataset/ceshi-kaifang", scripts=False)
    for panel in ("preview", "fields", "conditions", "details"):
        expect(page.locator(f"#panel-{panel}")).to_be_visible()
    phone = open_page("/dataset/", width=360, scripts=False)
    expect(phone.locator(".go-nav")).to_be_visible()


def test_phone_menu_and_filter_sheet(open_page: OpenPage) -> None:
    page = open_page("/dataset/", width=360)
    expect(page.locator(".go-nav")).to_be_hidden()
    page.locator(".go-burger").click()
    expect(page.locator(".go-nav")).to_be_visible()
    expect(page.locator(".go-facets nav")).to_be_hidden()
    page.locator(".go-facets > summary").click()
    expect(page.locator(".go-facets nav")).to_be_visible()


def test_large_text_is_remembered(open_page: OpenPage) -> None:
    page = open_page("/about")
    page.get_by_role("link", name="长辈版").click()
    page.wait_for_url("**/about")
    assert page.evaluate("getComputedStyle(document.documentElement).fontSize") == "20px"
    page.goto(page.url.replace("/about", "/"))
    assert page.locator("html").get_attribute("data-mode") == "elder"
    expect(page.locator(".go-elder a")).to_have_count(3)


def test_language_switch_keeps_the_question(open_page: OpenPage) -> None:
    page = open_page("/dataset/?q=测试&govopen_domain=environment")
    page.get_by_role("link", name="English").click()
    expect(page.locator("#search-q")).to_have_value("测试")
    expect(page.locator(".go-chip")).to_contain_text("Ecology and environment")


def test_wrong_password_says_so_and_keeps_the_name(open_page: OpenPage) -> None:
    page = open_page("/user/login")
    page.fill("#field-login", "nobody-here")
    page.fill("#field-password", "wrong-password")
    page.locator("main button[type=submit]").click()
    expect(page.locator(".go-notice--danger")).to_contain_text("登录失败")
    expect(page.locator("#field-login")).to_have_value("nobody-here")


def test_registration_errors_stand_beside_their_fields(open_page: OpenPage) -> None:
    page = open_page("/user/register")
    page.fill("#field-name", "某 人")
    page.fill("#field-email", "not-an-address")
    page.fill("#field-password1", "short")
    page.fill("#field-password2", "other")
    page.locator("main button[type=submit]").click()
    summary = page.locator("[data-error-summary]")
    expect(summary).to_be_focused()
    summary.get_by_role("link").first.click()
    expect(page.locator("#field-name")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#field-email")).to_have_value("not-an-address")


@pytest.mark.parametrize("address", [
    "/dataset/?q=a:b(", "/dataset/?q=AND", "/dataset/?q=行政 OR", "/dataset/?q=%22", "/dataset/?q={!bool must=x}",
    "/dataset/?page=x", "/dataset/?page=-3", "/dataset/?organization=%22x%22 OR *", "/dataset/?sort=drop table",
    "/dataset/?res_format=%5C", "/catalogue.json?start=zzz", "/dataset/?q=" + "长" * 1500,
])
def test_odd_questions_are_answered(site: str, address: str) -> None:
    assert httpx.get(site + address, trust_env=False, follow_redirects=True, timeout=30).status_code == 200


@pytest.mark.parametrize(("address", "status"), [
    ("/dataset/%00", 400), ("/dataset/ceshi-kaifang/resource/none", 404), ("/organization/%00", 400),
    ("/dataset/?page=99999", 302), ("/display?mode=elder&next=//evil.example", 302),
])
def test_bad_addresses_are_refused(site: str, address: str, status: int) -> None:
    answer = httpx.get(site + address, trust_env=False, timeout=30)
    assert answer.status_code == status
    assert "evil" not in answer.headers.get("location", "")


def test_script_in_the_question_is_text(open_page: OpenPage) -> None:
    page: Any = open_page("/dataset/?q=<img src=x onerror=alert(1)>")
    assert page.locator("main img").count() == 0
    assert page.locator("#search-q").input_value() == "<img src=x onerror=alert(1)>"


def test_the_open_list_is_complete(site: str) -> None:
    found = httpx.get(f"{site}/catalogue.json", trust_env=False, timeout=30).json()
    names = {item["name"] for item in found["items"]}
    assert {"ceshi-kaifang", "ceshi-youtiaojian", "ceshi-buyu"} <= names
    restricted = next(item for item in found["items"] if item["name"] == "ceshi-youtiaojian")
    assert restricted["conditions"]["use_requirements"]
    assert restricted["formats"] == ["API"]
