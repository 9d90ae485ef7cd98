"""``may`` and ``require``: the answers of the role index to one person's question."""

from __future__ import annotations

from functools import lru_cache

from authz.decision import Decision, Effect
from authz.foundation.errors import Forbidden, Reason
from authz.foundation.identity import LABELS_ZH, SYSTEM, Identity, Role
from authz.pdp.bundle import in_force, policy_version
from authz.roles.index import RoleIndex, RolePolicy


class ActionNotPermitted(Forbidden):
    """The roles held do not permit the action in that organisation."""

    code = "action_not_permitted"
    zh = "您的角色不能执行“{action}”。"
    en = "Your roles do not permit '{action}'."
    next_zh = "如确需办理，请联系安全管理员分配以下角色之一：{roles_zh}。"
    next_en = "If you need to, ask the security administrator for one of these roles: {roles_en}."


@lru_cache(maxsize=4)
def _compiled(text: str) -> RoleIndex:
    return RoleIndex.compile(RolePolicy.parse(text))


def current_index() -> RoleIndex:
    """The index of the policy version in force; compiled once per version, never changed."""
    return _compiled(in_force().files["roles.csv"])


def may(identity: Identity, action: str, organisation_id: str | None) -> Decision:
    """Whether the person may do ``<scope>:<verb>`` to matters of the organisation.

    ``organisation_id`` None is a matter of no organisation: only roles that count everywhere permit it. An
    action that no policy line names is denied. CKAN's sysadmin flag permits nothing here. The system itself, which
    acts for clocks and scheduled work, is permitted every action that exists.
    """
    index = current_index()
    if not index.knows(action):
        reason = Reason("action_unknown", f"没有名为“{action}”的操作。", f"There is no action '{action}'.")
        return Decision(Effect.DENY, policy_version(), (reason,))
    seats = [(role.value, organisation) for role, organisation in identity.roles]
    if identity is SYSTEM or index.permits(seats, organisation_id, action):
        return Decision(Effect.PERMIT, policy_version())
    holders = sorted(index.holders(action))
    reason = Reason(
        "role_missing",
        "执行此操作需要以下角色之一：" + "、".join(LABELS_ZH[Role(r)] for r in holders) + "。",
        "This needs one of these roles: " + ", ".join(holders) + ".",
        {"action": action, "roles": holders, "organisation_id": organisation_id},
    )
    return Decision(
        Effect.DENY, policy_version(), (reason,),
        next_zh="请联系安全管理员分配角色。", next_en="Ask the security administrator for the role.",
    )


def require(identity: Identity, action: str, organisation_id: str | None) -> None:
    """Raise ActionNotPermitted (403) with the reason unless ``may`` permits."""
    decision = may(identity, action, organisation_id)
    if decision.effect is Effect.PERMIT:
        return
    holders = sorted(current_index().holders(action))
    raise ActionNotPermitted(
        reasons=decision.reasons, action=action, roles_en=", ".join(holders) or "none",
        roles_zh="、".join(LABELS_ZH[Role(r)] for r in holders) or "无",
    )


def organisations_where(identity: Identity, action: str) -> frozenset[str] | None:
    """Organisations on whose matters the person may do the action; None means all of them. For queries."""
    index = current_index()
    everywhere = index.everywhere.get(action, frozenset())
    if any(role.value in everywhere for role, _ in identity.roles):
        return None
    own = index.own.get(action, frozenset())
    return frozenset(organisation for role, organisation in identity.roles if role.value in own)
