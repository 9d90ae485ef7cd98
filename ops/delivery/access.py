"""Authenticate and decide: from a request to the obligations under which rows may leave."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg
from starlette.requests import Request
from starlette.types import Scope

from authz import (
    DataObject,
    Decision,
    DecisionRequest,
    Grade,
    GrantFacts,
    NotFound,
    Obligations,
    Runtime,
    decide_async,
    objects,
)
from licensing.errors import KeyInvalid
from ops.delivery.decisions import DecisionLog
from ops.delivery.grants import Held, grant_of_key
from ops.delivery.query import DataQuery
from ops.delivery.refusals import DataWithdrawn, KeyRequired, KeyScopeMissing, KeyUnknown

KEY_PREFIX = "gok_"
KEY_FOUND = "govopen.key"
"""Where a request keeps the key that was found in it."""
CHANNEL = "api"


@dataclass(frozen=True)
class Access:
    """A permit: what, under which grant (None for open data), with which duties."""

    data: DataObject
    grant: GrantFacts | None
    obligations: Obligations
    key_id: str | None = None


def key_of(request: Request) -> str | None:
    """The access key of the Authorization header; other credentials are none for data."""
    scope = request.scope
    if KEY_FOUND not in scope:
        scope[KEY_FOUND] = _key_in(header_of(scope, b"authorization") or "")
    key: str | None = scope[KEY_FOUND]
    return key


def _key_in(credentials: str) -> str | None:
    scheme, _, rest = credentials.partition(" ")
    key = rest.strip()
    if scheme.lower() == "bearer" and key.startswith(KEY_PREFIX) and len(key) <= 200 and key.isascii():
        return key
    return None


def header_of(scope: Scope, name: bytes) -> str | None:
    """The first header of that name in lower case, or None."""
    for known, value in scope["headers"]:
        if known == name:
            text: str = value.decode("latin-1")
            return text
    return None


def address_of(request: Request) -> str | None:
    """The caller's IP address, as the server (behind the front) reports it."""
    return request.client.host if request.client else None


def needs_grant(data: DataObject) -> bool:
    """Whether rows leave under a grant only; the policy decides, this says whether to look at the key."""
    return data.restricted or data.grade in (Grade.IMPORTANT, Grade.CORE)


async def find_object(tx: asyncpg.Connection, resource_id: str) -> DataObject:
    """The object; raises DataWithdrawn when it once was there, NotFound when it never was."""
    data = await objects.get(tx, resource_id)
    if data is None:
        if await objects.history(tx, resource_id):
            raise DataWithdrawn
        raise NotFound
    return data


async def authenticate(
    runtime: Runtime, tx: asyncpg.Connection, data: DataObject, key: str | None
) -> Held | None:
    """The grant behind the key, None without a key or for data that needs none. Raises KeyUnknown."""
    if key is None or not needs_grant(data):
        return None
    try:
        return await grant_of_key(runtime, tx, key)
    except KeyInvalid as fault:
        raise KeyUnknown(site=runtime.settings.site_url, resource_id=data.resource_id) from fault


def require_scope(held: Held | None, scope: str) -> None:
    """Raise KeyScopeMissing when the key was made for other uses than this one."""
    if held is not None and scope not in held.key.scopes:
        raise KeyScopeMissing(scope=scope, scopes=", ".join(held.key.scopes))


async def decided(
    runtime: Runtime, request: Request, data: DataObject, grant: GrantFacts | None, query: DataQuery
) -> tuple[DecisionRequest, Decision]:
    """The policy's answer, whatever it is; nothing is logged."""
    asked = question(runtime, request, data, grant, query)
    return asked, await decide_async(asked)


async def decide_access(
    runtime: Runtime, decisions: DecisionLog, request: Request, data: DataObject, grant: GrantFacts | None,
    query: DataQuery,
) -> Access:
    """Ask the policy; raises Denied with all reasons, or KeyRequired when a key is all that is missing."""
    asked, decision = await decided(runtime, request, data, grant, query)
    decisions.add(asked, decision, request.state.request_id)
    require(runtime, data, grant, decision)
    return Access(data, grant, decision.obligations)


def question(
    runtime: Runtime, request: Request, data: DataObject, grant: GrantFacts | None, query: DataQuery
) -> DecisionRequest:
    return DecisionRequest(
        subject_kind="key" if grant else "public", subject_id=grant.party_id if grant else "public", object=data,
        now=runtime.clock.now(), grant=grant, fields=query.columns, purpose=query.purpose, channel=CHANNEL,
        address=address_of(request),
    )


def require(runtime: Runtime, data: DataObject, grant: GrantFacts | None, decision: Decision) -> None:
    if not decision.permitted and grant is None and decision.codes[0] == "grant_required":
        raise KeyRequired(
            reasons=decision.reasons, site=runtime.settings.site_url, resource_id=data.resource_id
        )
    decision.require()
