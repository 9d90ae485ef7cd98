"""Workflow matters of an organisation: who may do ``<scope>:<verb>`` there, by the roles they hold."""

from __future__ import annotations

from collections.abc import Sequence

from authz.authzen.domain import UNKNOWN_SUBJECT, Asking, MayNotAsk, no
from authz.authzen.request import EvaluationRequest
from authz.decision import Decision
from authz.roles import may
from authz.roles.workflow import current_index


class WorkDomain:
    """Resources of the type ``organisation``; subjects are users."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking

    async def fetch(self, wanted: Sequence[EvaluationRequest]) -> None:
        """Nothing is fetched: roles came with the caller."""

    async def decide(self, wanted: EvaluationRequest) -> Decision:
        if not self.asking.is_caller(wanted) and not self.asking.evaluates:
            raise MayNotAsk
        if wanted.subject_type != "user":
            return no(*UNKNOWN_SUBJECT)
        return may(await self.asking.person(wanted), wanted.action, wanted.resource_id)

    async def subjects(self, wanted: EvaluationRequest, after: str, limit: int) -> Sequence[str]:
        """People with an assigned role. Seats in CKAN's organisations are CKAN's to list."""
        if wanted.subject_type != "user":
            return ()
        rows = await self.asking.connection.fetch(
            "SELECT DISTINCT user_id FROM authz.role_assignment WHERE ended_at IS NULL AND user_id > $1"
            " ORDER BY user_id LIMIT $2",
            after, limit,
        )
        known = {row["user_id"] for row in rows}
        me = self.asking.call.identity.user_id
        if me > after and (len(rows) < limit or me <= rows[-1]["user_id"]):
            known.add(me)
        return sorted(known)[:limit]

    async def resources(self, wanted: EvaluationRequest, after: str, limit: int) -> Sequence[str]:
        """Organisations in which the person has a seat."""
        seats = (await self.asking.person(wanted)).organisations()
        return sorted(seat for seat in seats if seat > after)[:limit]

    async def actions(self, wanted: EvaluationRequest) -> Sequence[str]:
        return sorted(current_index().actions)
