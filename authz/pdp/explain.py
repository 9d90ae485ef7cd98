"""A decision told check by check, for a person: what was asked, which rules held, which did not, by which version.

Every check is a rule of the policy itself, evaluated on the same facts, so what is told is what decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from authz.pdp.bundle import PolicySet, in_force
from authz.pdp.engine import EmbeddedEngine, EngineFailure
from authz.pdp.reasons import CATALOGUE, titles

POLICY = "data_access"
ENGINES_MAX = 8
Outcome = Literal["held", "failed", "not_asked"]


@dataclass(frozen=True)
class Check:
    """One rule: its name in the policy, its sentence, the reasons it stands behind, the facts it looked at."""

    rule: str
    zh: str
    en: str
    codes: tuple[str, ...]
    facts: tuple[str, ...] = ()


CHECKS: Sequence[Check] = (
    Check("_object_known", "数据的目录信息完整", "The catalogue's facts of the data are complete", ("object_unknown",),
          ("object.resource_id",)),
    Check("_request_known", "操作、渠道和主体可以识别", "Action, channel and subject are known", ("request_unknown",),
          ("action", "channel", "subject.kind")),
    Check("_grade_open", "不是核心数据", "It is not core data", ("grade_core",), ("object.grade",)),
    Check("_not_closed", "不是不予开放的数据", "It is not closed", ("object_closed",), ("object.open_attribute",)),
    Check("_personal_info_guarded", "含个人信息的数据没有无条件开放", "Personal information is not open to everyone",
          ("personal_info_open",), ("object.has_personal_info", "object.open_attribute")),
    Check("_unconditional", "数据无条件开放（否则须凭授权）", "It is open to everyone (else a grant is needed)",
          ("grant_required",), ("object.open_attribute", "object.grade")),
    Check("_grant_given", "出示了授权", "A grant was shown", ("grant_required",), ("grant.id",)),
    Check("_subject_named", "使用授权者身份明确", "Whoever uses the grant is known", ("subject_anonymous",),
          ("subject.kind",)),
    Check("_grant_wellformed", "授权信息完整", "The facts of the grant are complete", ("grant_malformed",)),
    Check("_grant_of_object", "授权针对此数据", "The grant is for this data", ("grant_other_object",),
          ("grant.resource_id",)),
    Check("_grant_active", "授权有效（未暂停、撤销、到期、用完）", "The grant is active",
          ("grant_revoked", "grant_suspended", "grant_exhausted", "grant_expired", "grant_not_active"),
          ("grant.state",)),
    Check("_grant_started", "授权已开始", "The grant has started", ("grant_not_started",), ("grant.valid_from", "now")),
    Check("_grant_not_ended", "授权未到期", "The grant has not ended", ("grant_expired",),
          ("grant.valid_until", "now")),
    Check("_agreement_present", "有数据使用协议", "A data use agreement stands behind it", ("agreement_missing",)),
    Check("_provider_consents", "共享数据已取得提供单位同意", "The unit that shared the data consents",
          ("provider_consent_missing",), ("object.shared", "grant.consent_of_provider")),
    Check("_risk_assessed", "重要数据已完成风险评估", "Important data has its risk assessment",
          ("risk_assessment_missing",), ("object.grade", "grant.risk_assessed")),
    Check("_operator_apart", "申请方不是该数据产品的运营机构", "The grantee is not the operator of this data",
          ("operator_conflict",), ("object.operator_uscc", "grant.party_usccs")),
    Check("_address_allowed", "调用地址在允许范围内", "The call comes from an allowed address",
          ("address_not_allowed",), ("address_allowed",)),
    Check("_channel_granted", "交付方式在授权之内", "The form of delivery is granted", ("channel_not_granted",),
          ("channel", "grant.delivery")),
    Check("_purpose_granted", "用途在授权之内", "The purpose is granted", ("purpose_not_granted",),
          ("purpose", "grant.purpose")),
    Check("_purpose_class_granted", "用途类别在授权之内", "The class of purpose is granted",
          ("purpose_class_not_granted",), ("purpose_class", "grant.purpose_class")),
    Check("_scenario_granted", "应用场景在授权之内", "The scenario is granted", ("scenario_not_granted",),
          ("scenario", "grant.scenario")),
    Check("_quota_left", "额度未用完", "Quota is left", ("quota_exhausted",), ("quota_exhausted",)),
)
"""In the order a person would ask. The fields asked for come after them."""


def explain(facts: Mapping[str, Any], policies: PolicySet | None = None) -> dict[str, Any]:
    """``{policy_version, effect, reasons, checks, fields}`` of one decision, made again from its facts.

    ``checks`` are ``held``, ``failed`` or ``not_asked`` (it made no difference); ``fields`` tell of each column that
    was asked for or could be had whether it may be read, and masked how. Raises EngineFailure.
    """
    version = policies or in_force()
    engine = _engine(version)
    answer = engine.evaluate(POLICY, facts)
    codes = [str(code) for code in answer.get("reasons", ())]
    return {
        "policy_version": version.version, "effect": answer["effect"],
        "reasons": sorted(codes, key=list(CATALOGUE).index), "sentences": sentences(facts, codes),
        "checks": [_told(engine, check, facts, codes) for check in CHECKS if _there(engine, check, facts)],
        "fields": _fields(facts, answer),
    }


_engines: dict[str, EmbeddedEngine] = {}


def _engine(policies: PolicySet) -> EmbeddedEngine:
    """The engine of a version, kept, for making one takes far longer than asking it."""
    known = _engines.get(policies.version)
    if known is None:
        if len(_engines) >= ENGINES_MAX:
            _engines.clear()
        known = _engines[policies.version] = EmbeddedEngine(policies)
    return known


def sentences(facts: Mapping[str, Any], codes: Sequence[str]) -> list[dict[str, str]]:
    """Each reason with its sentence and next step, in order of precedence; ``codes`` are of the catalogue."""
    grant, asked = facts.get("grant") or {}, facts.get("fields") or []
    fields = facts["object"].get("fields") or {}
    words = {
        "resource_id": facts["object"].get("resource_id", ""), "grant_id": grant.get("id", ""),
        **titles(str(facts.get("channel") or ""), str(facts.get("purpose") or ""), str(grant.get("purpose") or "")),
        "valid_from_on": str(grant.get("valid_from", ""))[:10],
        "valid_until_on": str(grant.get("valid_until", ""))[:10],
        "fields_unknown": "、".join(name for name in asked if name not in fields),
        "fields_refused": "、".join(name for name in asked if name in fields),
        "fields_query": ",".join(name for name in asked if name in fields),
    }
    return [
        {
            "code": code, "zh": CATALOGUE[code].zh.format(**words), "en": CATALOGUE[code].en.format(**words),
            "next_zh": CATALOGUE[code].next_zh.format(**words), "next_en": CATALOGUE[code].next_en.format(**words),
        }
        for code in sorted(codes, key=list(CATALOGUE).index)
    ]


def _rule(engine: EmbeddedEngine, name: str, facts: Mapping[str, Any]) -> Any:
    return engine.rule(f"data.govopen.{POLICY}.{name}", facts)


def _there(engine: EmbeddedEngine, check: Check, facts: Mapping[str, Any]) -> bool:
    """Whether this version of the policy has the rule."""
    try:
        _rule(engine, check.rule, facts)
    except EngineFailure:
        return False
    return True


def _told(engine: EmbeddedEngine, check: Check, facts: Mapping[str, Any], codes: Sequence[str]) -> dict[str, Any]:
    failed = [code for code in check.codes if code in codes]
    outcome: Outcome = "held" if _rule(engine, check.rule, facts) is True else "failed" if failed else "not_asked"
    if check.rule == "_unconditional" and outcome == "failed":
        outcome = "not_asked"  # what is open on conditions is no fault: the next check tells whether a grant was shown
    return {
        "rule": check.rule.removeprefix("_"), "zh": check.zh, "en": check.en, "outcome": outcome, "codes": failed,
        "facts": {path: _at(facts, path) for path in check.facts},
    }


def _at(facts: Mapping[str, Any], path: str) -> Any:
    found: Any = facts
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _fields(facts: Mapping[str, Any], answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    duties = answer.get("obligations") or {}
    allowed, masks = set(duties.get("columns", ())), facts.get("masks") or {}
    asked = facts.get("fields") or []
    attributes = facts["object"].get("fields") or {}
    grades = facts["object"].get("field_grades") or {}
    refused = set(answer.get("fields_refused", ()))
    names = dict.fromkeys([*attributes, *asked])
    return [
        {
            "name": name, "asked": name in asked, "open_attribute": attributes.get(name), "grade": grades.get(name),
            "mask": masks.get(name),
            "outcome": "readable" if name in allowed else "refused" if name in refused or not asked else "not_asked",
        }
        for name in names
    ]


def same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two explanations decide alike."""
    keys = ("effect", "reasons", "fields")
    return all(
        orjson.dumps(first[key], option=orjson.OPT_SORT_KEYS) == orjson.dumps(second[key], option=orjson.OPT_SORT_KEYS)
        for key in keys
    )
