"""Lives of prices, invoices and settlements as tables; the pictures in the README are drawn from these rows."""

from __future__ import annotations

import enum

from licensing.lifecycle import SYSTEM_WORK, Label, Transition, TransitionTable

PRICE_2025_65 = "发改价格〔2025〕65号"


class PriceState(enum.StrEnum):
    """A ceiling, a version of a rate card or a share rule."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    PUBLISHED = "published"
    REJECTED = "rejected"
    RETIRED = "retired"


class PriceEvent(enum.StrEnum):
    APPROVE = "approve"
    REJECT = "reject"
    PUBLISH = "publish"
    RETIRE = "retire"


class InvoiceState(enum.StrEnum):
    """账单: what the party still owes."""

    OPEN = "open"
    PARTLY_PAID = "partly_paid"
    OVERDUE = "overdue"
    PAID = "paid"
    CREDITED = "credited"
    FREE = "free"


class InvoiceEvent(enum.StrEnum):
    PAY_PART = "pay_part"
    PAY_REST = "pay_rest"
    CREDIT_PART = "credit_part"
    CREDIT_REST = "credit_rest"
    FALL_DUE = "fall_due"
    OWE_NOTHING = "owe_nothing"


class SettlementState(enum.StrEnum):
    RUN = "run"
    APPROVED = "approved"
    REJECTED = "rejected"


class SettlementEvent(enum.StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


P, PE = PriceState, PriceEvent


def _price_table(name: str, approver: str) -> TransitionTable:
    another = "another than who proposed"
    return TransitionTable(
        name,
        {
            P.PROPOSED: Label("待审批", "Proposed"), P.APPROVED: Label("已批准", "Approved"),
            P.PUBLISHED: Label("已公布", "Published"), P.REJECTED: Label("未通过", "Rejected"),
            P.RETIRED: Label("已废止", "Retired"),
        },
        {
            PE.APPROVE: Label("批准", "Approve"), PE.REJECT: Label("退回", "Reject"),
            PE.PUBLISH: Label("公布", "Publish"), PE.RETIRE: Label("废止", "Retire"),
        },
        P.PROPOSED,
        [
            Transition(P.PROPOSED, PE.APPROVE, approver, (P.APPROVED,), guard=another, basis=PRICE_2025_65),
            Transition(P.PROPOSED, PE.REJECT, approver, (P.REJECTED,), guard=another, reason_required=True,
                       basis=PRICE_2025_65),
            Transition(P.APPROVED, PE.PUBLISH, SYSTEM_WORK, (P.PUBLISHED,), guard="effective date reached"),
            Transition(P.PUBLISHED, PE.RETIRE, SYSTEM_WORK, (P.RETIRED,), guard="followed by a newer one"),
        ],
    )


CEILING = _price_table("ceiling", "ceiling:approve")
RATE_CARD = _price_table("rate_card", "rate:approve")
SHARE_RULE = _price_table("share_rule", "share:approve")

S, E = InvoiceState, InvoiceEvent
_OWED = (S.OPEN, S.PARTLY_PAID, S.OVERDUE)


def _owed(state: InvoiceState) -> list[Transition]:
    after_part = state if state is S.OVERDUE else S.PARTLY_PAID
    return [
        Transition(state, E.PAY_PART, SYSTEM_WORK, (after_part,), guard="less than what is due"),
        Transition(state, E.PAY_REST, SYSTEM_WORK, (S.PAID,), guard="all that is due"),
        Transition(state, E.CREDIT_PART, "invoice:credit", (state,), guard="something stays due", reason_required=True),
        Transition(state, E.CREDIT_REST, "invoice:credit", (S.CREDITED, S.PAID),
                   rule="paid when any of it was paid", guard="nothing stays due", reason_required=True),
    ]


INVOICE = TransitionTable(
    "invoice",
    {
        S.OPEN: Label("待支付", "Open"), S.PARTLY_PAID: Label("部分支付", "Partly paid"),
        S.OVERDUE: Label("已逾期", "Overdue"), S.PAID: Label("已付清", "Paid"),
        S.CREDITED: Label("已冲减", "Credited"), S.FREE: Label("免费", "Free"),
    },
    {
        E.PAY_PART: Label("支付部分", "Pay a part"), E.PAY_REST: Label("付清", "Pay the rest"),
        E.CREDIT_PART: Label("冲减部分", "Credit a part"), E.CREDIT_REST: Label("冲减余额", "Credit the rest"),
        E.FALL_DUE: Label("逾期", "Fall due"), E.OWE_NOTHING: Label("无应付金额", "Owe nothing"),
    },
    S.OPEN,
    [
        Transition(S.OPEN, E.OWE_NOTHING, SYSTEM_WORK, (S.FREE,), guard="total is zero, at issue", basis=PRICE_2025_65),
        *(row for state in _OWED for row in _owed(state)),
        Transition(S.OPEN, E.FALL_DUE, SYSTEM_WORK, (S.OVERDUE,), guard="due date passed"),
        Transition(S.PARTLY_PAID, E.FALL_DUE, SYSTEM_WORK, (S.OVERDUE,), guard="due date passed"),
        Transition(S.PAID, E.CREDIT_REST, "invoice:credit", (S.PAID,), reason_required=True),
    ],
)

T, TE = SettlementState, SettlementEvent
SETTLEMENT = TransitionTable(
    "settlement",
    {T.RUN: Label("待审批", "Run"), T.APPROVED: Label("已批准", "Approved"), T.REJECTED: Label("已退回", "Rejected")},
    {TE.APPROVE: Label("批准", "Approve"), TE.REJECT: Label("退回", "Reject")},
    T.RUN,
    [
        Transition(T.RUN, TE.APPROVE, "settlement:approve", (T.APPROVED,), guard="another than who ran it"),
        Transition(T.RUN, TE.REJECT, "settlement:approve", (T.REJECTED,), guard="another than who ran it",
                   reason_required=True),
    ],
)

TABLES = (CEILING, RATE_CARD, SHARE_RULE, INVOICE, SETTLEMENT)
"""Tables drawn in the README, in its order."""
