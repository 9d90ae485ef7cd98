"""``POST /access/v1/evaluation`` before all other routes: the same answer, from facts remembered but not trusted.

A question about one grant and one data object is answered after one statement, which reads the asker's roles and a
stamp of the object and of the grant with its party. Facts that were read under another stamp are read anew, so that a
revocation, a change of the catalogue and the end of a role hold from the next question. All other questions are
answered as the route of ``authz`` answers them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

import licensing
from authz import DataObject, GrantFacts, NotSignedIn, Role, Runtime, call_of, objects
from authz.authzen.data import DataDomain
from authz.authzen.evaluate import Evaluator
from authz.authzen.request import EvaluationRequest
from authz.routes.authzen import body_of
from licensing import grants
from ops.delivery.parts import delivery_of

T = TypeVar("T")
REMEMBERED_MAX = 20_000
EXTRA = "remembered_facts"
STAMPS = (
    "SELECT ARRAY(SELECT role || ' ' || organisation_id FROM authz.role_assignment"
    " WHERE user_id = $1 AND ended_at IS NULL) AS roles,"
    f" {objects.STAMP.format(resource_id='$2')} AS object, {grants.GRANT_STAMP.format(grant_id='$3')} AS grant"
)


class Remembered:
    """Objects and grants as they were read, each under its stamp; for one process."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[str, DataObject]] = {}
        self._grants: dict[str, tuple[str, GrantFacts]] = {}

    async def facts(
        self, runtime: Runtime, wanted: EvaluationRequest, object_stamp: str | None, grant_stamp: str | None
    ) -> tuple[DataObject | None, GrantFacts | None]:
        """The object and the grant, read when they are not known under these stamps. The stamps are the older."""
        data, grant = self._objects.get(wanted.resource_id), self._grants.get(wanted.subject_id)
        known = (data[0] if data else None, grant[0] if grant else None)
        if known != (object_stamp, grant_stamp):
            async with runtime.snapshot() as connection:
                found = await objects.get(connection, wanted.resource_id)
                facts = await grants.facts_of(connection, wanted.subject_id)
            data = _keep(self._objects, wanted.resource_id, object_stamp, found)
            grant = _keep(self._grants, wanted.subject_id, grant_stamp, facts)
        return data[1] if data else None, grant[1] if grant else None


def _keep(kept: dict[str, tuple[str, T]], name: str, stamp: str | None, found: T | None) -> tuple[str, T] | None:
    kept.pop(name, None)
    if stamp is None or found is None:
        return None
    if len(kept) >= REMEMBERED_MAX:
        kept.clear()
    kept[name] = (stamp, found)
    return kept[name]


async def answer(runtime: Runtime, request: Request) -> dict[str, Any]:
    """The answer to one evaluation; raises as the route of ``authz`` does, in the same order."""
    authorization = request.headers.get("authorization")
    if not authorization:
        raise NotSignedIn
    identity = await runtime.identities.identify(authorization)
    wanted = EvaluationRequest.read(await body_of(request))
    lanes = (await delivery_of(runtime)).lanes
    of_grant = (wanted.subject_type, wanted.resource_type) == ("grant", "data_object")
    of_grant = of_grant and runtime.extras.get("grant_facts") is licensing.grant_facts
    names = (wanted.resource_id, wanted.subject_id) if of_grant else ("", "")
    row = await lanes.fetchrow(STAMPS, (identity.user_id, *names))
    call = call_of(request, identity.with_roles(roles_of(row["roles"])))
    if not of_grant:
        async with runtime.snapshot() as connection:
            return await Evaluator(runtime, connection, call).answer(wanted)
    remembered = runtime.extras.setdefault(EXTRA, Remembered())
    data, grant = await remembered.facts(runtime, wanted, row["object"], row["grant"])
    async with lanes.held() as connection:
        evaluator = Evaluator(runtime, connection, call)
        known = DataDomain(evaluator.asking, {wanted.resource_id: data}, {wanted.subject_id: grant})
        evaluator.use("data_object", known)
        return await evaluator.answer(wanted)


def roles_of(texts: Iterable[str]) -> frozenset[tuple[Role, str]]:
    """Roles and where they are held, from ``role organisation``."""
    return frozenset((Role(role), where) for role, _, where in (text.partition(" ") for text in texts))


class EvaluationRoute(BaseRoute):
    """The route; it stands in the application's own list, so that refusals and faults are answered as everywhere."""

    PATH = "/access/v1/evaluation"

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == self.PATH:
            return Match.FULL, {}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = orjson.dumps(await answer(scope["app"].state.runtime, Request(scope, receive)))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
