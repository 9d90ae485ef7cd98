"""What the search box offers while somebody types."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen import search_service
from ckanext.govopen.search_question import QUERY_CHARS_MAX, literal
from flask import Blueprint, Response, jsonify

blueprint = Blueprint("govopen_suggest", __name__)
CACHE_S = 30


@blueprint.get("/search/suggest")
def suggest() -> Response:
    """Suggestions for ``q`` (Chinese, pinyin, initials, English), of datasets that this visitor may see.

    Each has ``text``, ``kind``, ``label`` (the kind in words), ``url`` and ``parts``: pieces of the text, each with
    whether it is a hit. 503 when the search service is away; the box then works without suggestions.
    """
    text = " ".join(tk.request.args.get("q", "").split())[:QUERY_CHARS_MAX]
    department = tk.request.args.get("organization", "")[:QUERY_CHARS_MAX]
    wanted = "+dataset_type:dataset" + (f" +organization:{literal(department)}" if department else "")
    found = search_service.suggest(text, wanted) if text else []
    answer: Response = jsonify({"q": text, "items": [_item(one) for one in found or []]})
    answer.status_code = 503 if found is None else 200
    answer.headers["Cache-Control"] = "no-store" if found is None else f"private, max-age={CACHE_S}"
    answer.headers["Vary"] = "Cookie, Authorization"
    return answer


def _item(one: dict[str, Any]) -> dict[str, Any]:
    text, dataset = str(one["text"]), one.get("kind") == "dataset" and one.get("name")
    parts = search_service.segments(str(one.get("highlight") or "")) or [(text, False)]
    return {
        "kind": "dataset" if dataset else "words", "text": text, "parts": parts, "count": one.get("count"),
        "label": tk._("Dataset") if dataset else tk._("Search"),
        "url": tk.url_for("dataset.read", id=one["name"]) if dataset else tk.url_for("dataset.search", q=text),
    }
