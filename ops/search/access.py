"""Who may ask: programs on this machine that know the stack's password, and no browser.

The index holds every private dataset, and any account of the machine can open a connection to a loopback port, so the
port alone keeps nobody out.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import os
import secrets
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from ops.search.errors import SearchFault

Scope = MutableMapping[str, Any]

USER = "ckan"
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via", b"origin", b"sec-fetch-mode", b"sec-fetch-site")
"""Headers that a program asking for itself does not send."""
LEAST_CHARACTERS = 16


def header(scope: Scope, name: bytes) -> str:
    """The first value of a header, empty when there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def only_from_here(scope: Scope) -> None:
    """403 for callers elsewhere, forwarded requests and browsers."""
    client = scope.get("client")
    try:
        local = client is None or ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        local = False
    if not local:
        raise SearchFault("Only callers on this machine are answered", 403)
    if any(header(scope, name) for name in FORWARDED):
        raise SearchFault("Browsers and forwarded requests are not answered", 403)


def authorization(password: str) -> bytes:
    """The header that a caller sends."""
    return b"Basic " + base64.b64encode(f"{USER}:{password}".encode())


def only_with(expected: bytes, scope: Scope) -> None:
    """401 unless exactly this header was sent; takes as long for every wrong one."""
    given = [value for key, value in scope["headers"] if key == b"authorization"]
    if len(given) != 1 or not hmac.compare_digest(given[0], expected):
        raise SearchFault("The user name and password of this service are needed (solr_user, solr_password)", 401)


def read_password(file: Path) -> str:
    """The password in a file, made (for its owner's eyes only) when there is no such file."""
    if not file.exists():
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as fresh:
            fresh.write(secrets.token_hex(20) + "\n")
    password = file.read_text(encoding="ascii").strip()
    if len(password) < LEAST_CHARACTERS:
        raise SearchFault(f"{file} holds less than {LEAST_CHARACTERS} characters")
    return password
