"""People of the demo city as they meet the platform: over HTTP, with their own token or their own browser session."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

TIMEOUT_S = 120.0


class Refused(Exception):
    """The platform refused: status and problem document as they came."""

    def __init__(self, method: str, path: str, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code") or (problem.get("error") or {}).get("__type") or "")
        super().__init__(f"{method} {path}: {status} {self.code} {problem.get('detail') or problem.get('error')}"
                         f" {problem.get('reasons') or ''} {problem.get('errors') or ''}")

    @property
    def reasons(self) -> list[str]:
        return [str(reason.get("code")) for reason in self.problem.get("reasons") or []]


class Person:
    """One caller. ``token`` is a CKAN API token or None for the public."""

    def __init__(self, site: str, name: str = "anonymous", token: str | None = None, *, language: str = "zh") -> None:
        self.site, self.name, self.token = site, name, token
        headers = {"Accept-Language": language}
        if token:
            headers["Authorization"] = token
        self.http = httpx.Client(base_url=site, headers=headers, timeout=TIMEOUT_S, trust_env=False)

    def send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        return self.http.request(method, path, **kwargs)

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """A call of the service; the decoded answer, or Refused."""
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        answer = self.send(
            method, path, json=body, headers=headers, params={k: v for k, v in params.items() if v is not None}
        )
        if answer.status_code >= 400:
            raise Refused(method, path, answer.status_code, _document(answer))
        return answer.json() if answer.content else None

    def get(self, path: str, **params: Any) -> Any:
        return self.call("GET", path, **params)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, body if body is not None else {})

    def action(self, name: str, /, **data: Any) -> Any:
        """A CKAN action by POST; its result, or Refused."""
        answer = self.send("POST", f"/api/3/action/{name}", json=data)
        document = _document(answer)
        if answer.status_code >= 400 or not document.get("success"):
            raise Refused("POST", name, answer.status_code, document)
        return document["result"]

    def step(self, kind: str, item: Mapping[str, Any], event: str, **facts: Any) -> Any:
        """Fire an event at an object of the service, on the version that was seen."""
        return self.post(f"/v1/{kind}/{item['id']}/events", {"event": event, "version": item["version"], **facts})


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {"detail": answer.text[:300]}
    return document if isinstance(document, dict) else {"detail": document}


CSRF = re.compile(r'name="_csrf_token"[^>]*value="([^"]+)"|name="_csrf_token"[^>]*content="([^"]+)"')


def sign_in(site: str, name: str, password: str) -> httpx.Client:
    """A browser session: the login form as a person fills it. Raises Refused when it does not let them in."""
    browser = httpx.Client(base_url=site, timeout=TIMEOUT_S, follow_redirects=True, trust_env=False)
    page = browser.get("/user/login")
    found = CSRF.search(page.text)
    form = {"login": name, "password": password, "remember": ""}
    if found:
        form["_csrf_token"] = found.group(1) or found.group(2)
    answer = browser.post("/user/login", data=form, headers={"Referer": f"{site}/user/login"})
    inside = browser.get("/user/me")
    if answer.status_code >= 400 or "/user/login" in str(inside.url):
        raise Refused("POST", "/user/login", answer.status_code, {"detail": "login failed"})
    return browser
