"""The life of a party 主体 on the platform: real-name check by another person than who signed it up."""

from __future__ import annotations

import enum

from licensing.lifecycle.table import Label, Transition, TransitionTable


class PartyState(enum.StrEnum):
    """Whether a party may act."""

    PENDING = "pending"
    VERIFIED = "verified"
    REJECTED = "rejected"
    SUSPENDED = "suspended"


class PartyEvent(enum.StrEnum):
    """What can happen to a party."""

    AMEND = "amend"
    APPROVE = "approve"
    REFUSE = "refuse"
    SUSPEND = "suspend"
    REINSTATE = "reinstate"


S, E = PartyState, PartyEvent
DATA_SECURITY_33 = "中华人民共和国数据安全法第三十三条"
MANAGE = "party:manage"

PARTY = TransitionTable(
    "party",
    {
        S.PENDING: Label("待核验", "Pending"),
        S.VERIFIED: Label("已核验", "Verified"),
        S.REJECTED: Label("核验未通过", "Rejected"),
        S.SUSPENDED: Label("已暂停", "Suspended"),
    },
    {
        E.AMEND: Label("修改资料", "Amend"),
        E.APPROVE: Label("核验通过", "Verify"),
        E.REFUSE: Label("核验不通过", "Reject"),
        E.SUSPEND: Label("暂停资格", "Suspend"),
        E.REINSTATE: Label("恢复资格", "Reinstate"),
    },
    S.PENDING,
    [
        Transition(S.PENDING, E.AMEND, MANAGE, (S.PENDING,)),
        Transition(S.PENDING, E.APPROVE, "party:verify", (S.VERIFIED,), guard="another than the submitter",
                   basis=DATA_SECURITY_33),
        Transition(S.PENDING, E.REFUSE, "party:verify", (S.REJECTED,), guard="another than the submitter",
                   reason_required=True, basis=DATA_SECURITY_33),
        Transition(S.REJECTED, E.AMEND, MANAGE, (S.PENDING,)),
        Transition(S.VERIFIED, E.SUSPEND, "party:verify", (S.SUSPENDED,), guard="not own", reason_required=True,
                   basis=DATA_SECURITY_33),
        Transition(S.SUSPENDED, E.REINSTATE, "party:verify", (S.VERIFIED,), guard="not own", reason_required=True,
                   basis=DATA_SECURITY_33),
    ],
)
