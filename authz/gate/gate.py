"""The gate's question to the policy, and its answer as reasons that name row and column."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authz.decision import Effect
from authz.foundation.errors import Language, Reason, Refusal
from authz.gate.scanner import KINDS, PERSONAL_KINDS, Scan
from authz.model import GRADE_ZH, OPEN_ATTRIBUTE_ZH, DataObject, OpenAttribute
from authz.pdp.bundle import policy_version
from authz.pdp.decide import default_engine
from authz.pdp.engine import PolicyEngine

log = logging.getLogger("govopen.authz")

STATEMENTS: Mapping[str, tuple[str, str]] = {
    "refuse_reason": ("不予开放理由", "reason for not opening"),
    "legal_basis": ("不予开放依据", "legal basis for not opening"),
    "open_mode": ("开放方式", "mode of opening"),
    "use_requirements": ("使用要求", "requirements on use"),
    "security_measures": ("安全保障措施", "security measures"),
}

SENTENCES: Mapping[str, tuple[str, str]] = {
    "policy_unavailable": (
        "暂时无法完成发布审查，按不通过处理。", "The gate gave no answer, which counts as a refusal."),
    "facts_unknown": ("目录信息不完整，无法审查。", "The catalogue facts are incomplete."),
    "grade_blocks_open": (
        "{grade_zh}不得开放，开放属性只能为“不予开放”。", "Data of grade {grade} may only be closed."),
    "personal_info_open": (
        "含个人信息的数据不得无条件开放。", "Data with personal information may not be open to everyone."),
    "personal_info_found": (
        "字段“{field}”第 {rows} 行发现{kinds_zh}，不得无条件开放。",
        "Field '{field}', row {rows}: {kinds_en} found; it may not be open to everyone."),
    "personal_info_undeclared": (
        "字段“{field}”第 {rows} 行发现{kinds_zh}，请标明“含个人信息”。",
        "Field '{field}', row {rows}: {kinds_en} found; declare that it has personal information."),
    "field_sensitive_undeclared": (
        "字段“{field}”发现{kinds_zh}，请将该字段标为敏感。", "Field '{field}' holds {kinds_en}; mark it as sensitive."),
    "grade_blocks_unconditional": (
        "{grade_zh}不得无条件开放，请改为有条件开放或脱敏后重新定级。",
        "Data of grade {grade} may not be open to everyone: open it on conditions, or mask it and grade it anew."),
    "field_grade_above_dataset": (
        "字段“{field}”的级别高于数据集级别，数据集应就高定级。",
        "Field '{field}' is graded above the dataset, which must have the highest grade of its fields."),
    "field_grade_needs_mask": (
        "字段“{field}”为3级以上，有条件开放须设置脱敏规则或不予开放。",
        "Field '{field}' is of grade 3 or above: give it a mask or close it."),
    "field_attribute_stricter": (
        "字段“{field}”不是无条件开放，数据集不能无条件开放。",
        "Field '{field}' is not open to everyone, so the dataset cannot be."),
    "statement_missing": ("缺少“{statement_zh}”。", "The {statement_en} is missing."),
    "downgrade_needs_approval": (
        "开放属性由“{previous_zh}”降为“{attribute_zh}”，须经数据主管部门批准。",
        "Lowering openness from {previous} to {attribute} needs the data authority's approval."),
}
"""In order of precedence."""


class PublishGateRefused(Refusal):
    """The gate does not let the facts be published; nothing was saved."""

    code = "publish_gate"
    status = 422
    zh = "未通过发布审查，共 {count} 处问题，没有保存。"
    en = "The publish gate found {count} problem(s); nothing was saved."
    next_zh = "{then_zh}"
    next_en = "{then_en}"

    def __init__(self, decision: GateDecision) -> None:
        approval = any(reason.code == "downgrade_needs_approval" for reason in decision.reasons)
        super().__init__(
            reasons=decision.reasons, count=len(decision.reasons),
            then_zh="请将变更理由报数据主管部门，由其在平台上办理。"
            if approval else "请按所列问题修改目录信息或数据后重新提交。",
            then_en="Send the reasons for the change to the data authority, which carries it out here."
            if approval else "Correct the facts or the data as listed and send it again.",
        )


@dataclass(frozen=True)
class GateDecision:
    """Permit or deny with reasons; like a Decision it is never a boolean."""

    effect: Effect
    reasons: tuple[Reason, ...]
    scan: Scan
    policy_version: str

    def __bool__(self) -> bool:
        raise TypeError("compare effect, or call require()")

    def require(self) -> None:
        """Raise PublishGateRefused (422) unless permitted."""
        if self.effect is not Effect.PERMIT:
            raise PublishGateRefused(self)

    def as_document(self, language: Language) -> dict[str, Any]:
        return {
            "effect": self.effect.value,
            "reasons": [reason.as_dict(language) for reason in self.reasons],
            "findings": [one.as_document() for one in self.scan.findings],
            "rows_scanned": self.scan.rows,
            "policy_version": self.policy_version,
        }


def gate_input(
    data: DataObject, scan: Scan, previous: OpenAttribute | None, downgrade_approved: bool
) -> dict[str, Any]:
    """The facts as the policy reads them."""
    stated = {"refuse_reason": data.refuse_reason, "legal_basis": data.legal_basis, **data.conditions}
    return {
        "object": {
            "open_attribute": data.open_attribute.value, "grade": data.grade.value,
            "has_personal_info": data.has_personal_info,
        },
        "fields": {
            one.name: {
                "open_attribute": one.open_attribute.value, "grade": one.grade.value, "sensitive": one.sensitive,
                "masked": one.mask is not None,
            }
            for one in data.fields
        },
        "findings": scan.by_column(),
        "stated": sorted(name for name, text in stated.items() if text.strip()),
        "previous": previous.value if previous else None,
        "downgrade_approved": downgrade_approved,
    }


async def check(
    data: DataObject,
    scan: Scan,
    *,
    previous: OpenAttribute | None = None,
    downgrade_approved: bool = False,
    engine: PolicyEngine | None = None,
) -> GateDecision:
    """Whether the facts may be published; whatever goes wrong is a denial."""
    facts = gate_input(data, scan, previous, downgrade_approved)
    try:
        answer = await (engine or default_engine()).evaluate_async("publish_gate", facts)
        if answer.get("effect") == "permit" and "violations" not in answer:
            return GateDecision(Effect.PERMIT, (), scan, policy_version())
        found = {(str(code), str(about)) for code, about in answer["violations"]}
        if answer.get("effect") != "deny" or not found or not {code for code, _ in found} <= SENTENCES.keys():
            raise ValueError("a rule of the answer is not known")
    except Exception as failure:
        log.error("the publish gate gave no answer: %s: %s", type(failure).__name__, failure)
        found = {("policy_unavailable", "")}
    order = list(SENTENCES)
    reasons = tuple(
        _reason(code, about, data, scan, previous)
        for code, about in sorted(found, key=lambda one: (order.index(one[0]), one[1]))
    )
    return GateDecision(Effect.DENY, reasons, scan, policy_version())


def _reason(code: str, about: str, data: DataObject, scan: Scan, previous: OpenAttribute | None) -> Reason:
    kinds = [KINDS[kind] for kind in scan.by_column().get(about, ()) if kind in PERSONAL_KINDS]
    rows = scan.rows_of(about, PERSONAL_KINDS)
    statement = STATEMENTS.get(about, (about, about))
    words = {
        "field": about, "grade": data.grade.value, "grade_zh": GRADE_ZH[data.grade],
        "rows": "、".join(map(str, rows)), "kinds_zh": "、".join(zh for zh, _ in kinds),
        "kinds_en": ", ".join(en for _, en in kinds), "statement_zh": statement[0], "statement_en": statement[1],
        "attribute": data.open_attribute.value, "attribute_zh": OPEN_ATTRIBUTE_ZH[data.open_attribute],
        "previous": previous.value if previous else "", "previous_zh": OPEN_ATTRIBUTE_ZH[previous] if previous else "",
    }
    facts: dict[str, Any] = {}
    if about:
        facts["statement" if code == "statement_missing" else "field"] = about
    if rows and "{rows}" in SENTENCES[code][0]:
        facts["rows"] = rows
    zh, en = SENTENCES[code]
    return Reason(code, zh.format(**words), en.format(**words), facts)
