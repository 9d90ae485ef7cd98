"""Pages that belong to nobody else: home, developers, the machine-readable open list, the reading mode."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import ckan.plugins.toolkit as tk
from ckanext.govopen import dataset_page, popularity, presentation, rows, search_page, vocabularies
from ckanext.govopen.text import language
from flask import Blueprint, Response, jsonify, redirect

blueprint = Blueprint("govopen_pages", __name__)
MODE_SECONDS = 365 * 24 * 3600
HOME_ROWS = 6
HOME_FACETS = ("organization", "govopen_domain", "govopen_open_attribute", "tags")
HOME_MOST = 1000
LIST_ROWS = 500
EXAMPLES = 5
EXAMPLE_CHARS = 12


def local_path(target: str) -> str:
    """The target if it is a path of this site, else the home page: nobody is sent elsewhere by a link of ours."""
    parts = urlsplit(target)
    inside = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc
    return target if inside and "\n" not in target and "\r" not in target else "/"


@blueprint.get("/display")
def mode() -> Any:
    """Remember the reading mode (``mode=elder`` or ``plain``) and go back to ``next``."""
    answer: Response = tk.redirect_to(local_path(tk.request.args.get("next", "/")))
    if tk.request.args.get("mode") == "elder":
        answer.set_cookie("govopen_mode", "elder", max_age=MODE_SECONDS, samesite="Lax", path="/")
    else:
        answer.delete_cookie("govopen_mode", path="/")
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.get("/")
def home() -> Any:
    """What there is, what is new, what is looked at, and how to get what is not open to everyone."""
    newest = search_page.run(
        search_page.Question(sort="updated"), page_rows=HOME_ROWS, facets=HOME_FACETS, most=HOME_MOST)
    week = search_page.Question(updated="week")
    facets = {facet["name"]: [*facet["entries"], *facet["more"]] for facet in newest.facets}
    by_domain = {entry["value"]: entry for entry in facets.get("govopen_domain", [])}
    return tk.render("govopen/home.html", {
        "newest": newest, "popular": _popular(), "rows": rows.total(),
        "departments": len(facets.get("organization", [])),
        "week_count": search_page.run(week, page_rows=0, facets=()).count, "week_url": week.address(),
        "domains": sorted((
            {"value": term.value, "label": term.label(language()), **_counted(by_domain.get(term.value))}
            for term in vocabularies.terms("domain")
        ), key=lambda domain: -domain["count"]),
        "attributes": facets.get("govopen_open_attribute", []), "examples": _examples(facets),
    })


def _counted(entry: dict[str, Any] | None) -> dict[str, Any]:
    return {"count": entry["count"], "url": entry["url"]} if entry else {"count": 0, "url": None}


def _popular() -> list[dict[str, Any]]:
    """The most viewed datasets that the visitor may see, with how often they were opened."""
    ranked = popularity.most_viewed(HOME_ROWS * 2)
    if not ranked:
        return []
    names = " OR ".join(f'"{name}"' for name, _ in ranked)
    try:
        found = tk.get_action("package_search")(
            {"user": tk.current_user.name}, {"fq": f"+name:({names})", "rows": len(ranked)})
    except search_page.Away:
        return []
    shown = {dataset["name"]: presentation.card(dataset, {}) for dataset in found["results"]}
    return [{**shown[name], "views": views} for name, views in ranked if name in shown][:HOME_ROWS]


def _examples(facets: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Searches that find something: the tags most used."""
    return [entry["label"] for entry in facets.get("tags", [])[:20] if len(entry["label"]) <= EXAMPLE_CHARS][:EXAMPLES]


@blueprint.get("/developers")
def developers() -> str:
    """How to read the data and the catalogue by program."""
    return tk.render("govopen/developers.html", {"site": str(tk.config["ckan.site_url"]).rstrip("/")})


@blueprint.get("/catalogue.json")
def catalogue() -> Response:
    """The open list for machines, newest first; ``?start=`` pages through it by 500."""
    given = tk.request.args.get("start", "0")
    start = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 0
    found = tk.get_action("package_search")({"user": ""}, {
        "q": "*:*", "fq": "+dataset_type:dataset", "rows": LIST_ROWS, "start": start,
        "sort": "metadata_modified desc, name asc",
    })
    after = start + LIST_ROWS
    following = tk.url_for("govopen_pages.catalogue", start=after, locale="default", _external=True)
    return jsonify({
        "total": found["count"], "next": following if after < found["count"] else None,
        "items": [dataset_page.machine_entry(dataset) for dataset in found["results"]],
    })


@blueprint.get("/api/i18n/zh-CN")
def script_texts() -> Any:
    """CKAN's scripts ask for their texts by the page's HTML language; its files are named by locale."""
    return redirect(tk.url_for("api.i18n_js_translations", lang="zh_Hans_CN", locale="default"))
