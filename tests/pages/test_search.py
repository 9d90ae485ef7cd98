"""The search page by keyboard, in both languages, on a phone and without scripts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from ops.stack import Stack

OpenPage = Callable[..., Page]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LISTED = ".go-combo__list:not([hidden]) [role=option]"
WORDS = {"": ("数据集", "2 条建议", "评分最高"), "/en": ("Dataset", "Suggestions: 2", "Best rated")}
OFFERED = {"q": "x", "items": [
    {"kind": "dataset", "text": "测试空气质量日报", "label": "{label}", "count": None,
     "url": "{language}/dataset/ceshi-kaifang", "parts": [["测试", False], ["空气质量", True], ["日报", False]]},
    {"kind": "words", "text": "页面测试", "label": "-", "count": 3, "url": "{language}/dataset/?q=页面测试",
     "parts": [["<b>页面</b>测试", True]]},
]}


def offer(page: Page, language: str) -> None:
    """Answer suggestions with these two, whatever is typed."""
    text = json.dumps(OFFERED, ensure_ascii=False)
    text = text.replace("{label}", WORDS[language][0]).replace("{language}", language)

    def answer(route: Route) -> None:
        route.fulfill(status=200, content_type="application/json", body=text)

    page.route("**/search/suggest*", answer)


def told(page: Page) -> Any:
    return page.locator(".go-combo [role=status]")


@pytest.mark.parametrize("language", ["", "/en"])
def test_the_box_is_a_combobox_that_keys_drive(open_page: OpenPage, language: str) -> None:
    page: Any = open_page(f"{language}/dataset/")
    offer(page, language)
    box = page.locator("#search-q")
    expect(box).to_have_role("combobox")
    expect(box).to_have_attribute("aria-expanded", "false")
    box.focus()
    page.keyboard.type("ceshi")
    options = page.locator(LISTED)
    expect(options).to_have_count(2)
    expect(box).to_have_attribute("aria-expanded", "true")
    expect(told(page)).to_contain_text(WORDS[language][1])
    expect(options.nth(1).locator("mark")).to_have_text("<b>页面</b>测试")
    page.keyboard.press("ArrowDown")
    expect(box).to_have_value("测试空气质量日报")
    expect(box).to_have_attribute("aria-activedescendant", str(options.first.get_attribute("id")))
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowUp")
    expect(box).to_have_value("ceshi")
    page.keyboard.press("ArrowUp")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    expect(box).to_have_value("ceshi")
    expect(box).to_be_focused()
    page.keyboard.press("Escape")
    expect(box).to_have_value("")
    page.keyboard.type("x")
    expect(page.locator(LISTED)).to_have_count(2)
    violations = Axe().run(page, options={"runOnly": RULES}).response["violations"]
    assert [rule["id"] for rule in violations] == []
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{language}/dataset/ceshi-kaifang")
    assert page.noise == []


@pytest.mark.parametrize("language", ["", "/en"])
def test_a_whole_search_by_keyboard(open_page: OpenPage, language: str) -> None:
    page = open_page(f"{language}/dataset/")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "search-q":
            break
    expect(page.locator("#search-q")).to_be_focused()
    page.keyboard.type("测试")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dataset/?q=*")
    expect(page.locator(".go-results mark").first).to_be_visible()
    skip = page.locator(".go-skip--here")
    walk_to(page, skip)
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#sort")).to_be_focused()
    filter_link = page.locator("section[aria-labelledby='facet-govopen_open_attribute'] a").first
    walk_to(page, filter_link)
    page.keyboard.press("Enter")
    expect(page.locator(".go-chip")).to_have_count(1)
    order = page.locator("#sort")
    walk_to(page, order)
    order.select_option("rating")
    page.wait_for_url("**sort=rating**")
    expect(page.locator("#sort option:checked")).to_have_text(WORDS[language][2])
    expect(page.locator("#search-q")).to_have_value("测试")
    walk_to(page, page.locator(".go-chip"))
    page.keyboard.press("Enter")
    expect(page.locator(".go-chip")).to_have_count(0)
    walk_to(page, page.locator(".go-results h3 a").first)
    page.keyboard.press("Enter")
    page.wait_for_url("**/dataset/ceshi-*")


def walk_to(page: Page, target: Any) -> None:
    """Reach an element with the tab key, seeing where the focus is."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if target.evaluate("e => e === document.activeElement"):
            assert target.evaluate("e => getComputedStyle(e).outlineStyle") != "none"
            return
    raise AssertionError("not reached by keyboard")


def test_writing_chinese_does_not_choose(open_page: OpenPage) -> None:
    page: Any = open_page("/dataset/")
    offer(page, "")
    page.locator("#search-q").focus()
    page.keyboard.type("x")
    expect(page.locator(LISTED)).to_have_count(2)
    page.locator("#search-q").evaluate("""e => {
      for (const key of ['ArrowDown', 'Enter'])
        e.dispatchEvent(new KeyboardEvent('keydown', {key, isComposing: true, bubbles: true, cancelable: true}));
    }""")
    expect(page.locator("#search-q")).to_have_value("x")
    expect(page.locator("[aria-selected=true]")).to_have_count(0)


def test_suggestions_come_from_the_catalogue(open_page: OpenPage) -> None:
    page: Any = open_page("/")
    page.locator("#home-search").focus()
    page.keyboard.type("空气质量")
    expect(page.locator(LISTED).filter(has_text="测试空气质量日报").first).to_be_visible()
    assert page.noise == []


def test_without_suggestions_the_search_still_works(open_page: OpenPage) -> None:
    page: Any = open_page("/dataset/")
    page.route("**/search/suggest*", lambda route: route.abort())
    page.locator("#search-q").fill("测试")
    page.locator("#search-q").press("Enter")
    page.wait_for_url("**/dataset/?q=*")
    expect(page.locator(".go-results li").first).to_be_visible()


def test_several_values_periods_and_days_stay_in_the_address(open_page: OpenPage) -> None:
    page = open_page("/dataset/?q=测试", scripts=False)
    for name in ("有条件开放", "不予开放"):
        page.locator(".go-facets").get_by_role("link", name=name).click()
    expect(page.locator(".go-chip")).to_have_count(2)
    expect(page.locator(".go-results")).to_contain_text("测试企业信用信息")
    expect(page.locator(".go-results")).not_to_contain_text("测试空气质量日报")
    page.locator(".go-facets").get_by_role("link", name="最近一周").click()
    expect(page.locator(".go-chip")).to_have_count(3)
    expect(page.locator(".go-results h3")).to_have_count(2)
    page.locator(".go-facet-more", has=page.locator("#days-from")).locator("summary").click()
    page.locator("#days-from").fill("2020-01-01")
    page.locator("#days-to").fill("2020-12-31")
    page.locator(".go-days button").click()
    expect(page.locator(".go-chip")).to_have_count(3)
    expect(page.locator(".go-chip").last).to_contain_text("2020-01-01 至 2020-12-31")
    expect(page.locator(".go-empty")).to_be_visible()
    expect(page.locator(".go-empty a[href*='complaints']")).to_be_visible()
    page.get_by_role("link", name="去掉筛选再搜").click()
    expect(page.locator("#search-q")).to_have_value("测试")
    expect(page.locator(".go-results li").first).to_be_visible()


@pytest.mark.parametrize("language", ["", "/en"])
def test_a_phone_shows_it_all(open_page: OpenPage, language: str) -> None:
    asked = "q=测试&govopen_open_attribute=closed&from=2020-01-01&to=nonsense"
    page: Any = open_page(f"{language}/dataset/?{asked}", width=375)
    assert page.status == 200
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.locator(".go-facets > summary").click()
    expect(page.locator("#days-to")).to_have_attribute("aria-invalid", "true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    violations = Axe().run(page, options={"runOnly": RULES}).response["violations"]
    assert [f"{rule['id']}: {rule['nodes'][0]['html'][:120]}" for rule in violations] == []
    offer(page, language)
    page.locator("#search-q").fill("x")
    expect(page.locator(LISTED)).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_large_text_keeps_the_filters_and_the_list_readable(open_page: OpenPage) -> None:
    page: Any = open_page("/display?mode=elder&next=/dataset/?q=测试", width=375)
    assert page.locator("html").get_attribute("data-mode") == "elder"
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    offer(page, "")
    page.locator("#search-q").fill("x")
    size = page.locator(LISTED).first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    assert size >= 20


def test_a_typing_mistake_is_pointed_out(open_page: OpenPage) -> None:
    page = open_page("/dataset/?q=空气质良")
    link = page.locator(".go-better a")
    expect(link).to_have_text("空气质量")
    link.click()
    expect(page.locator("#search-q")).to_have_value("空气质量")
    expect(page.locator(".go-results mark").first).to_be_visible()


def test_strangers_are_asked_to_sign_in_before_they_rate(open_page: OpenPage, site: str) -> None:
    page = open_page("/dataset/ceshi-kaifang")
    page.locator("#rating a").click()
    expect(page.locator("#field-login")).to_be_visible()
    answer = httpx.post(f"{site}/dataset/ceshi-kaifang/rating", data={"stars": "5"}, trust_env=False)
    assert answer.status_code in (302, 400)


def test_a_person_rates_changes_and_takes_it_back(open_page: OpenPage, stack: Stack) -> None:
    password = f"reader-{uuid.uuid4().hex}"
    reader = f"reader-{uuid.uuid4().hex[:8]}"
    stack.ckan("user", "add", reader, f"email={reader}@example.com", f"password={password}")
    page = open_page("/dataset/ceshi-kaifang")
    page.locator("#rating a").click()
    page.fill("#field-login", reader)
    page.fill("#field-password", password)
    page.locator("main form button[type=submit]").click()
    page.wait_for_url("**/dataset/ceshi-kaifang**")
    rating = page.locator("#rating")
    rating.get_by_label("4 分").check()
    rating.locator("form button").first.click()
    expect(page.locator(".go-notice--done")).to_contain_text("感谢您的评分")
    expect(rating).to_contain_text("4.0")
    expect(rating.get_by_label("4 分")).to_be_checked()
    rating.get_by_label("2 分").check()
    rating.locator("form button").first.click()
    expect(rating).to_contain_text("2.0")
    page.goto(page.url.split("#")[0].replace("ceshi-kaifang", "?q=测试空气质量日报&sort=rating"))
    expect(page.locator(".go-results li").first).to_contain_text("评分 2.0/5")
    violations = Axe().run(open_page("/dataset/ceshi-kaifang"), options={"runOnly": RULES}).response["violations"]
    assert [rule["id"] for rule in violations] == []
    page.goto(page.url.split("/dataset/")[0] + "/dataset/ceshi-kaifang")
    rating.get_by_role("button", name="撤回我的评分").click()
    expect(rating).to_contain_text("还没有人为这份数据评分")
