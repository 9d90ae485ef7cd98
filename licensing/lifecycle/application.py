"""The life of an access application 使用申请 (山东省公共数据开放工作细则; 政府信息公开条例 30, 32, 33, 37)."""

from __future__ import annotations

import enum

from licensing.lifecycle.table import SYSTEM_WORK, Label, Transition, TransitionTable


class ApplicationState(enum.StrEnum):
    """Where an application stands; participles mean the other side's turn, gerunds our own work."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    FORM_REVIEW = "form_review"
    OWNER_REVIEW = "owner_review"
    SUPPLEMENT = "supplement"
    THIRD_PARTY_OPINION = "third_party_opinion"
    PRICING = "pricing"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    SIGNING = "signing"
    GRANTED = "granted"
    PARTLY_GRANTED = "partly_granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class ApplicationEvent(enum.StrEnum):
    """What can happen to an application."""

    EDIT = "edit"
    SUBMIT = "submit"
    ROUTE = "route"
    REQUEST_SUPPLEMENT = "request_supplement"
    ANSWER_SUPPLEMENT = "answer_supplement"
    PASS_FORM = "pass_form"  # noqa: S105 - an event, no password
    DECIDE_OWNER = "decide_owner"
    REFUSE = "refuse"
    CONSULT_THIRD_PARTY = "consult_third_party"
    RECORD_OPINION = "record_opinion"
    REQUEST_EXTENSION = "request_extension"
    DECIDE_EXTENSION = "decide_extension"
    WAIVE_PRICE = "waive_price"
    PRICE_PROPOSED = "price_proposed"
    PRICE_RETURNED = "price_returned"
    PRICE_APPROVED = "price_approved"
    ACCEPT_OFFER = "accept_offer"
    DRAFT_AGREEMENT = "draft_agreement"
    SIGN = "sign"
    COUNTERSIGN = "countersign"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"


S, E = ApplicationState, ApplicationEvent

STATES = {
    S.DRAFT: Label("草稿", "Draft"),
    S.SUBMITTED: Label("已提交", "Submitted"),
    S.FORM_REVIEW: Label("规范性审查", "Form review"),
    S.OWNER_REVIEW: Label("实质审核", "Owner review"),
    S.SUPPLEMENT: Label("待补正", "Supplement requested"),
    S.THIRD_PARTY_OPINION: Label("征求第三方意见", "Third-party opinion"),
    S.PRICING: Label("定价中", "Pricing"),
    S.OFFERED: Label("待确认报价", "Offered"),
    S.ACCEPTED: Label("已接受报价", "Accepted"),
    S.SIGNING: Label("协议签署中", "Signing"),
    S.GRANTED: Label("已授权", "Granted"),
    S.PARTLY_GRANTED: Label("部分授权", "Partly granted"),
    S.REFUSED: Label("不予同意", "Refused"),
    S.WITHDRAWN: Label("已撤回", "Withdrawn"),
    S.EXPIRED: Label("已失效", "Expired"),
}

EVENTS = {
    E.EDIT: Label("修改草稿", "Edit the draft"),
    E.SUBMIT: Label("提交申请", "Submit"),
    E.ROUTE: Label("转入审查", "Route to the first reviewer"),
    E.REQUEST_SUPPLEMENT: Label("要求补正", "Request a supplement"),
    E.ANSWER_SUPPLEMENT: Label("提交补正", "Answer the supplement"),
    E.PASS_FORM: Label("规范性审查通过", "Pass the form review"),
    E.DECIDE_OWNER: Label("作出实质审核决定", "Decide on substance"),
    E.REFUSE: Label("不予同意", "Refuse"),
    E.CONSULT_THIRD_PARTY: Label("征求第三方意见", "Consult a third party"),
    E.RECORD_OPINION: Label("登记第三方意见", "Record the third party's opinion"),
    E.REQUEST_EXTENSION: Label("申请延长期限", "Ask for an extension"),
    E.DECIDE_EXTENSION: Label("审批延长期限", "Decide on the extension"),
    E.WAIVE_PRICE: Label("依规免费", "Free of charge by rule"),
    E.PRICE_PROPOSED: Label("提出报价", "Propose a price"),
    E.PRICE_RETURNED: Label("退回报价", "Return the price"),
    E.PRICE_APPROVED: Label("复核报价通过", "Approve the price"),
    E.ACCEPT_OFFER: Label("接受报价", "Accept the offer"),
    E.DRAFT_AGREEMENT: Label("生成协议", "Draw up the agreement"),
    E.SIGN: Label("签署协议", "Sign"),
    E.COUNTERSIGN: Label("会签生效", "Countersign"),
    E.WITHDRAW: Label("撤回申请", "Withdraw"),
    E.EXPIRE: Label("逾期失效", "Lapse"),
}

FORM, OWNER = "application:form_review", "application:owner_review"
SUBMIT, WITHDRAW = "application:submit", "application:withdraw"

INFO_30 = "政府信息公开条例第三十条"
INFO_32 = "政府信息公开条例第三十二条"
INFO_33 = "政府信息公开条例第三十三条"
INFO_37 = "政府信息公开条例第三十七条"
PRICE_2025_65 = "发改价格〔2025〕65号"
SD_RULES = "山东省公共数据开放工作细则（鲁数发〔2025〕1号）"
NETWORK_DATA_12 = "网络数据安全管理条例第十二条"


def _reviewing(state: ApplicationState, who: str) -> list[Transition]:
    """Rows that every reviewing step has."""
    return [
        Transition(state, E.REQUEST_SUPPLEMENT, who, (S.SUPPLEMENT,), guard="not own; once per step",
                   reason_required=True, basis=INFO_30),
        Transition(state, E.REFUSE, who, (S.REFUSED,), guard="not own", reason_required=True, basis=SD_RULES),
        Transition(state, E.REQUEST_EXTENSION, who, (state,), guard="not own; once per step",
                   reason_required=True, basis=INFO_33),
        Transition(state, E.DECIDE_EXTENSION, "application:extend", (state,), guard="another than who asked",
                   reason_required=True, basis=INFO_33),
    ]


def _withdrawable(*states: ApplicationState) -> list[Transition]:
    return [Transition(state, E.WITHDRAW, WITHDRAW, (S.WITHDRAWN,)) for state in states]


APPLICATION = TransitionTable(
    "application",
    STATES,
    EVENTS,
    S.DRAFT,
    [
        Transition(S.DRAFT, E.EDIT, "application:draft", (S.DRAFT,)),
        Transition(S.DRAFT, E.SUBMIT, SUBMIT, (S.SUBMITTED,), guard="party verified; object conditional"),
        Transition(S.DRAFT, E.EXPIRE, SYSTEM_WORK, (S.EXPIRED,), guard="kept too long"),
        Transition(S.SUBMITTED, E.ROUTE, SYSTEM_WORK, (S.FORM_REVIEW, S.OWNER_REVIEW), rule="first reviewer",
                   basis=SD_RULES),
        *_reviewing(S.FORM_REVIEW, FORM),
        Transition(S.FORM_REVIEW, E.PASS_FORM, FORM, (S.OWNER_REVIEW, S.PRICING), guard="not own",
                   rule="next reviewer, else pricing", basis=SD_RULES),
        *_reviewing(S.OWNER_REVIEW, OWNER),
        Transition(S.OWNER_REVIEW, E.DECIDE_OWNER, OWNER, (S.FORM_REVIEW, S.PRICING, S.REFUSED),
                   guard="not own; a verdict for every field",
                   rule="next reviewer, else pricing; refused when no field is approved", basis=INFO_37),
        Transition(S.OWNER_REVIEW, E.CONSULT_THIRD_PARTY, OWNER, (S.THIRD_PARTY_OPINION,), guard="not own",
                   reason_required=True, basis=INFO_32),
        Transition(S.THIRD_PARTY_OPINION, E.RECORD_OPINION, OWNER, (S.OWNER_REVIEW,),
                   guard="silence only after the limit", basis=INFO_32),
        Transition(S.SUPPLEMENT, E.ANSWER_SUPPLEMENT, "application:answer_supplement", (S.FORM_REVIEW, S.OWNER_REVIEW),
                   rule="back to who asked", basis=INFO_30),
        Transition(S.SUPPLEMENT, E.EXPIRE, SYSTEM_WORK, (S.EXPIRED,), guard="limit passed", basis=INFO_30),
        Transition(S.PRICING, E.WAIVE_PRICE, SYSTEM_WORK, (S.OFFERED,), guard="public interest",
                   basis=PRICE_2025_65),
        Transition(S.PRICING, E.PRICE_PROPOSED, "application:price_propose", (S.PRICING,), guard="not own",
                   basis=PRICE_2025_65),
        Transition(S.PRICING, E.PRICE_RETURNED, "application:price_approve", (S.PRICING,),
                   guard="another than who proposed", reason_required=True, basis=PRICE_2025_65),
        Transition(S.PRICING, E.PRICE_APPROVED, "application:price_approve", (S.OFFERED,),
                   guard="another than who proposed", basis=PRICE_2025_65),
        Transition(S.OFFERED, E.ACCEPT_OFFER, "application:accept", (S.ACCEPTED,), guard="offer still valid"),
        Transition(S.OFFERED, E.EXPIRE, SYSTEM_WORK, (S.EXPIRED,), guard="limit passed"),
        Transition(S.ACCEPTED, E.DRAFT_AGREEMENT, SYSTEM_WORK, (S.SIGNING,), basis=NETWORK_DATA_12),
        Transition(S.SIGNING, E.SIGN, "application:sign", (S.SIGNING,), guard="not yet signed",
                   basis="中华人民共和国电子签名法第十四条"),
        Transition(S.SIGNING, E.COUNTERSIGN, "agreement:countersign", (S.GRANTED, S.PARTLY_GRANTED),
                   guard="signed by the applicant; not own", rule="partly when a field was refused",
                   basis=NETWORK_DATA_12),
        Transition(S.SIGNING, E.EXPIRE, SYSTEM_WORK, (S.EXPIRED,), guard="limit passed, unsigned"),
        *_withdrawable(S.DRAFT, S.FORM_REVIEW, S.OWNER_REVIEW, S.SUPPLEMENT, S.THIRD_PARTY_OPINION, S.PRICING,
                       S.OFFERED, S.SIGNING),
    ],
)

MAIN_LINE = (
    S.DRAFT, S.FORM_REVIEW, S.OWNER_REVIEW, S.PRICING, S.OFFERED, S.SIGNING, S.GRANTED,
)
"""The steps a page shows as a line, in the order of the default procedure."""
