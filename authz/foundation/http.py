"""What routes share: the caller of a request, strict bodies, idempotent creation."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any

import asyncpg
import orjson
from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import PydanticCustomError

from authz.foundation.errors import IdempotencyMismatch, NotSignedIn
from authz.foundation.identity import Call, Identity, Role
from authz.foundation.runtime import Runtime

DEPTH_MAX = 64
"""How deep a body may nest; what is deeper would exhaust the stack of whoever reads it."""


def storable(value: Any, depth: int = 0) -> bool:
    """Whether a decoded JSON value can be stored: no U+0000, no half of a surrogate pair, no endless nesting."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    if depth > DEPTH_MAX:
        return False
    if isinstance(value, dict):
        return all(storable(key) and storable(item, depth + 1) for key, item in value.items())
    if isinstance(value, list):
        return all(storable(item, depth + 1) for item in value)
    return True


class Body(BaseModel):
    """A request body: unknown fields are faults, texts are trimmed and can be stored."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        if not storable(value):
            raise PydanticCustomError("control_characters", "a text holds a character that cannot be stored")
        return value


def current_runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


async def assigned_roles(
    tx: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy, user_id: str
) -> frozenset[tuple[Role, str]]:
    """Roles given to a person by assignment (``authz.role_assignment``); ends of assignments are honored."""
    rows = await tx.fetch(
        "SELECT role, organisation_id FROM authz.role_assignment WHERE user_id = $1 AND ended_at IS NULL",
        user_id,
    )
    return frozenset((Role(row["role"]), row["organisation_id"]) for row in rows)


async def optional_call(request: Request) -> Call | None:
    """The call when someone is signed in, None when no Authorization header came; a bad token is refused."""
    runtime = current_runtime(request)
    authorization = request.headers.get("authorization")
    if not authorization:
        return None
    identity = await runtime.identities.identify(authorization)
    async with runtime.pool.acquire() as connection:  # one statement is a snapshot by itself
        identity = identity.with_roles(await assigned_roles(connection, identity.user_id))
    return call_of(request, identity)


def call_of(request: Request, identity: Identity) -> Call:
    return Call(
        identity=identity,
        now=current_runtime(request).clock.now(),
        request_id=request.state.request_id,
        idempotency_key=request.headers.get("idempotency-key"),
    )


async def current_call(call: Annotated[Call | None, Depends(optional_call)]) -> Call:
    if call is None:
        raise NotSignedIn
    return call


RuntimeDep = Annotated[Runtime, Depends(current_runtime)]
CallDep = Annotated[Call, Depends(current_call)]
OptionalCallDep = Annotated[Call | None, Depends(optional_call)]

IDEMPOTENCY_KEPT = timedelta(days=7)


async def once(
    tx: asyncpg.Connection,
    call: Call,
    operation: str,
    content: Any,
    produce: Callable[[], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:
    """Run ``produce`` at most once per Idempotency-Key, caller and operation; replays give the first answer.

    Raises IdempotencyMismatch when the key comes again with other content. Without a key it just runs.
    """
    if not call.idempotency_key:
        return await produce()
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()
    key = hashlib.sha256(
        f"{call.identity.user_id}\0{operation}\0{call.idempotency_key}".encode()
    ).hexdigest()
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key)
    row = await tx.fetchrow("SELECT digest, answer FROM authz.idempotency WHERE key = $1", key)
    if row is not None:
        if row["digest"] != digest:
            raise IdempotencyMismatch
        answer: dict[str, Any] = row["answer"]
        return answer
    made = await produce()
    plain = orjson.loads(orjson.dumps(made, default=str))
    await tx.execute(
        "INSERT INTO authz.idempotency (key, digest, answer, created_at) VALUES ($1, $2, $3, $4)",
        key,
        digest,
        plain,
        call.now,
    )
    return made
