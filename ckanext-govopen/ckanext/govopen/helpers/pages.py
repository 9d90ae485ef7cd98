"""Helpers of the pages: words for codes, numbers, money, dates and the parts that every page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen import vocabularies
from ckanext.govopen.text import language
from markupsafe import Markup, escape

BEIJING = timezone(timedelta(hours=8))
LOCALES = (("zh_Hans_CN", "zh-CN", "中文"), ("en", "en", "English"))
TEN_THOUSAND = 10_000
HUNDRED_MILLION = 100_000_000
PAGES = re.compile(r"(?<![\w/.])(/(?:my|apply|dataset|decisions|staff|notices)/[A-Za-z0-9_?=&%/-]*[A-Za-z0-9_])")
"""Addresses of pages in sentences."""


def _chinese() -> bool:
    return language().startswith("zh")


# Words

def govopen_lang(entry: Mapping[str, Any], key: str) -> str:
    """The value of ``<key>_zh`` or ``<key>_en``, whichever the page speaks; the other one if it is empty."""
    first, second = (f"{key}_zh", f"{key}_en") if _chinese() else (f"{key}_en", f"{key}_zh")
    return str(entry.get(first) or entry.get(second) or entry.get(key) or "")


def govopen_term(vocabulary: str, code: Any) -> str:
    """The words for a code of one of the extension's lists; an unknown code stands for itself."""
    return vocabularies.label(vocabulary, code, language())


def govopen_open_label(attribute: str) -> str:
    return govopen_term("open_attribute", attribute)


def govopen_grade_label(grade: str) -> str:
    return govopen_term("grade", grade)


def govopen_html_lang() -> str:
    """The language of the page as HTML names it."""
    return "zh-CN" if _chinese() else str(language()).replace("_", "-")


def govopen_site_title() -> str:
    """The name of the site in the language of the page: ``ckan.site_title``, and ``….site_title_en`` for English."""
    title = str(tk.config.get("ckan.site_title") or "")
    if _chinese():
        return title if title and title != "CKAN" else "公共数据开放平台"
    english = str(tk.config.get("ckanext.govopen.site_title_en") or "")
    return english or (title if title.isascii() and title not in ("", "CKAN") else "Open Public Data")


# Numbers, money, dates

def govopen_number(value: Any) -> str:
    """A number with its thousands set apart; a dash for nothing."""
    if value is None or value == "":
        return "–"
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    return f"{number.normalize():,f}" if number % 1 else f"{int(number):,}"


def govopen_count(value: Any) -> str:
    """A large count as people say it: 62.1万 and 1.3亿 in Chinese, 620,573 in English."""
    if value is None or value == "":
        return "–"
    number = int(value)
    if not _chinese() or number < TEN_THOUSAND:
        return f"{number:,}"
    unit, word = (HUNDRED_MILLION, "亿") if number >= HUNDRED_MILLION else (TEN_THOUSAND, "万")
    tenths = number * 10 // unit
    return f"{tenths // 10:,}{'.' + str(tenths % 10) if tenths % 10 else ''}{word}"


def govopen_money(fen: Any) -> str:
    """Integer fen as yuan: 123450 is ¥1,234.50."""
    if fen is None or fen == "":
        return "–"
    whole = int(fen)
    sign = "-" if whole < 0 else ""
    return f"{sign}¥{abs(whole) // 100:,}.{abs(whole) % 100:02d}"


def govopen_fen(yuan: str) -> int:
    """Typed yuan as integer fen; raises ValueError for what is no amount or has a fraction of a fen."""
    try:
        amount = Decimal(str(yuan).strip().lstrip("¥￥").replace(",", "").replace("，", ""))
    except InvalidOperation as problem:
        raise ValueError(tk._("Enter an amount in yuan, such as 1234.50.")) from problem
    fen = amount * 100
    if not amount.is_finite() or fen != fen.to_integral_value():
        raise ValueError(tk._("An amount has at most two decimals: the smallest unit is one fen."))
    return int(fen)


def _instant(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str) and value:
        try:
            found = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return None
    else:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def govopen_date(value: Any) -> str:
    """A day as 2026-11-21; an instant is told in Beijing time."""
    if isinstance(value, str) and len(value) == 10:
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    found = _instant(value)
    return found.astimezone(BEIJING).strftime("%Y-%m-%d") if found else "–"


def govopen_datetime(value: Any) -> str:
    """An instant in Beijing time as 2026-11-21 14:05."""
    found = _instant(value)
    return found.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M") if found else govopen_date(value)


def govopen_days_left(days: int | None, overdue: bool = False) -> str:
    """What is left of a clock in working days: 还剩 3 个工作日."""
    if days is None:
        return tk._("Overdue") if overdue else ""
    if days < 0:
        return tk.ungettext(
            "{n} working day overdue", "{n} working days overdue", -days).format(n=-days)
    if overdue:
        return tk._("Overdue")
    if days == 0:
        return tk._("Due today")
    return tk.ungettext("{n} working day left", "{n} working days left", days).format(n=days)


# Parts of every page

def govopen_icon(name: str, label: str = "") -> Markup:
    """A line icon of ``public/govopen/icons.svg``; without a label it is decoration."""
    said = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="go-icon" {}><use href="{}#{}"></use></svg>').format(
        said, tk.h.url_for_static("/govopen/icons.svg"), name)


def govopen_elder_mode() -> bool:
    """Whether the visitor asked for large text (长辈版)."""
    return tk.request.cookies.get("govopen_mode") == "elder"


def govopen_here() -> str:
    """The address of this page with its query, in the language of the page."""
    return str(tk.h.url_for(tk.request.environ.get("CKAN_CURRENT_URL") or "/"))


def govopen_languages() -> Iterator[dict[str, Any]]:
    """The languages of the site, each with the address of this page in it."""
    here = tk.request.environ.get("CKAN_CURRENT_URL") or "/"
    for locale, tag, label in LOCALES:
        yield {
            "locale": locale, "tag": tag, "label": label, "current": tag == govopen_html_lang(),
            "url": tk.h.url_for(here, locale=locale),
        }


def govopen_link(path: str) -> str:
    """An address of this site given as a path, in the language of the page; service paths have no language."""
    service = path.startswith(("/v1/", "/data/v1/", "/access/v1/"))
    return str(tk.h.url_for(path, locale="default") if service else tk.h.url_for(path))


def govopen_linked(sentence: str) -> Markup:
    """A sentence of the service, in which the addresses of pages can be followed."""
    parts = PAGES.split(str(sentence))  # every second one is an address
    return Markup("").join(
        Markup('<a href="{}">{}</a>').format(govopen_link(one), one) if place % 2 else escape(one)
        for place, one in enumerate(parts)
    )


def govopen_navigation() -> list[dict[str, Any]]:
    """The main navigation with what is current marked."""
    here = tk.request.path.rstrip("/") or "/"
    entries = [
        (tk._("Data"), tk.url_for("dataset.search"), "/dataset"),
        (tk._("Departments"), tk.url_for("organization.index"), "/organization"),
        (tk._("Public notices"), govopen_link("/notices"), "/notices"),
        (tk._("Verify"), govopen_link("/verify"), "/verify"),
        (tk._("Developers"), tk.url_for("govopen_pages.developers"), "/developers"),
    ]
    return [
        {"label": label, "url": url, "exact": here == path,
         "current": here == path or here.startswith(path + "/")}
        for label, url, path in entries
    ]


def govopen_account_menu() -> list[dict[str, Any]]:
    """What a signed-in person can go to; the pages themselves decide what they show."""
    user = tk.current_user
    memberships = tk.h.organizations_available(permission="update_dataset") if user.is_authenticated else []
    menu: list[dict[str, Any]] = [
        {"label": tk._("My center"), "url": govopen_link("/my")},
        {"label": tk._("Staff console"), "url": govopen_link("/staff")},
    ]
    if memberships:
        menu.append({"label": tk._("Publish data"), "url": tk.url_for("dataset.new"), "separate": True})
    menu.append({"label": tk._("Profile and keys"), "url": tk.url_for("user.edit", id=user.name), "separate": True})
    if user.is_authenticated and user.sysadmin:
        menu.append({"label": tk._("Administration"), "url": tk.url_for("admin.index")})
    return menu


def govopen_contact() -> dict[str, str]:
    """Who answers for the site: ``ckanext.govopen.contact_unit``, ``…_phone``, ``…_email``."""
    found = {key: str(tk.config.get(f"ckanext.govopen.contact_{key}") or "") for key in ("unit", "phone", "email")}
    found["unit"] = found["unit"] if found["unit"] and _chinese() else tk._("Public data authority")
    found["email"] = found["email"] or str(tk.config.get("email_to") or "")
    return found


def govopen_problem(refusal: Any) -> dict[str, Any]:
    """A refusal of the service, or a problem document, as the problem box reads it."""
    given = refusal if isinstance(refusal, Mapping) else getattr(refusal, "problem", None) or {
        "detail": getattr(refusal, "detail", "") or str(refusal), "next": getattr(refusal, "next", ""),
    }
    return {
        "title": given.get("title") or "", "detail": given.get("detail") or "", "next": given.get("next") or "",
        "reasons": given.get("reasons") or [], "errors": given.get("errors") or [],
        "request_id": given.get("request_id") or "", "code": given.get("code") or "",
    }


def govopen_field_errors(refusal: Any) -> dict[str, list[str]]:
    """The field errors of a refusal as {field: [sentences]}, for the form macros and the summary."""
    found: dict[str, list[str]] = {}
    for error in govopen_problem(refusal)["errors"] if refusal else []:
        found.setdefault(str(error.get("field") or ""), []).append(str(error.get("detail") or error.get("code")))
    return found


def govopen_page_numbers(current: int, last: int) -> list[int | None]:
    """The numbers of a pagination: both ends, the neighbours of the current page, None for a gap."""
    wanted = sorted({1, last, *range(max(1, current - 1), min(last, current + 1) + 1)})
    numbers: list[int | None] = []
    for number in wanted:
        previous = numbers[-1] if numbers else None
        if previous is not None and number - previous == 2:
            numbers.append(number - 1)
        elif previous is not None and number - previous > 2:
            numbers.append(None)
        numbers.append(number)
    return numbers


def govopen_highlight(text: str, query: str) -> Markup:
    """The text with the words of the query marked; Chinese words match by their longest part of two signs or more."""
    spans = _matches(text or "", query or "")
    marked, end = Markup(""), 0
    for start, stop in spans:
        marked += escape(text[end:start]) + Markup("<mark>{}</mark>").format(text[start:stop])
        end = stop
    return marked + escape((text or "")[end:])


def govopen_field_hits(titles: list[str], query: str, limit: int = 5) -> list[Markup]:
    """Names of fields that hold a word of the query, marked: why a dataset was found."""
    return [govopen_highlight(title, query) for title in titles if _matches(title, query)][:limit]


def _matches(text: str, query: str) -> list[tuple[int, int]]:
    lowered = text.lower()
    taken = [False] * len(text)
    for word in query.lower().replace('"', " ").split():
        for part in _parts(word):
            start = lowered.find(part)
            hit = start >= 0
            while start >= 0:
                taken[start:start + len(part)] = [True] * len(part)
                start = lowered.find(part, start + len(part))
            if hit and len(part) == len(word):
                break
    spans: list[tuple[int, int]] = []
    for at, on in enumerate(taken):
        if on and spans and spans[-1][1] == at:
            spans[-1] = (spans[-1][0], at + 1)
        elif on:
            spans.append((at, at + 1))
    return spans


def _parts(word: str) -> Iterator[str]:
    """The word, then for Chinese its shorter parts down to two signs."""
    yield word
    if not word.isascii():
        for size in range(min(len(word) - 1, 6), 1, -1):
            for at in range(len(word) - size + 1):
                yield word[at:at + size]


CORE_SENTENCES = ("Internal server error", "The requested URL was not found", "You don't have the permission")


def govopen_error(status: int, content: Any = "") -> dict[str, str]:
    """What happened and what to do, for an error page; core's stock sentences say nothing and are left out."""
    told = {
        400: (tk._("This request could not be understood"), tk._("Check the address, or go back and try again.")),
        403: (tk._("You may not see this page"), tk._("Sign in with an account that may, or ask the department.")),
        404: (tk._("There is no such page"), tk._("It may have been withdrawn or moved. Search for the data by name.")),
        405: (tk._("This address does not take such requests"), tk._("Go back and use the page's own buttons.")),
        413: (tk._("What was sent is too large"), tk._("Send a smaller file or split it.")),
        429: (tk._("Too many requests"), tk._("Wait a minute and try again.")),
        503: (tk._("The service is away for a moment"), tk._("Nothing was changed. Please try again in a minute.")),
    }.get(int(status), (
        tk._("This page cannot be shown at the moment"),
        tk._("The mistake is on our side and has been recorded. Please try again in a minute."),
    ))
    reason = str(content or "")
    known = reason.startswith(CORE_SENTENCES) or "<" in reason or int(status) >= 500
    return {"title": told[0], "next": told[1], "reason": "" if known else reason}
