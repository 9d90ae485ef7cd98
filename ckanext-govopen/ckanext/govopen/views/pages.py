"""Pages that belong to nobody else: home, developers, the machine-readable open list, the reading mode."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import ckan.plugins.toolkit as tk
from flask import Blueprint, Response

blueprint = Blueprint("govopen_pages", __name__)
MODE_SECONDS = 365 * 24 * 3600


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
