"""The life of a data use agreement 数据使用协议."""

from __future__ import annotations

import enum

from licensing.lifecycle.table import SYSTEM_WORK, Label, Transition, TransitionTable


class AgreementState(enum.StrEnum):
    """Where an agreement stands."""

    DRAFTED = "drafted"
    SIGNED_BY_ONE = "signed_by_one"
    IN_FORCE = "in_force"
    TERMINATED = "terminated"
    EXPIRED = "expired"


class AgreementEvent(enum.StrEnum):
    """What can happen to an agreement."""

    SIGN = "sign"
    COUNTERSIGN = "countersign"
    VOID = "void"
    TERMINATE = "terminate"
    EXPIRE = "expire"


S, E = AgreementState, AgreementEvent
LAW_14 = "中华人民共和国电子签名法第十四条"

AGREEMENT = TransitionTable(
    "agreement",
    {
        S.DRAFTED: Label("待签署", "Drafted"),
        S.SIGNED_BY_ONE: Label("申请人已签署", "Signed by the applicant"),
        S.IN_FORCE: Label("生效", "In force"),
        S.TERMINATED: Label("已终止", "Terminated"),
        S.EXPIRED: Label("已到期", "Expired"),
    },
    {
        E.SIGN: Label("申请人签署", "Sign"),
        E.COUNTERSIGN: Label("会签", "Countersign"),
        E.VOID: Label("作废", "Void"),
        E.TERMINATE: Label("终止", "Terminate"),
        E.EXPIRE: Label("到期", "Expire"),
    },
    S.DRAFTED,
    [
        Transition(S.DRAFTED, E.SIGN, "application:sign", (S.SIGNED_BY_ONE,), basis=LAW_14),
        Transition(S.DRAFTED, E.VOID, SYSTEM_WORK, (S.TERMINATED,), guard="application ended"),
        Transition(S.SIGNED_BY_ONE, E.COUNTERSIGN, "agreement:countersign", (S.IN_FORCE,),
                   guard="not the applicant's side", basis=LAW_14),
        Transition(S.SIGNED_BY_ONE, E.VOID, SYSTEM_WORK, (S.TERMINATED,), guard="application ended"),
        Transition(S.IN_FORCE, E.TERMINATE, "agreement:terminate", (S.TERMINATED,), reason_required=True,
                   basis="中华人民共和国民法典第五百六十二条、第五百六十三条"),
        Transition(S.IN_FORCE, E.EXPIRE, SYSTEM_WORK, (S.EXPIRED,), guard="term ended"),
    ],
)
