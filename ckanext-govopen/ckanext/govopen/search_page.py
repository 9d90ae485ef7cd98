"""The search behind the catalogue pages: the answer to a question, its filters with counts, and why each was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import ckan.plugins.toolkit as tk
from ckan.lib.search import SearchError
from ckan.lib.search.common import SolrConnectionError
from ckanext.govopen import figures, presentation, regions, rows, search_service, vocabularies
from ckanext.govopen.helpers.pages import govopen_date, govopen_field_hits, govopen_highlight
from ckanext.govopen.search_question import FACETS, PERIOD_DAYS, SORTS, SYNTAX, UPDATED, Question, past
from ckanext.govopen.text import language

__all__ = ["Answer", "Question", "run"]

PAGE_ROWS = 20
FACET_LIMIT = 100
FACET_FIRST = 6
FEW = 3
"""With fewer datasets than this a better spelling is offered even if the words as typed found some."""
Away = (SearchError, SolrConnectionError)


@dataclass
class Answer:
    question: Question
    count: int
    cards: list[dict[str, Any]]
    facets: list[dict[str, Any]]
    chips: list[dict[str, str]]
    failed: bool = False
    """The search service gave no answer at all."""
    better: dict[str, Any] | None = None
    """Another spelling that finds more: ``text``, ``count``, ``url``."""
    plain_words: bool = False
    """The question could not be read as a query and was searched as plain words."""
    sorts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def last_page(self) -> int:
        return max(1, ceil(self.count / PAGE_ROWS))


def facet_titles() -> dict[str, str]:
    """What each filter is called, in the order of the page."""
    return {
        "organization": tk._("Department"), "govopen_open_attribute": tk._("Open attribute"),
        "govopen_domain": tk._("Data domain"), "govopen_grade": tk._("Data grade"), "res_format": tk._("Format"),
        UPDATED: tk._("Updated"), "vocab_govopen_region": tk._("Region"), "govopen_industry": tk._("Industry"),
        "govopen_update_cycle": tk._("Update cycle"), "tags": tk._("Tag"), "groups": tk._("Topic"),
        "license_id": tk._("License"),
    }


def sort_titles() -> list[tuple[str, str]]:
    return [
        ("relevance", tk._("Relevance")), ("updated", tk._("Last updated")), ("downloads", tk._("Most downloaded")),
        ("rating", tk._("Best rated")), ("rows", tk._("Most rows")), ("title", tk._("Title")),
    ]


def period_titles() -> dict[str, str]:
    return {"week": tk._("in the last 7 days"), "month": tk._("in the last month"), "year": tk._("in the last year")}


def run(
    question: Question, page_rows: int = PAGE_ROWS, explain: bool = False, facets: Sequence[str] = tuple(FACETS),
    most: int = FACET_LIMIT,
) -> Answer:
    """Ask the index; ``explain`` adds what the search page shows besides: highlights, spelling, counts of periods.

    ``facets`` are the filters to count, ``most`` values of each. A question it cannot parse is asked again as plain
    words; no answer at all sets ``failed``.
    """
    wanted: dict[str, Any] = {
        "q": question.q or "*:*", "fq": question.filter_query(), "rows": page_rows,
        "start": (question.page - 1) * page_rows, "facet.field": list(facets), "facet.limit": most,
        "sort": SORTS[question.order], "include_private": search_service.include_private(),
    }
    try:
        found, wanted = _ask(wanted, question)
        others = _counts_of_chosen(wanted, question) if explain else {}
    except Away:
        return Answer(question, 0, [], [], _chips(question, {}), failed=True, sorts=sort_titles())
    counted = {**(found.get("search_facets") or {}), **others}
    labels = _labels(counted)
    why = _insight(wanted, question) if explain else search_service.Insight()
    known = rows.counts({resource["id"] for dataset in found["results"] for resource in dataset["resources"]})
    told = figures.of_datasets(found["results"])
    cards = [{**_card(dataset, known, question, why.highlights.get(dataset["id"], {})),
              "downloads": told[dataset["id"]].downloads, "rating": told[dataset["id"]].rating}
             for dataset in found["results"]]
    answer = Answer(
        question, found["count"], cards, _facets(counted, question, labels, why.counts), _chips(question, labels),
        better=_better(question, why, found["count"]), sorts=sort_titles(),
        plain_words=bool(question.q) and wanted["q"] != question.q,
    )
    return answer


def _ask(wanted: dict[str, Any], question: Question) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer, and what was asked in the end."""
    try:
        return _search(wanted), wanted
    except (SearchError, tk.ValidationError):
        words = " ".join(SYNTAX.sub(" ", question.q).split())
        if words == question.q:
            raise SearchError(question.q) from None
        plain = {**wanted, "q": words or "*:*"}
        return _search(plain), plain


def _search(wanted: dict[str, Any]) -> dict[str, Any]:
    context = {"user": tk.current_user.name, "auth_user_obj": tk.current_user, "for_view": True}
    return dict(tk.get_action("package_search")(context, dict(wanted)))


def _counts_of_chosen(wanted: dict[str, Any], question: Question) -> dict[str, Any]:
    """For each filter in use, what its other values would find: counted without this one filter."""
    counted: dict[str, Any] = {}
    for name in dict.fromkeys(name for name, _ in question.chosen if name in FACETS):
        apart = {**wanted, "fq": question.filter_query(without=name), "rows": 0, "start": 0, "facet.field": [name]}
        counted[name] = (_search(apart).get("search_facets") or {}).get(name) or {}
    return counted


def _insight(wanted: dict[str, Any], question: Question) -> search_service.Insight:
    ranges = {period: f"{UPDATED}:{past(period)}" for period in PERIOD_DAYS}
    timed = bool(question.updated or question.since or question.until)
    return search_service.insight(wanted, ranges, question.filter_query(without=UPDATED) if timed else None)


def _better(question: Question, why: search_service.Insight, count: int) -> dict[str, Any] | None:
    if not why.better or not (why.misspelled or count < FEW or why.better_count > count):
        return None
    return {"text": why.better, "count": why.better_count, "url": question.address(q=why.better)}


def _card(
    dataset: dict[str, Any], known: dict[str, int], question: Question, snippets: dict[str, list[str]]
) -> dict[str, Any]:
    """A result with its hits marked: by the engine, or by the words themselves where it says nothing."""
    card = presentation.card(dataset, known)
    title, notes = snippets.get("title"), snippets.get("notes")
    card["title_marked"] = search_service.marked(title[0]) if title else govopen_highlight(card["title"], question.q)
    card["notes_marked"] = _excerpt(notes[0], card["notes"]) if notes else govopen_highlight(card["notes"], question.q)
    card["hits"] = govopen_field_hits(card["field_titles"], question.q) or [
        field for snippet in snippets.get("extras_items", []) for field in search_service.hits(snippet)]
    return card


def _excerpt(snippet: str, whole: str) -> Any:
    """A piece of the abstract with dots where it was cut off."""
    shown = search_service.marked(snippet)
    text = "".join(part for part, _ in search_service.segments(snippet)).strip()
    if whole.strip().startswith(text[:40]):
        return shown
    return "…" + shown


def _labels(counted: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(name, item["name"]): str(item.get("display_name") or item["name"])
            for name, facet in counted.items() for item in facet.get("items", [])}


def word(name: str, value: str, labels: dict[tuple[str, str], str]) -> str:
    """What people read for the value of a filter."""
    if name == "vocab_govopen_region":
        return regions.name(value)
    vocabulary = FACETS.get(name)
    return vocabularies.label(vocabulary, value, language()) if vocabulary else labels.get((name, value), value)


def _facets(
    counted: dict[str, Any], question: Question, labels: dict[tuple[str, str], str], periods: dict[str, int],
) -> list[dict[str, Any]]:
    titles, shown = facet_titles(), []
    for name in titles:
        if name == UPDATED:
            shown.append({"name": "updated", "title": titles[name], "entries": _periods(question, periods),
                          "more": [], "truncated": False, "period": True})
            continue
        if name not in FACETS or (question.fixed and question.fixed[0] == name):
            continue
        items = [item for item in (counted.get(name) or {}).get("items", []) if item["name"]]
        entries = _entries(name, items, question, labels)
        if entries:
            first = max(FACET_FIRST, sum(entry["chosen"] for entry in entries))
            shown.append({"name": name, "title": titles[name], "entries": entries[:first], "more": entries[first:],
                          "truncated": len(items) >= FACET_LIMIT, "period": False})
    return shown


def _entries(
    name: str, items: list[dict[str, Any]], question: Question, labels: dict[tuple[str, str], str]
) -> list[dict[str, Any]]:
    """Values with counts, the chosen ones first, also those that find nothing with the other filters."""
    counts = {item["name"]: item["count"] for item in items}
    entries = []
    for value in dict.fromkeys([*question.values(name), *counts]):
        chosen = (name, value) in question.chosen
        change = question.without_filter if chosen else question.with_filter
        entries.append({"value": value, "label": word(name, value, labels), "count": counts.get(value, 0),
                        "chosen": chosen, "url": change(name, value)})
    entries.sort(key=lambda entry: (not entry["chosen"], -entry["count"], entry["label"]))
    return entries


def _periods(question: Question, counts: dict[str, int]) -> list[dict[str, Any]]:
    labels = {"week": tk._("Past week"), "month": tk._("Past month"), "year": tk._("Past year")}
    entries = []
    for period, label in labels.items():
        chosen = question.updated == period
        leads = chosen or counts.get(period) != 0
        entries.append({"value": period, "label": label, "count": counts.get(period), "chosen": chosen,
                        "url": question.in_period(period) if leads else None})
    return entries


def _chips(question: Question, labels: dict[tuple[str, str], str]) -> list[dict[str, str]]:
    titles = facet_titles()
    chips = [
        {"title": titles[name], "label": word(name, value, labels), "url": question.without_filter(name, value)}
        for name, value in question.chosen
    ]
    if question.updated:
        chips.append({"title": titles[UPDATED], "label": period_titles()[question.updated],
                      "url": question.address(updated="")})
    if question.since or question.until:
        first, last = govopen_date(question.since), govopen_date(question.until)
        label = tk._("{first} to {last}").format(first=first, last=last) if question.since and question.until else (
            tk._("since {day}").format(day=first) if question.since else tk._("until {day}").format(day=last))
        chips.append({"title": titles[UPDATED], "label": label, "url": question.address(since=None, until=None)})
    return chips
