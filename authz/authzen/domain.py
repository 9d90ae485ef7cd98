"""What a kind of resource must be able to say, so that AuthZEN's questions about it can be answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import asyncpg

from authz.authzen.request import EvaluationRequest
from authz.decision import Decision, Effect
from authz.foundation.errors import Forbidden, Reason
from authz.foundation.http import assigned_roles
from authz.foundation.identity import Call, Identity
from authz.foundation.runtime import Runtime
from authz.pdp.bundle import policy_version

EXTRA = "authzen_domains"
"""``runtime.extras["authzen_domains"]``: makers of further domains by resource type."""


class MayNotAsk(Forbidden):
    """The caller asks about somebody else."""

    code = "may_not_ask"
    zh = "您只能查询本人、本单位授权或本部门数据的判定结果。"
    en = "You may ask about yourself, a grant of your party or data of your department."
    next_zh = "如确需查询，请联系安全管理员。"
    next_en = "If you need to, ask the security administrator."


def no(code: str, zh: str, en: str) -> Decision:
    """A denial that no policy was asked for."""
    return Decision(Effect.DENY, policy_version(), (Reason(code, zh, en),))


UNKNOWN_SUBJECT = (
    "subject_unknown", "没有该主体，或其类型不受支持。", "There is no such subject, or its type is not known.",
)
UNKNOWN_RESOURCE = (
    "object_unknown", "没有该数据，或资源类型不受支持。", "There is no such data, or its type is not known.",
)
UNKNOWN_ACTION = ("action_unknown", "没有该操作。", "There is no such action.")


@dataclass(frozen=True)
class Asking:
    """Who asks, through what; ``evaluates`` is whether they may ask about anyone."""

    runtime: Runtime
    connection: asyncpg.Connection
    call: Call
    evaluates: bool

    def is_caller(self, wanted: EvaluationRequest) -> bool:
        return wanted.subject_type == "user" and wanted.subject_id == self.call.identity.user_id

    async def person(self, wanted: EvaluationRequest) -> Identity:
        """The person asked about. Of others only assigned roles are known, not their seats in departments."""
        if self.is_caller(wanted):
            return self.call.identity
        roles = await assigned_roles(self.connection, wanted.subject_id)
        return Identity(wanted.subject_id, wanted.subject_id, wanted.subject_id, roles=roles)


class Domain(Protocol):
    """One type of resource. Candidates are ids in order, those after ``after``; each is then decided on its own."""

    async def fetch(self, wanted: Sequence[EvaluationRequest]) -> None:
        """Fetch at once what many questions need; each is then decided by itself."""

    async def decide(self, wanted: EvaluationRequest) -> Decision:
        """The decision; raises MayNotAsk (403) when the caller may not ask this."""

    async def subjects(self, wanted: EvaluationRequest, after: str, limit: int) -> Sequence[str]:
        """Subjects of ``wanted.subject_type`` that might do the action to the resource."""

    async def resources(self, wanted: EvaluationRequest, after: str, limit: int) -> Sequence[str]:
        """Resources that the subject might do the action to."""

    async def actions(self, wanted: EvaluationRequest) -> Sequence[str]:
        """Every action there is for this type of resource, in order."""


DomainMaker = Callable[[Asking], Domain]


def further(runtime: Runtime) -> Mapping[str, DomainMaker]:
    """The domains that the running service added."""
    return cast("Mapping[str, DomainMaker]", runtime.extras.get(EXTRA, {}))
