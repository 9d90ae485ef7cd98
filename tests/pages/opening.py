"""How the page tests open an address: what the console and the network complain of is kept with the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import BrowserContext, Page

OpenPage = Callable[..., Page]
ContextOf = Callable[[int, str, bool], BrowserContext]
"""A browser of its own for a width, a color scheme, and whether scripts run."""


def opener(site: str, context_of: ContextOf) -> OpenPage:
    """Opens an address of the site; ``page.noise`` collects complaints, ``page.status`` is the answer's status."""

    def visit(path: str, width: int = 1280, scheme: str = "light", scripts: bool = True) -> Page:
        page = context_of(width, scheme, scripts).new_page()
        noise: list[str] = []
        page.on("console", lambda said: noise.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("requestfailed", lambda request: noise.append(f"failed {request.url}"))
        page.noise = noise  # type: ignore[attr-defined]
        answer = page.goto(site + path)
        page.status = answer.status if answer else 0  # type: ignore[attr-defined]
        return page

    return visit


def options_of(width: int, scheme: str, scripts: bool) -> dict[str, Any]:
    """What the browser is told of a context."""
    return {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "java_script_enabled": scripts}
