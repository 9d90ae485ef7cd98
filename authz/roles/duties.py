"""Separation of duties: enforced where a decision is taken, not advised."""

from __future__ import annotations

from collections.abc import Mapping

from authz.foundation.errors import Forbidden, Reason
from authz.foundation.identity import SYSTEM, Identity, Role

THREE_ADMINISTRATIONS: frozenset[Role] = frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDITOR})
"""三员: system, security and audit administration are three people (GB/T 22239-2019 level 3)."""

OTHER_EXCLUSIONS: tuple[tuple[Role, Role], ...] = (
    (Role.EXCHANGE_PRICER, Role.EXCHANGE_APPROVER),
)
"""Pairs that one person may not hold besides: who prices does not approve the price."""

SENTENCES: Mapping[str, tuple[str, str]] = {
    "self_decision": ("不能审核自己提交的事项。", "Nobody decides what they submitted themselves."),
    "self_approval": ("不能审批自己提出的内容。", "Nobody approves what they proposed themselves."),
    "pricer_approves": ("定价人不能审批自己拟定的价格。", "Whoever proposed the price may not approve it."),
    "pricer_settles": ("定价人不能办理结算。", "Whoever priced may not run the settlement."),
    "settler_approves": ("结算人不能审批自己办理的结算。", "Whoever ran the settlement may not approve it."),
    "reviewer_applies": ("审核人不能与申请人为同一人。", "The reviewer may not be the applicant."),
}


class SelfDecision(Forbidden):
    """One person stands on both sides of a decision."""

    code = "separation_of_duties"
    zh = "职责分离：{sentence_zh}"
    en = "Separation of duties: {sentence_en}"
    next_zh = "请由另一位有权限的同事办理。"
    next_en = "Let a colleague who holds the role do it."


def separate(actor: Identity | str, submitter: Identity | str | None, code: str = "self_decision") -> None:
    """Raise SelfDecision (403, reason ``code``) when actor and submitter are the same person.

    Both may be an Identity or a user id. The system's own steps (clocks) are no person and pass.
    """
    acting = actor.user_id if isinstance(actor, Identity) else actor
    other = submitter.user_id if isinstance(submitter, Identity) else submitter
    if acting == other and acting != SYSTEM.user_id:
        zh, en = SENTENCES.get(code, SENTENCES["self_decision"])
        raise SelfDecision(reasons=[Reason(code, zh, en)], sentence_zh=zh, sentence_en=en)


def conflicting(held: frozenset[Role], wanted: Role) -> Role | None:
    """The role held that excludes the one wanted, or None."""
    if wanted in THREE_ADMINISTRATIONS:
        for role in sorted((held & THREE_ADMINISTRATIONS) - {wanted}):
            return role
    for one, other in OTHER_EXCLUSIONS:
        if (wanted is one and other in held) or (wanted is other and one in held):
            return other if wanted is one else one
    return None
