"""The language of the person who is asking."""

from __future__ import annotations

import ckan.plugins.toolkit as tk
from flask import has_request_context


def language() -> str:
    """CKAN's code of the current language; the site's default where no request is being answered."""
    if has_request_context():
        return str(tk.h.lang() or "zh_Hans_CN")
    return str(tk.config.get("ckan.locale_default") or "zh_Hans_CN")


def accept_language() -> str:
    """The current language as the service expects it in Accept-Language."""
    return "zh-CN" if language().startswith("zh") else "en"
