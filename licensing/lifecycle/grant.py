"""The life of a grant 授权. Every change of state is announced on ``govopen_grant`` so that running streams stop."""

from __future__ import annotations

import enum

from authz import GrantState
from licensing.lifecycle.table import SYSTEM_WORK, Label, Transition, TransitionTable


class GrantEvent(enum.StrEnum):
    """What can happen to a grant."""

    SUSPEND = "suspend"
    RESUME = "resume"
    REVOKE = "revoke"
    EXPIRE = "expire"
    EXHAUST = "exhaust"
    REPLENISH = "replenish"


S, E = GrantState, GrantEvent
DATA_SECURITY_27 = "中华人民共和国数据安全法第二十七条、第二十九条"
NETWORK_DATA_12 = "网络数据安全管理条例第十二条（对接收方履行义务的情况进行监督）"

GRANT = TransitionTable(
    "grant",
    {
        S.ACTIVE: Label("有效", "Active"),
        S.SUSPENDED: Label("已暂停", "Suspended"),
        S.EXHAUSTED: Label("额度用尽", "Exhausted"),
        S.REVOKED: Label("已撤销", "Revoked"),
        S.EXPIRED: Label("已到期", "Expired"),
    },
    {
        E.SUSPEND: Label("暂停", "Suspend"),
        E.RESUME: Label("恢复", "Resume"),
        E.REVOKE: Label("撤销", "Revoke"),
        E.EXPIRE: Label("到期", "Expire"),
        E.EXHAUST: Label("额度用尽", "Exhaust"),
        E.REPLENISH: Label("额度恢复", "Replenish"),
    },
    S.ACTIVE,
    [
        Transition(S.ACTIVE, E.SUSPEND, "grant:suspend", (S.SUSPENDED,), reason_required=True,
                   basis=DATA_SECURITY_27),
        Transition(S.ACTIVE, E.REVOKE, "grant:revoke", (S.REVOKED,), reason_required=True, basis=NETWORK_DATA_12),
        Transition(S.ACTIVE, E.EXPIRE, SYSTEM_WORK, (S.EXPIRED,), guard="term ended"),
        Transition(S.ACTIVE, E.EXHAUST, SYSTEM_WORK, (S.EXHAUSTED,), guard="quota used up"),
        Transition(S.SUSPENDED, E.RESUME, "grant:resume", (S.ACTIVE,), reason_required=True),
        Transition(S.SUSPENDED, E.REVOKE, "grant:revoke", (S.REVOKED,), reason_required=True,
                   basis=NETWORK_DATA_12),
        Transition(S.SUSPENDED, E.EXPIRE, SYSTEM_WORK, (S.EXPIRED,), guard="term ended"),
        Transition(S.EXHAUSTED, E.REPLENISH, SYSTEM_WORK, (S.ACTIVE,), guard="quota raised or new month"),
        Transition(S.EXHAUSTED, E.SUSPEND, "grant:suspend", (S.SUSPENDED,), reason_required=True,
                   basis=DATA_SECURITY_27),
        Transition(S.EXHAUSTED, E.REVOKE, "grant:revoke", (S.REVOKED,), reason_required=True,
                   basis=NETWORK_DATA_12),
        Transition(S.EXHAUSTED, E.EXPIRE, SYSTEM_WORK, (S.EXPIRED,), guard="term ended"),
    ],
)
