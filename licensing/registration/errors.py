"""Refusals of registration."""

from __future__ import annotations

from authz import Conflict


class NoticeNotOver(Conflict):
    code = "notice_not_over"
    zh = "公示期至 {until}，尚未届满，不能赋码。"
    en = "The public notice runs until {until}; no code can be assigned before."
    next_zh = "请在公示期满后的次日办理。"
    next_en = "Assign it from the day after."


class NoticeOver(Conflict):
    code = "notice_over"
    zh = "公示期已于 {until} 届满，不再受理异议。"
    en = "The public notice ended on {until}; objections are no longer taken."
    next_zh = "如认为登记内容有误，可依法申请更正登记。"
    next_en = "If the record is wrong, apply for its correction."


class ObjectionOpen(Conflict):
    code = "objection_open"
    zh = "尚有 {count} 件异议未复核。"
    en = "{count} objection(s) are still undecided."
    next_zh = "请先完成异议复核。"
    next_en = "Decide on them first."


class NoSuchObjection(Conflict):
    code = "objection_not_open"
    zh = "没有该项待复核的异议。"
    en = "There is no such undecided objection."


class SupplementOnce(Conflict):
    code = "supplement_once"
    zh = "需要补正的内容应当一次性告知，本申请已告知过。"
    en = "What needs supplementing is told once, and this application has been told."
    next_zh = "请根据现有材料决定受理或者不予受理。"
    next_en = "Accept or reject on what was handed in."
