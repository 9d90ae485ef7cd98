"""Every page in both languages and both widths: it renders, says nothing untranslated, and makes no noise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polib
import pytest
from axe_playwright_python.sync_playwright import Axe
from opening import OpenPage, opener, options_of
from playwright.sync_api import Browser, BrowserContext

PARTS = Path(__file__).parents[2] / "ckanext-govopen/ckanext/govopen/i18n/zh_Hans_CN/LC_MESSAGES/parts"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PAGES = (
    "/", "/dataset/", "/dataset/?q=测试", "/dataset/?q=没有这样的数据集吧",
    "/dataset/?govopen_domain=environment&govopen_domain=credit&updated=year&sort=downloads", "/dataset/ceshi-kaifang",
    "/dataset/ceshi-youtiaojian", "/dataset/ceshi-buyu", "/dataset/ceshi-kaifang/history", "/organization/",
    "/organization/ceshi-ju", "/developers", "/about", "/user/login", "/user/register",
)
DATA = (".go-results, .go-feed, .go-table--data, .go-examples, .go-facets ul, .go-chips, .go-breadcrumb, .go-card,"
        " tbody th")
"""Where what departments wrote stands; it is in their language whatever the page speaks."""
TEXTS = """(skip) => {
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode, parent = node.parentElement;
    if (!parent || parent.closest('script, style, pre, code, .go-mono, [lang]:not(html)')) continue;
    if (skip && parent.closest(skip)) continue;
    const text = node.textContent.trim();
    if (text) found.push(text);
  }
  for (const e of document.querySelectorAll('[aria-label], [title], [placeholder]')) {
    if (e.closest('[lang]:not(html)') || (skip && e.closest(skip))) continue;
    for (const a of ['aria-label', 'title', 'placeholder']) if (e.getAttribute(a)) found.push(e.getAttribute(a));
  }
  return found;
}"""
SMALL = """() => [...document.querySelectorAll('.go-btn, .go-input, .go-burger')]
    .filter(e => e.offsetParent && e.getBoundingClientRect().height < 34).map(e => e.outerHTML.slice(0, 120))"""
CHINESE = re.compile(r"[\u4e00-\u9fff]")
WORDS = re.compile(r"[A-Za-z]{3,}")
PLAIN = {
    "csv", "json", "jsonl", "api", "curl", "python", "javascript", "english", "http", "https", "format", "columns",
    "filter", "field", "prefix", "limit", "purpose", "rows", "data", "creative", "commons", "attribution", "govopen",
    "excel", "xlsx", "lines", "parquet", "arrow", "geojson", "sha",
}
"""Words that stand on Chinese pages as they are: formats, languages, parameters, names of licenses."""


def english_words(texts: list[str]) -> list[str]:
    """Texts of a Chinese page in which there is no Chinese, only words that are not data."""
    return [text for text in texts if not CHINESE.search(text) and not text.startswith("http") and "@" not in text
            and any(word.lower() not in PLAIN for word in WORDS.findall(text))]


def chinese_messages() -> set[str]:
    """Every Chinese text of the pages' own parts: none of them may stand on an English page."""
    parts = [polib.pofile(str(PARTS / name)) for name in ("pages.po", "search.po")]
    return {text for part in parts for entry in part for text in (entry.msgstr, *entry.msgstr_plural.values())
            if CHINESE.search(text) and "{" not in text}


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Iterator[dict[tuple[int, str, bool], BrowserContext]]:
    """Browsers that stay open for these tests, which only look: what all pages share is fetched once."""
    kept: dict[tuple[int, str, bool], BrowserContext] = {}
    yield kept
    for context in kept.values():
        context.close()


@pytest.fixture
def open_page(
    browser: Browser, site: str, contexts: dict[tuple[int, str, bool], BrowserContext]
) -> Iterator[OpenPage]:
    def kept(*key: Any) -> BrowserContext:
        if key not in contexts:
            contexts[key] = browser.new_context(**options_of(*key))
        return contexts[key]

    yield opener(site, kept)
    for context in contexts.values():
        for page in context.pages:
            page.close()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["", "/en"])
def test_renders_whole_translated_and_fits_a_phone(open_page: OpenPage, path: str, language: str) -> None:
    page: Any = open_page(language + path)
    assert page.status == 200
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1
    assert page.noise == []
    if language:
        assert page.locator("html").get_attribute("lang") == "en"
        assert set(page.evaluate(TEXTS, DATA)) & chinese_messages() == set()
    else:
        assert page.locator("html").get_attribute("lang") == "zh-CN"
        assert english_words(page.evaluate(TEXTS, ".go-table--data")) == []
    page.set_viewport_size({"width": 360, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(SMALL) == []


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page: OpenPage, path: str, scheme: str) -> None:
    page = open_page(path, scheme=scheme)
    found = Axe().run(page, options={"runOnly": RULES})
    assert [f"{rule['id']}: {node['html'][:160]}" for rule in found.response["violations"]
            for node in rule["nodes"]] == []


def test_every_control_has_a_name_and_every_id_is_one(open_page: OpenPage) -> None:
    for path in PAGES:
        page = open_page(path)
        faults = page.evaluate("""() => {
          const bad = [];
          for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
            if (!e.labels?.length && !e.getAttribute('aria-label')) bad.push('no label: ' + e.outerHTML.slice(0, 120));
          }
          for (const e of document.querySelectorAll('a[href], button, summary')) {
            const name = e.getAttribute('aria-label') || e.textContent.trim() || e.querySelector('[aria-label]');
            if (!name) bad.push('no name: ' + e.outerHTML.slice(0, 120));
          }
          const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
          bad.push(...ids.filter((id, at) => ids.indexOf(id) !== at).map(id => 'twice: ' + id));
          const naming = '[aria-controls], [aria-labelledby], [aria-describedby], label[for]';
          for (const e of document.querySelectorAll(naming))
            for (const key of ['aria-controls', 'aria-labelledby', 'aria-describedby', 'for'])
              for (const id of (e.getAttribute(key) || '').split(' ').filter(Boolean))
                if (!document.getElementById(id)) bad.push(key + ' names nothing: ' + id);
          let before = 0;
          for (const e of document.querySelectorAll('h1, h2, h3, h4')) {
            const level = Number(e.tagName[1]);
            if (level > before + 1) bad.push('heading skips a level: ' + e.textContent.trim());
            before = level;
          }
          return bad;
        }""")
        assert faults == [], path


def test_friendly_errors(open_page: OpenPage) -> None:
    for path, status, words in (
        ("/nosuch", 404, "页面不存在"), ("/en/nosuch", 404, "There is no such page"),
        ("/dataset/nosuch", 404, "数据集不存在、已撤下，或您无权查看。"), ("/organization/nosuch", 404, "部门不存在。"),
    ):
        page: Any = open_page(path)
        assert page.status == status
        assert words in page.locator("main").inner_text()
        assert page.locator("main a").count() >= 2
