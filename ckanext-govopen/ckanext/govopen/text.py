"""The language of the person who is asking, and text that no database takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ckan.plugins.toolkit as tk
from flask import has_request_context
from flask_babel import force_locale


def language() -> str:
    """CKAN's code of the current language; the site's default where no request is being answered."""
    if has_request_context():
        return str(tk.h.lang() or "zh_Hans_CN")
    return str(tk.config.get("ckan.locale_default") or "zh_Hans_CN")


@contextmanager
def spoken() -> Iterator[None]:
    """Texts of a job are in the site's language: CKAN takes the language from the request, and fails without one."""
    if has_request_context():
        yield
        return
    with force_locale(language()):
        yield


def accept_language() -> str:
    """The current language as the service expects it in Accept-Language."""
    return "zh-CN" if language().startswith("zh") else "en"


UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
DEPTH_MAX = 40


def unstorable(value: Any, depth: int = 0) -> bool:
    """Whether a value holds, at any depth, U+0000 or half a surrogate pair, or is nested without reason."""
    if isinstance(value, str):
        return bool(UNSTORABLE.search(value))
    if isinstance(value, dict):
        return depth > DEPTH_MAX or any(
            unstorable(key, depth + 1) or unstorable(one, depth + 1) for key, one in value.items()
        )
    if isinstance(value, list | tuple):
        return depth > DEPTH_MAX or any(unstorable(one, depth + 1) for one in value)
    return False
