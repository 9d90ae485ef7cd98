"""What a visitor asks of the catalogue, kept whole in the address, so that every answer can be linked to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.helpers.pages import BEIJING
from werkzeug.datastructures import MultiDict

FACETS: dict[str, str | None] = {
    "organization": None, "govopen_domain": "domain", "govopen_industry": "economic_section",
    "govopen_open_attribute": "open_attribute", "govopen_grade": "grade", "res_format": None,
    "vocab_govopen_region": None, "govopen_update_cycle": "update_cycle", "tags": None,
}
"""Field of the index -> code list that gives its words; None where the value or the engine's label is right."""
FILTERS = (*FACETS, "groups", "license_id")
UPDATED = "govopen_updated_date"
PERIOD_DAYS = {"week": 7, "month": 31, "year": 366}
_NEWEST = f"{UPDATED} desc, metadata_modified desc"
SORTS = {
    "relevance": f"score desc, {_NEWEST}", "updated": _NEWEST, "downloads": f"govopen_downloads desc, {_NEWEST}",
    "rating": f"govopen_rating desc, {_NEWEST}", "rows": f"govopen_rows desc, {_NEWEST}", "title": "title_string asc",
}
"""A dataset without a figure comes last, whatever the order."""
CORE_SORTS = {
    "score desc, metadata_modified desc": "relevance", "metadata_modified desc": "updated", "title_string asc": "title",
    "name asc": "title",
}
"""CKAN's own spelling in links that were made before."""
SYNTAX = re.compile(r'[+\-&|!(){}\[\]^"~*?:\\/]|\b(?:AND|OR|NOT)\b')
"""What the query language reads as its own."""
QUERY_CHARS_MAX = 200
CHOSEN_MAX = 30
PAGES_MAX = 1000


@dataclass
class Question:
    """Words, filters, time of update, order and page."""

    q: str = ""
    chosen: list[tuple[str, str]] = field(default_factory=list)
    updated: str = ""
    since: date | None = None
    until: date | None = None
    """A time of update of one's own, both days included, Beijing's."""
    sort: str = ""
    page: int = 1
    fixed: tuple[str, str] | None = None
    """A filter that the page itself sets (the department of a department's page)."""
    misread: list[str] = field(default_factory=list)
    """Names of what was given and could not be understood, to be told to the visitor."""

    @classmethod
    def from_address(cls, args: MultiDict[str, str], fixed: tuple[str, str] | None = None) -> Question:
        chosen = list(dict.fromkeys(
            (name, value[:QUERY_CHARS_MAX]) for name, value in args.items(multi=True) if name in FILTERS and value))
        days = {name: _day(args.get(name, "")) for name in ("from", "to")}
        misread = [name for name, day in days.items() if day is None and args.get(name, "").strip()]
        since, until = days["from"], days["to"]
        if since and until and since > until:
            since, until = until, since
        updated = args.get("updated", "")
        sort = args.get("sort", "")
        page = args.get("page", "1")
        return cls(
            q=" ".join(args.get("q", "").replace("\x00", " ").split())[:QUERY_CHARS_MAX], chosen=chosen[:CHOSEN_MAX],
            updated=updated if updated in PERIOD_DAYS and not (since or until) else "", since=since, until=until,
            sort=CORE_SORTS.get(sort, sort if sort in SORTS else ""),
            page=min(max(int(page), 1), PAGES_MAX) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
            fixed=fixed, misread=misread,
        )

    def pairs(self, **changes: Any) -> list[tuple[str, str]]:
        """Names and values of the address: q, updated, since, until, sort and chosen, with changes; no page."""
        state = {"q": self.q, "chosen": self.chosen, "updated": self.updated, "since": self.since,
                 "until": self.until, "sort": self.sort, **changes}
        named = (("q", "q"), ("updated", "updated"), ("from", "since"), ("to", "until"), ("sort", "sort"))
        return [(name, str(state[key])) for name, key in named if state[key]] + list(state["chosen"])

    def address(self, **changes: Any) -> str:
        """The address of this question with changes; the page goes back to 1."""
        query: dict[str, Any] = {}
        for name, value in self.pairs(**changes):
            query.setdefault(name, []).append(value)
        if changes.get("page", 1) > 1:
            query["page"] = changes["page"]
        if self.fixed:
            return str(tk.url_for("organization.read", id=self.fixed[1], **query))
        return str(tk.url_for("dataset.search", **query))

    def with_filter(self, name: str, value: str) -> str:
        return self.address(chosen=[*self.chosen, (name, value)])

    def without_filter(self, name: str, value: str) -> str:
        return self.address(chosen=[pair for pair in self.chosen if pair != (name, value)])

    def without_filters(self) -> str:
        return self.address(chosen=[], updated="", since=None, until=None)

    def in_period(self, period: str) -> str:
        """With a time of update; the same again takes it off."""
        return self.address(updated="" if period == self.updated else period, since=None, until=None)

    def to_page(self, number: int) -> str:
        return self.address(page=number)

    @property
    def filtered(self) -> bool:
        return bool(self.chosen or self.updated or self.since or self.until)

    @property
    def order(self) -> str:
        """The name of the order that holds: by relevance where words were given, else the newest first."""
        return self.sort or ("relevance" if self.q else "updated")

    def values(self, name: str) -> list[str]:
        return [value for field_name, value in self.chosen if field_name == name]

    def filter_query(self, without: str = "") -> str:
        """The filters as one query: any value of a filter, and all filters. ``without`` leaves one filter out."""
        clauses = ["+dataset_type:dataset"]
        for name in dict.fromkeys(name for name, _ in self.chosen if name != without):
            clauses.append(f"+{name}:({' OR '.join(literal(value) for value in self.values(name))})")
        if self.fixed:
            clauses.append(f"+{self.fixed[0]}:{literal(self.fixed[1])}")
        if without != UPDATED:
            clauses += self._period()
        return " ".join(clauses)

    def _period(self) -> list[str]:
        if self.updated:
            return [f"+{UPDATED}:{past(self.updated)}"]
        if not (self.since or self.until):
            return []
        first = _midnight(self.since) if self.since else "*"
        end = _midnight(self.until + timedelta(days=1)) if self.until else "*"
        return [f"+{UPDATED}:[{first} TO {end}{'}' if self.until else ']'}"]


def past(period: str) -> str:
    """The range of a period that ends now, by the hour, so that the index may remember its answer."""
    return f"[{datetime.now(UTC) - timedelta(days=PERIOD_DAYS[period]):%Y-%m-%dT%H:00:00Z} TO *]"


def literal(value: str) -> str:
    """A value as a quoted text of the query language; no value can end its quotes."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text.strip())
    except ValueError:
        return None
    return found if 1900 <= found.year <= 2200 else None


def _midnight(day: date) -> str:
    start = datetime(day.year, day.month, day.day, tzinfo=BEIJING).astimezone(UTC)
    return f"{start:%Y-%m-%dT%H:%M:%SZ}"
