"""Data objects: who may read or aggregate which data, under which grant, decided by the policies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, cast

import asyncpg

from authz import objects
from authz.authzen.domain import UNKNOWN_ACTION, UNKNOWN_RESOURCE, UNKNOWN_SUBJECT, Asking, MayNotAsk, no
from authz.authzen.request import ANY, EvaluationRequest
from authz.decision import Decision, DecisionRequest, Effect
from authz.foundation.identity import Identity
from authz.model import DataObject, GrantFacts, GrantState
from authz.pdp.decide import decide_async
from authz.roles import may

GrantSource = Callable[[asyncpg.Connection, str], Awaitable[GrantFacts | None]]
"""``runtime.extras["grant_facts"]``: facts of a grant by its id, None when there is no such grant."""
KeySource = Callable[[asyncpg.Connection, str, datetime], Awaitable[str | None]]
"""``runtime.extras["grant_of_key"]``: the grant's id by the id of a key that is live then (not the key itself)."""
QuotaSource = Callable[[asyncpg.Connection, GrantFacts, datetime], Awaitable[bool]]
"""``runtime.extras["quota_exhausted"]``: whether a bounded grant's quota is used up at that time."""
GrantsSource = Callable[..., Awaitable[Sequence[GrantFacts]]]
"""``runtime.extras["grants_found"]``: ``(tx, *, resource_id, party_ids, grant_ids, after, limit)``, ordered by id."""
KeysSource = Callable[..., Awaitable[Sequence[str]]]
"""``runtime.extras["keys_found"]``: ``(tx, *, resource_id, party_ids, after, limit)``, ids of keys in order."""

SUBJECT_TYPES = ("user", "grant", "key")
DATA_ACTIONS = ("aggregate", "read")
OTHER_PARTY = ("grant_other_party", "该授权属于其他单位。", "The grant belongs to another party.")
GRANTS_TRIED = 20
"""Live grants of one party on one resource that are tried when a question names none."""


class DataDomain:
    """Resources of the type ``data_object``; subjects are users, grants and keys."""

    def __init__(
        self, asking: Asking, data: Mapping[str, DataObject | None] | None = None,
        grants: Mapping[str, GrantFacts | None] | None = None,
    ) -> None:
        """``data`` and ``grants`` are facts that are known already, None for what there is not."""
        self.asking = asking
        self._objects = dict(data or {})
        self._grants = dict(grants or {})

    async def fetch(self, wanted: Sequence[EvaluationRequest]) -> None:
        """Fetch at once the grants that many questions are about."""
        source = cast("GrantsSource | None", self.asking.runtime.extras.get("grants_found"))
        ids = {one.subject_id for one in wanted if one.subject_type == "grant"} - self._grants.keys()
        if source is None or len(ids) < 2:
            return
        for one in await source(self.asking.connection, grant_ids=ids, limit=len(ids)):
            self._grants[one.id] = one

    async def decide(self, wanted: EvaluationRequest) -> Decision:
        data = await self._object(wanted.resource_id)
        grants = await self.grants_of(wanted)
        grant = grants[0] if grants else None
        if not self.asking.evaluates:
            self._may_ask(wanted, grant, data)
        if wanted.subject_type not in SUBJECT_TYPES or (wanted.subject_type != "user" and grant is None):
            return no(*UNKNOWN_SUBJECT)
        if data is None:
            return no(*UNKNOWN_RESOURCE)
        if wanted.action not in DATA_ACTIONS:
            return no(*UNKNOWN_ACTION)
        if wanted.subject_type == "user" and grant is not None:
            person = await self.asking.person(wanted)
            if grant.party_id not in person.organisations():
                return no(*OTHER_PARTY)
        first: Decision | None = None
        tried: list[GrantFacts | None] = [*grants] or [None]
        for one in tried:
            decision = await decide_async(await self.request(wanted, data, one))
            if decision.effect is Effect.PERMIT:
                return decision
            first = first or decision
        assert first is not None  # noqa: S101 - what is tried is never empty
        return first

    async def request(
        self, wanted: EvaluationRequest, data: DataObject, grant: GrantFacts | None
    ) -> DecisionRequest:
        """The question as the decision point is asked it."""
        source = cast("QuotaSource | None", self.asking.runtime.extras.get("quota_exhausted"))
        at, exhausted = self._at(wanted), False
        if grant is not None and grant.quota.bounded and source is not None:
            exhausted = await source(self.asking.connection, grant, at)
        return DecisionRequest(
            subject_kind=cast(Literal["user", "grant", "key"], wanted.subject_type), subject_id=wanted.subject_id,
            object=data, now=at, action=wanted.action, grant=grant, fields=wanted.fields, purpose=wanted.purpose,
            purpose_class=wanted.purpose_class, scenario=wanted.scenario, channel=wanted.channel,
            quota_exhausted=exhausted, address=wanted.address,
        )

    def _at(self, wanted: EvaluationRequest) -> datetime:
        """Now; who may ask about anyone may ask about another time."""
        return wanted.time if wanted.time is not None and self.asking.evaluates else self.asking.call.now

    async def _object(self, resource_id: str) -> DataObject | None:
        if resource_id not in self._objects:
            self._objects[resource_id] = await objects.get(self.asking.connection, resource_id)
        return self._objects[resource_id]

    async def grants_of(self, wanted: EvaluationRequest) -> list[GrantFacts]:
        """The grants that the question is about: the one named, or those of the person's parties on the resource."""
        grant_id = await self._named(wanted)
        if grant_id is not None:
            if grant_id not in self._grants:
                source = cast("GrantSource | None", self.asking.runtime.extras.get("grant_facts"))
                self._grants[grant_id] = await source(self.asking.connection, grant_id) if source else None
            named = self._grants[grant_id]
            return [named] if named is not None else []
        if wanted.subject_type != "user":
            return []
        seats = (await self.asking.person(wanted)).organisations()
        return await self._found(wanted.resource_id, seats, GRANTS_TRIED) if seats else []

    async def _named(self, wanted: EvaluationRequest) -> str | None:
        if wanted.subject_type == "grant":
            return wanted.subject_id
        if wanted.subject_type == "key":
            keys = cast("KeySource | None", self.asking.runtime.extras.get("grant_of_key"))
            return await keys(self.asking.connection, wanted.subject_id, self._at(wanted)) if keys else None
        named = wanted.subject_properties.get("grant_id", wanted.approval)
        return named if isinstance(named, str) and "\0" not in named else None

    async def _found(
        self, resource_id: str | None, parties: frozenset[str] | None, limit: int, after: str = ""
    ) -> list[GrantFacts]:
        """Live grants first; an ended one is still told of when there is no other."""
        source = cast("GrantsSource | None", self.asking.runtime.extras.get("grants_found"))
        if source is None:
            return []
        found = await source(
            self.asking.connection, resource_id=resource_id, party_ids=parties, after=after, limit=limit
        )
        return sorted(found, key=lambda one: one.state != GrantState.ACTIVE)

    # -- who may ask ---------------------------------------------------------------------------------------------

    def _owns(self, identity: Identity, data: DataObject | None) -> bool:
        return data is not None and may(identity, "object:publish", data.organisation_id).effect is Effect.PERMIT

    def _may_ask(self, wanted: EvaluationRequest, grant: GrantFacts | None, data: DataObject | None) -> None:
        """Raise MayNotAsk unless the question is about the caller, their party's grant or their department's data."""
        identity = self.asking.call.identity
        if self._owns(identity, data):
            return
        if grant is not None and grant.party_id not in identity.organisations():
            raise MayNotAsk
        about_self = self.asking.is_caller(wanted)
        if wanted.subject_type == "user" or grant is None:
            borrowed = grant is None and wanted.subject_properties.get("grant_id") is not None
            if not about_self or borrowed:
                raise MayNotAsk

    # -- candidates ----------------------------------------------------------------------------------------------

    async def subjects(self, wanted: EvaluationRequest, after: str, limit: int) -> Sequence[str]:
        data = await self._object(wanted.resource_id)
        if data is None:
            return ()
        identity = self.asking.call.identity
        everyone = self.asking.evaluates or self._owns(identity, data)
        parties = None if everyone else identity.organisations()
        if wanted.subject_type in ("grant", "key"):
            # an open object is open to every grant and key there is, whatever they were made for
            of = wanted.resource_id if data.restricted else None
            name = "grants_found" if wanted.subject_type == "grant" else "keys_found"
            source = cast("Callable[..., Awaitable[Sequence[Any]]] | None", self.asking.runtime.extras.get(name))
            if source is None:
                return ()
            found = await source(self.asking.connection, resource_id=of, party_ids=parties, after=after, limit=limit)
            return [one.id if isinstance(one, GrantFacts) else str(one) for one in found]
        if wanted.subject_type != "user":
            return ()
        return await self._people(data, everyone, after, limit)

    async def _people(self, data: DataObject, everyone: bool, after: str, limit: int) -> list[str]:
        """People with a role in a party that has a grant on the data; for open data all who have any role."""
        identity = self.asking.call.identity
        if not everyone:
            return [identity.user_id] if identity.user_id > after else []
        holders: list[str] | None = None
        if data.restricted:
            grants = await self._found(data.resource_id, None, 10_000)
            holders = sorted({one.party_id for one in grants})
        rows = await self.asking.connection.fetch(
            "SELECT DISTINCT user_id FROM authz.role_assignment WHERE ended_at IS NULL AND user_id > $1"
            " AND ($2::text[] IS NULL OR organisation_id = ANY($2)) ORDER BY user_id LIMIT $3",
            after, holders, limit,
        )
        return [row["user_id"] for row in rows]

    async def resources(self, wanted: EvaluationRequest, after: str, limit: int) -> Sequence[str]:
        """Open data, and what the subject's grants are on."""
        if wanted.subject_type not in SUBJECT_TYPES:
            return ()
        named = await self._named(wanted)
        if named is not None:
            reached = {one.resource_id for one in await self.grants_of(wanted)}
            if not reached:
                return ()
        elif wanted.subject_type == "user":
            seats = (await self.asking.person(wanted)).organisations()
            reached = {one.resource_id for one in await self._found(None, seats, 10_000)} if seats else set()
        else:
            return ()
        rows = await self.asking.connection.fetch(
            "SELECT resource_id FROM authz.data_object WHERE deleted_at IS NULL AND resource_id > $1"
            " AND (document->>'open_attribute' = 'unconditional' OR resource_id = ANY($2))"
            " ORDER BY resource_id LIMIT $3",
            after, sorted(reached - {ANY}), limit,
        )
        return [row["resource_id"] for row in rows]

    async def actions(self, wanted: EvaluationRequest) -> Sequence[str]:
        return DATA_ACTIONS
