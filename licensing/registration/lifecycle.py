"""The life of a registration 登记 (公共数据资源登记管理暂行办法, 发改数据规〔2025〕26号, articles 8 to 20)."""

from __future__ import annotations

import enum

from licensing.lifecycle.table import SYSTEM_WORK, Label, Transition, TransitionTable


class RegistrationState(enum.StrEnum):
    """Where a registration stands."""

    DRAFT = "draft"
    APPLIED = "applied"
    SUPPLEMENT = "supplement"
    ACCEPTED = "accepted"
    PUBLIC_NOTICE = "public_notice"
    CODED = "coded"
    REJECTED = "rejected"
    TERMINATED = "terminated"
    WITHDRAWN = "withdrawn"
    DEREGISTERED = "deregistered"
    REVOKED = "revoked"
    EXPIRED = "expired"


class RegistrationEvent(enum.StrEnum):
    """What can happen to a registration."""

    EDIT = "edit"
    SUBMIT = "submit"
    WITHDRAW = "withdraw"
    ACCEPT = "accept"
    REQUEST_SUPPLEMENT = "request_supplement"
    ANSWER_SUPPLEMENT = "answer_supplement"
    REJECT = "reject"
    PASS_REVIEW = "pass_review"  # noqa: S105 - an event, no password
    OBJECT = "object"
    DECIDE_OBJECTION = "decide_objection"
    ASSIGN_CODE = "assign_code"
    DEREGISTER = "deregister"
    REVOKE = "revoke"
    EXPIRE = "expire"


S, E = RegistrationState, RegistrationEvent
RULES = "公共数据资源登记管理暂行办法（发改数据规〔2025〕26号）"
APPLY = "registration:apply"
ACCEPT, REVIEW, NOTICE = "registration:accept", "registration:review", "registration:notice"

REGISTRATION = TransitionTable(
    "registration",
    {
        S.DRAFT: Label("草稿", "Draft"),
        S.APPLIED: Label("已申请", "Applied"),
        S.SUPPLEMENT: Label("待补正", "Supplement requested"),
        S.ACCEPTED: Label("形式审核中", "In formal review"),
        S.PUBLIC_NOTICE: Label("公示中", "In public notice"),
        S.CODED: Label("已赋码", "Coded"),
        S.REJECTED: Label("不予受理或登记", "Rejected"),
        S.TERMINATED: Label("异议成立，登记终止", "Ended by an objection"),
        S.WITHDRAWN: Label("已撤回", "Withdrawn"),
        S.DEREGISTERED: Label("已注销", "Deregistered"),
        S.REVOKED: Label("已撤销", "Revoked"),
        S.EXPIRED: Label("已到期", "Expired"),
    },
    {
        E.EDIT: Label("修改草稿", "Edit the draft"),
        E.SUBMIT: Label("提交登记申请", "Apply"),
        E.WITHDRAW: Label("撤回", "Withdraw"),
        E.ACCEPT: Label("受理", "Accept"),
        E.REQUEST_SUPPLEMENT: Label("一次性告知补正", "Request a supplement"),
        E.ANSWER_SUPPLEMENT: Label("提交补正", "Answer the supplement"),
        E.REJECT: Label("不予受理或登记", "Reject"),
        E.PASS_REVIEW: Label("形式审核通过并公示", "Pass the review and give notice"),
        E.OBJECT: Label("提出异议", "Object"),
        E.DECIDE_OBJECTION: Label("异议复核", "Decide on the objection"),
        E.ASSIGN_CODE: Label("赋码", "Assign the code"),
        E.DEREGISTER: Label("注销登记", "Deregister"),
        E.REVOKE: Label("撤销登记", "Revoke"),
        E.EXPIRE: Label("到期", "Expire"),
    },
    S.DRAFT,
    [
        Transition(S.DRAFT, E.EDIT, APPLY, (S.DRAFT,)),
        Transition(S.DRAFT, E.SUBMIT, APPLY, (S.APPLIED,), guard="business review passed; evidence deposited",
                   basis=f"{RULES}第七条"),
        Transition(S.DRAFT, E.WITHDRAW, APPLY, (S.WITHDRAWN,)),
        Transition(S.APPLIED, E.ACCEPT, ACCEPT, (S.ACCEPTED,), guard="not own", basis=f"{RULES}第十条"),
        Transition(S.APPLIED, E.REQUEST_SUPPLEMENT, ACCEPT, (S.SUPPLEMENT,), guard="not own; once",
                   reason_required=True, basis=f"{RULES}第十条"),
        Transition(S.APPLIED, E.REJECT, ACCEPT, (S.REJECTED,), guard="not own", reason_required=True,
                   basis=f"{RULES}第十条"),
        Transition(S.APPLIED, E.WITHDRAW, APPLY, (S.WITHDRAWN,)),
        Transition(S.SUPPLEMENT, E.ANSWER_SUPPLEMENT, APPLY, (S.APPLIED,), rule="the clock of acceptance restarts",
                   basis=f"{RULES}第十条"),
        Transition(S.SUPPLEMENT, E.WITHDRAW, APPLY, (S.WITHDRAWN,)),
        Transition(S.ACCEPTED, E.PASS_REVIEW, REVIEW, (S.PUBLIC_NOTICE,), guard="not own",
                   basis=f"{RULES}第十一、十二条"),
        Transition(S.ACCEPTED, E.REJECT, REVIEW, (S.REJECTED,), guard="not own", reason_required=True,
                   basis=f"{RULES}第十一条"),
        Transition(S.PUBLIC_NOTICE, E.OBJECT, "registration:object", (S.PUBLIC_NOTICE,),
                   guard="real name and evidence; within the notice", basis=f"{RULES}第十二条"),
        Transition(S.PUBLIC_NOTICE, E.DECIDE_OBJECTION, NOTICE, (S.PUBLIC_NOTICE, S.TERMINATED), guard="not own",
                   rule="upheld ends the registration", reason_required=True, basis=f"{RULES}第十二条"),
        Transition(S.PUBLIC_NOTICE, E.ASSIGN_CODE, "registration:code", (S.CODED,),
                   guard="notice over; no open objection", basis=f"{RULES}第十三条"),
        Transition(S.CODED, E.DEREGISTER, "registration:code", (S.DEREGISTERED,), guard="not own",
                   reason_required=True, basis=f"{RULES}第九条第四项"),
        Transition(S.CODED, E.REVOKE, "registration:revoke", (S.REVOKED,), guard="not own", reason_required=True,
                   basis=f"{RULES}第二十条"),
        Transition(S.CODED, E.EXPIRE, SYSTEM_WORK, (S.EXPIRED,), guard="validity over, not renewed",
                   basis=f"{RULES}第十五条"),
    ],
)
