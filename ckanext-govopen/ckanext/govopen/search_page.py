"""The search behind the catalogue pages: what was asked, the answer, and the links that change the question."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import ckan.plugins.toolkit as tk
from ckan.lib.search import SearchError, SearchQueryError
from ckanext.govopen import presentation, rows, vocabularies
from ckanext.govopen.text import language
from werkzeug.datastructures import MultiDict

FACETS = {
    "govopen_open_attribute": "open_attribute", "organization": None, "govopen_domain": "domain", "res_format": None,
    "govopen_grade": "grade", "govopen_update_cycle": "update_cycle", "tags": None,
}
"""Field of the index -> code list that gives its words; None where the engine's own label is right."""
FILTERS = (*FACETS, "groups", "license_id")
PERIOD_DAYS = {"week": 7, "month": 31, "year": 366}
SORTS = {
    "relevance": "score desc, metadata_modified desc", "updated": "metadata_modified desc",
    "title": "title_string asc", "name": "name asc",
}
CORE_SORTS = {value: key for key, value in SORTS.items()}
PAGE_ROWS = 20
FACET_LIMIT = 60
QUERY_CHARS_MAX = 200
PAGES_MAX = 1000
SYNTAX = re.compile(r'[+\-&|!(){}\[\]^"~*?:\\/]|\b(?:AND|OR|NOT)\b')


@dataclass
class Question:
    """What a visitor asks of the catalogue; built from the address, so that every answer can be linked to."""

    q: str = ""
    chosen: list[tuple[str, str]] = field(default_factory=list)
    updated: str = ""
    sort: str = ""
    page: int = 1
    fixed: tuple[str, str] | None = None
    """A filter that the page itself sets (the department of a department's page)."""

    @classmethod
    def from_address(cls, args: MultiDict[str, str], fixed: tuple[str, str] | None = None) -> Question:
        chosen = list(dict.fromkeys(
            (name, value[:QUERY_CHARS_MAX]) for name, value in args.items(multi=True) if name in FILTERS and value))
        sort = args.get("sort", "")
        page = args.get("page", "1")
        return cls(
            q=" ".join(args.get("q", "").replace("\x00", " ").split())[:QUERY_CHARS_MAX], chosen=chosen[:20],
            updated=args["updated"] if args.get("updated") in PERIOD_DAYS else "",
            sort=CORE_SORTS.get(sort, sort if sort in SORTS else ""),
            page=min(max(int(page), 1), PAGES_MAX) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
            fixed=fixed,
        )

    def address(self, **changes: Any) -> str:
        """The address of this question with changes: q, chosen, updated, sort, page. The page goes back to 1."""
        state = {"q": self.q, "chosen": self.chosen, "updated": self.updated, "sort": self.sort, "page": 1, **changes}
        pairs: list[tuple[str, Any]] = [(name, state[name]) for name in ("q", "updated", "sort") if state[name]]
        pairs += state["chosen"]
        if state["page"] > 1:
            pairs.append(("page", state["page"]))
        query: dict[str, Any] = {}
        for name, value in pairs:
            query.setdefault(name, []).append(value)
        if self.fixed:
            return str(tk.url_for("organization.read", id=self.fixed[1], **query))
        return str(tk.url_for("dataset.search", **query))

    def with_filter(self, name: str, value: str) -> str:
        return self.address(chosen=[*self.chosen, (name, value)])

    def without_filter(self, name: str, value: str) -> str:
        return self.address(chosen=[pair for pair in self.chosen if pair != (name, value)])

    def to_page(self, number: int) -> str:
        return self.address(page=number)

    def filter_query(self) -> str:
        clauses = ["+dataset_type:dataset"]
        for name, value in [*self.chosen, *([self.fixed] if self.fixed else [])]:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            clauses.append(f'+{name}:"{escaped}"')
        if self.updated:
            since = datetime.now(UTC) - timedelta(days=PERIOD_DAYS[self.updated])
            clauses.append(f"+metadata_modified:[{since:%Y-%m-%dT%H:00:00Z} TO *]")
        return " ".join(clauses)


@dataclass
class Answer:
    question: Question
    count: int
    cards: list[dict[str, Any]]
    facets: list[dict[str, Any]]
    chips: list[dict[str, str]]
    failed: bool = False

    @property
    def last_page(self) -> int:
        return max(1, ceil(self.count / PAGE_ROWS))


def facet_titles() -> dict[str, str]:
    return {
        "govopen_open_attribute": tk._("Open attribute"), "organization": tk._("Department"),
        "govopen_domain": tk._("Data domain"), "res_format": tk._("Format"), "govopen_grade": tk._("Data grade"),
        "govopen_update_cycle": tk._("Update cycle"), "tags": tk._("Tag"), "groups": tk._("Topic"),
        "license_id": tk._("License"),
    }


def run(question: Question, page_rows: int = PAGE_ROWS) -> Answer:
    """Ask the index. A question it cannot parse is asked again as plain words; no answer at all sets ``failed``."""
    wanted: dict[str, Any] = {
        "q": question.q or "*:*", "fq": question.filter_query(), "rows": page_rows,
        "start": (question.page - 1) * page_rows, "facet.field": list(FACETS), "facet.limit": FACET_LIMIT,
        "sort": SORTS[question.sort] if question.sort else (SORTS["relevance"] if question.q else SORTS["updated"]),
        "include_private": bool(tk.config.get("ckan.search.default_include_private")),
    }
    try:
        found = _ask(wanted, question)
    except SearchError:
        return Answer(question, 0, [], [], _chips(question, {}), failed=True)
    counts = rows.counts({resource["id"] for dataset in found["results"] for resource in dataset["resources"]})
    labels = _labels(found.get("search_facets") or {})
    return Answer(
        question, found["count"], [presentation.card(dataset, counts) for dataset in found["results"]],
        _facets(found.get("search_facets") or {}, question, labels), _chips(question, labels),
    )


def _ask(wanted: dict[str, Any], question: Question) -> dict[str, Any]:
    search = tk.get_action("package_search")
    try:
        return search({"user": tk.current_user.name, "for_view": True}, wanted)
    except (SearchQueryError, SearchError, tk.ValidationError):
        words = SYNTAX.sub(" ", question.q).strip()
        if words == question.q:
            raise SearchError(question.q) from None
        return search({"user": tk.current_user.name, "for_view": True}, {**wanted, "q": words or "*:*"})


def _labels(search_facets: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(name, item["name"]): str(item.get("display_name") or item["name"])
            for name, facet in search_facets.items() for item in facet.get("items", [])}


def word(name: str, value: str, labels: dict[tuple[str, str], str]) -> str:
    """What people read for the value of a filter."""
    vocabulary = FACETS.get(name)
    return vocabularies.label(vocabulary, value, language()) if vocabulary else labels.get((name, value), value)


def _facets(
    search_facets: dict[str, Any], question: Question, labels: dict[tuple[str, str], str],
) -> list[dict[str, Any]]:
    titles, shown = facet_titles(), []
    for name in FACETS:
        if question.fixed and question.fixed[0] == name:
            continue
        entries = [
            {"value": item["name"], "label": word(name, item["name"], labels), "count": item["count"],
             "chosen": (name, item["name"]) in question.chosen}
            for item in (search_facets.get(name) or {}).get("items", []) if item["name"]
        ]
        for entry in entries:
            change = question.without_filter if entry["chosen"] else question.with_filter
            entry["url"] = change(name, entry["value"])
        entries.sort(key=lambda entry: (not entry["chosen"], -entry["count"], entry["label"]))
        if entries:
            shown.append({"name": name, "title": titles[name], "entries": entries})
    return shown


def _chips(question: Question, labels: dict[tuple[str, str], str]) -> list[dict[str, str]]:
    titles = facet_titles()
    chips = [
        {"title": titles[name], "label": word(name, value, labels), "url": question.without_filter(name, value)}
        for name, value in question.chosen
    ]
    if question.updated:
        label = {"week": tk._("in the last 7 days"), "month": tk._("in the last month"),
                 "year": tk._("in the last year")}[question.updated]
        chips.append({"title": tk._("Updated"), "label": label, "url": question.address(updated="")})
    return chips
