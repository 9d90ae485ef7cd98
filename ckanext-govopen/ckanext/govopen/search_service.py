"""What the pages ask of the search service beside CKAN's own search: why something was found, what was meant.

Every call carries the filters that CKAN sends for the same person (``viewer_filters``), so nothing is answered from
datasets that person may not see. Nothing here is needed for an answer: without it pages only say less.
"""

from __future__ import annotations

import html
import logging
from dataclasses import dataclass, field
from typing import Any

import ckan.plugins.toolkit as tk
import requests
from ckan.common import asbool
from ckan.lib.plugins import get_permission_labels
from ckan.lib.search.query import QUERY_FIELDS, solr_literal
from ckanext.govopen import search_connection
from markupsafe import Markup, escape

log = logging.getLogger(__name__)

TIMEOUT_S = (1, 3)
OPEN, CLOSE = "\ue000", "\ue001"
"""Marks around a hit: signs that no language uses, replaced by ours after the text has been escaped."""
HIGHLIGHTED = ("title", "notes", "extras_items")
SUGGESTIONS = 8
_session = requests.Session()
_session.trust_env = False


@dataclass
class Insight:
    """Highlights by dataset id and field, a better spelling with its count, numbers of datasets per range."""

    highlights: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    better: str = ""
    better_count: int = 0
    misspelled: bool = False
    """The words as typed find nothing; what was found was found by the better spelling."""
    counts: dict[str, int] = field(default_factory=dict)


def viewer_filters(user: Any, wanted: str, include_private: bool) -> list[str]:
    """The filters that CKAN's ``package_search`` sends for this person with ``fq=wanted``."""
    first = f"+capacity:public {wanted}" if not include_private else wanted
    filters = [f"{first} +state:(active)", f"+site_id:{solr_literal(tk.config.get('ckan.site_id'))}"]
    if not (user.is_authenticated and user.sysadmin and user.state == "active"):
        labels = get_permission_labels().get_user_dataset_labels(user)
        filters.append(f"+permission_labels:({' OR '.join(solr_literal(label) for label in labels)})")
    return filters


def include_private() -> bool:
    """Whether a person's own private datasets are in the answers of the pages."""
    return bool(asbool(tk.config.get("ckan.search.default_include_private")))


def insight(wanted: dict[str, Any], ranges: dict[str, str], unranged: str | None = None) -> Insight:
    """Highlights of a page of answers, a better spelling, and how many datasets each of the ranges would leave.

    ``wanted`` is what ``package_search`` was asked; ``ranges`` has queries by name; ``unranged`` is the filter query
    to count them under where ``wanted`` holds one of them already. Empty when there is no answer.
    """
    query = wanted["q"]
    parameters = _select(wanted, wanted["fq"], wanted["rows"])
    if query != "*:*":
        parameters += [
            ("hl", "true"), ("hl.fl", ",".join(HIGHLIGHTED)), ("hl.simple.pre", OPEN), ("hl.simple.post", CLOSE),
            ("hl.fragsize", 160), ("f.title.hl.fragsize", 0), ("f.extras_items.hl.snippets", 3),
            ("f.extras_items.hl.fragsize", 40), ("spellcheck", "true"), ("spellcheck.q", query),
        ]
    counting = [("facet", "true"), *(("facet.query", one) for one in ranges.values())] if ranges else []
    found = _ask("select", parameters + (counting if unranged is None else []))
    if found is None:
        return Insight()
    apart = _ask("select", _select(wanted, unranged, 0) + counting) if unranged is not None and ranges else found
    keys = {doc.get("index_id"): doc.get("id") for doc in (found.get("response") or {}).get("docs") or []}
    counted = ((apart or {}).get("facet_counts") or {}).get("facet_queries") or {}
    better, hits = _collation(found.get("spellcheck") or {})
    return Insight(
        {str(keys[key]): snippets for key, snippets in (found.get("highlighting") or {}).items() if keys.get(key)},
        better if better != query else "", hits, (found.get("spellcheck") or {}).get("correctlySpelled") is False,
        {name: counted[one] for name, one in ranges.items() if one in counted},
    )


def _select(wanted: dict[str, Any], filters: str, rows: int) -> list[tuple[str, Any]]:
    """The parameters with which CKAN asks for this answer."""
    parameters: list[tuple[str, Any]] = [
        ("q", wanted["q"]), ("start", wanted["start"]), ("rows", rows), ("sort", wanted["sort"]), ("fl", "index_id,id"),
        ("df", "text"), ("q.op", "AND"), ("wt", "json"),
        *(("fq", one) for one in viewer_filters(tk.current_user, filters, wanted["include_private"])),
    ]
    if ":" not in wanted["q"]:
        parameters += [("defType", "dismax"), ("tie", "0.1"), ("mm", "2<-1 5<80%"), ("qf", QUERY_FIELDS)]
    return parameters


def suggest(text: str, wanted: str) -> list[dict[str, Any]] | None:
    """Suggestions for what has been typed, of datasets the person may see; None when the service is away."""
    parameters: list[tuple[str, Any]] = [
        ("q", text), ("rows", SUGGESTIONS), ("hl.simple.pre", OPEN), ("hl.simple.post", CLOSE), ("wt", "json"),
        *(("fq", one) for one in viewer_filters(tk.current_user, wanted, include_private())),
    ]
    found = _ask("suggest", parameters, "GET")
    if found is None:
        return None
    listed = (found.get("suggest") or {}).get("suggestions") or []
    return [one for one in listed if isinstance(one, dict) and one.get("text")]


def segments(snippet: str) -> list[tuple[str, bool]]:
    """A snippet as plain texts, each with whether it is a hit; whatever else was in it is text."""
    return _pieces(html.unescape(snippet))


def _pieces(plain: str) -> list[tuple[str, bool]]:
    pieces = []
    for at, part in enumerate(plain.replace(CLOSE, OPEN).split(OPEN)):
        if part:
            pieces.append((part, at % 2 == 1))
    return pieces


def marked(snippet: str) -> Markup:
    """A snippet for the page: escaped, with our marks and no other element."""
    return _markup(segments(snippet))


def hits(snippet: str) -> list[Markup]:
    """Of a snippet that lists fields, ``a; b; c``, those with a hit."""
    return [_markup(_pieces(field.strip())) for field in html.unescape(snippet).split(";") if OPEN in field]


def _markup(pieces: list[tuple[str, bool]]) -> Markup:
    return Markup("").join(Markup("<mark>{}</mark>").format(text) if hit else escape(text) for text, hit in pieces)


def _ask(path: str, parameters: list[tuple[str, Any]], method: str = "POST") -> dict[str, Any] | None:
    """An answer of the search service, None when there is none that can be read."""
    address, account = search_connection.parts()
    try:
        answer = _session.request(
            method, f"{address.rstrip('/')}/{path}", params=parameters if method == "GET" else None,
            data=parameters if method == "POST" else None, timeout=TIMEOUT_S, allow_redirects=False,
            auth=account)
        if answer.status_code != 200:
            log.info("search service: %s: HTTP %s: %.200s", path, answer.status_code, answer.text)
            return None
        found = answer.json()
    except (requests.RequestException, OSError, ValueError) as problem:
        log.warning("search service: %s: %s", path, type(problem).__name__)
        return None
    return found if isinstance(found, dict) else None


def _collation(spellcheck: dict[str, Any]) -> tuple[str, int]:
    """The first better spelling and how many datasets it finds."""
    listed = spellcheck.get("collations") or []
    for one in listed[1::2]:
        if isinstance(one, dict) and one.get("collationQuery"):
            return str(one["collationQuery"]), int(one.get("hits") or 0)
    return "", 0
