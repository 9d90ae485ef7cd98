"""The one way to the govopen service: HTTP with a signed token of 60 s that says who is asking.

Raises ``ServiceRefusal`` for every answer that is a refusal (with its code, sentence and next step in the language of
the page) and ``ServiceAway`` when there is no answer at all. Nobody else in the extension speaks HTTP to the service.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
import uuid
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ckan.plugins.toolkit as tk
import jwt
import requests
from ckanext.govopen import identity, text
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from flask import g, has_request_context

AUDIENCE = "govopen"
LIFETIME_S = 60
SYSTEM = "ckan-system"
"""The user id by which the service knows CKAN itself."""
CONNECT_TIMEOUT_S = 3
ANSWER_BYTES_MAX = 32_000_000
REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
UNSAFE_PATH = re.compile(r"[\x00-\x20\x7f?#\\]|//|(^|/)\.{1,2}(/|$)")


class ServiceProblem(Exception):
    """The service did not do what was asked."""

    status = 503
    code = "service_away"
    detail = ""
    next = ""


class ServiceAway(ServiceProblem):
    """No answer: the service is down, or too slow. Nothing may be assumed to have happened."""

    def __init__(self, cause: str = "") -> None:
        super().__init__(cause)
        self.detail = tk._("The authorisation service cannot be reached at the moment.")
        self.next = tk._("Nothing has been changed. Please try again in a minute.")


class ServiceRefusal(ServiceProblem):
    """The service answered with a problem (RFC 9457)."""

    def __init__(self, problem: Mapping[str, Any], status: int = 500) -> None:
        self.problem = dict(problem)
        given = problem.get("status")
        self.status = given if isinstance(given, int) else status
        self.code = str(problem.get("code") or "service_error")
        self.detail = str(problem.get("detail") or problem.get("title") or tk._("The service refused."))
        self.next = str(problem.get("next") or "")
        self.errors: list[dict[str, Any]] = _dicts(problem.get("errors"))
        self.reasons: list[dict[str, Any]] = _dicts(problem.get("reasons"))
        self.request_id = str(problem.get("request_id") or "")
        super().__init__(f"{self.status} {self.code}")


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


@lru_cache(maxsize=4)
def _signing_key(file: str, changed_at: float) -> tuple[Any, str]:
    """The private key and its id, read again when the file is replaced."""
    key: Any = load_pem_private_key(Path(file).read_bytes(), password=None)
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return key, base64.urlsafe_b64encode(hashlib.sha256(raw).digest()[:12]).decode().rstrip("=")


def sign(claims: Mapping[str, Any]) -> str:
    """A token for the service; raises ServiceAway when the key cannot be read, as nothing can be asked then."""
    file = str(tk.config.get("ckanext.govopen.token_key_file") or "")
    try:
        key, key_id = _signing_key(file, Path(file).stat().st_mtime)
    except (OSError, ValueError) as problem:
        raise ServiceAway(f"token key: {problem}") from problem
    now = int(time.time())
    issuer = str(tk.config["ckan.site_url"]).rstrip("/")
    bound = {"iss": issuer, "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME_S, "jti": uuid.uuid4().hex}
    return jwt.encode({**claims, **bound}, key, algorithm="EdDSA", headers={"kid": key_id})


def request_id() -> str:
    """The id of the page's request, one for all calls it makes."""
    if not has_request_context():
        return f"ckan-{uuid.uuid4().hex}"
    known: str | None = getattr(g, "govopen_request_id", None)
    if known is None:
        given = tk.request.headers.get("X-Request-ID", "")
        known = given if REQUEST_ID.fullmatch(given) else f"ckan-{uuid.uuid4().hex}"
        g.govopen_request_id = known
    return known


def segment(value: object) -> str:
    """A text made safe as one part of a path."""
    return quote(str(value), safe="")


@lru_cache(maxsize=1)
def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    adapter = requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=64)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


class Gateway:
    """Calls on behalf of one person, or of nobody."""

    def __init__(self, claims: Mapping[str, Any] | None) -> None:
        self._claims = claims

    @classmethod
    def for_user(cls, name: str | None) -> Gateway:
        """Calls as this user; an unknown, deleted or missing user is nobody."""
        user = identity.find_user(name)
        return cls(identity.claims_of(user) if user else None)

    @classmethod
    def for_system(cls, organisation_id: str | None = None) -> Gateway:
        """Calls of CKAN itself, for work that nobody is waiting for; as a publisher of one department if named."""
        seat = {"id": organisation_id, "name": SYSTEM, "title": SYSTEM, "capacity": "editor"}
        return cls({
            "sub": SYSTEM, "name": SYSTEM, "display": "CKAN", "sysadmin": False,
            "orgs": [seat] if organisation_id else [],
        })

    def publishing(self, resource_id: str, organisation_id: str) -> Gateway:
        """The same caller, with CKAN's word for whose the resource is; without it the service takes no new one."""
        vouched = {"resource": resource_id, "organisation": organisation_id}
        return Gateway({**self._claims, "pub": vouched} if self._claims is not None else None)

    def get(self, path: str, **params: Any) -> Any:
        return self._call("GET", path, params=_plain(params))

    def post(self, path: str, json: Any = None, **kwargs: Any) -> Any:
        return self._call("POST", path, json=json if json is not None else {}, **kwargs)

    def put(self, path: str, json: Any = None, **kwargs: Any) -> Any:
        """Send a document; ``data=`` with ``content_type=`` sends bytes or an open file instead."""
        if "data" in kwargs:
            return self._call("PUT", path, **kwargs)
        return self._call("PUT", path, json=json if json is not None else {}, **kwargs)

    def delete(self, path: str, **params: Any) -> Any:
        return self._call("DELETE", path, params=_plain(params))

    def text(self, path: str, **params: Any) -> str:
        """An answer that is not JSON, as text."""
        return self._send("GET", path, params=_plain(params)).text

    def raw(self, path: str, **params: Any) -> requests.Response:
        """An answer to be handed on as it is (a PDF, say)."""
        return self._send("GET", path, params=_plain(params))

    def _call(self, method: str, path: str, **kwargs: Any) -> Any:
        answer = self._send(method, path, **kwargs)
        if answer.status_code == 204 or not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as problem:
            raise ServiceAway(f"{method} {path}: not JSON") from problem

    def _headers(self, content_type: str | None, idempotency_key: str | None) -> dict[str, str]:
        headers = {
            "Accept": "application/json", "Accept-Language": text.accept_language(),
            "X-Request-ID": request_id(),
        }
        if self._claims is not None:
            headers["Authorization"] = f"Bearer {sign(self._claims)}"
        if content_type:
            headers["Content-Type"] = content_type
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        return headers

    def _send(
        self, method: str, path: str, *, content_type: str | None = None, idempotency_key: str | None = None,
        timeout_s: float | None = None, **kwargs: Any,
    ) -> requests.Response:
        if not path.startswith("/") or UNSAFE_PATH.search(path):
            raise ServiceRefusal({"status": 404, "code": "not_found", "detail": tk._("There is no such page.")})
        address = str(tk.config["ckanext.govopen.service_url"]).rstrip("/") + path
        wait = timeout_s or float(tk.config["ckanext.govopen.service_timeout"])
        headers = self._headers(content_type, idempotency_key)
        try:
            answer = _session().request(
                method, address, headers=headers, timeout=(CONNECT_TIMEOUT_S, wait), allow_redirects=False, **kwargs,
            )
        except (requests.RequestException, OSError) as problem:
            raise ServiceAway(f"{method} {path}: {type(problem).__name__}") from problem
        if answer.status_code >= 300:
            raise _refusal(answer)
        return answer


def _refusal(answer: requests.Response) -> ServiceProblem:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or "code" not in body:
        return ServiceAway(f"HTTP {answer.status_code}")
    return ServiceRefusal(body, answer.status_code)


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: str(value).lower() if isinstance(value, bool) else value
            for key, value in params.items() if value is not None}
