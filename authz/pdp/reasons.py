"""Every reason a data decision can have: its code, its sentences, what to do next, in order of precedence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from authz.foundation.errors import Reason
from authz.vocabularies import label


@dataclass(frozen=True)
class Sentence:
    """What a reason says and what to do about it; ``{placeholders}`` come from the facts of the request."""

    zh: str
    en: str
    next_zh: str = ""
    next_en: str = ""


APPLY_ZH = "请在 /apply/{resource_id} 提交使用申请。"
APPLY_EN = "Apply at /apply/{resource_id}."

CATALOGUE: Mapping[str, Sentence] = {
    "policy_unavailable": Sentence(
        "暂时无法完成授权判定，按拒绝处理。", "The decision could not be made, which counts as a denial.",
        "请稍后重试；如仍出现，请联系平台运维。", "Try again; if it persists tell the operators."),
    "policy_rule_unknown": Sentence(
        "判定结果中含有无法识别的规则，按拒绝处理。", "The decision holds a rule that is not known: denied.",
        "请联系平台运维。", "Tell the operators."),
    "obligation_unfulfillable": Sentence(
        "无法落实授权附带的义务，按拒绝处理。", "A duty attached to the permit cannot be fulfilled: denied.",
        "请联系数据提供部门核对字段和脱敏规则。", "Ask the department to check the fields and masks."),
    "request_unknown": Sentence(
        "请求的操作、渠道或主体无法识别。", "The action, channel or subject of the request is not known.",
        "请对照接口描述 /v1/openapi.json 修改请求。", "Correct the request by /v1/openapi.json."),
    "object_unknown": Sentence(
        "没有该数据，或其目录信息不完整。", "There is no such data, or its catalogue facts are incomplete.",
        "请检查数据编号。", "Check the identifier."),
    "grade_core": Sentence(
        "核心数据不得对外提供。", "Core data is never provided.",
        "请查看目录中的其他数据。", "Look for other data in the catalogue."),
    "object_closed": Sentence(
        "该数据不予开放。", "This data is closed.",
        "如有异议，请在 /apply/{resource_id} 查看理由和救济途径。",
        "See the reason and the remedies at /apply/{resource_id}."),
    "personal_info_open": Sentence(
        "含个人信息的数据不得无条件开放。", "Data with personal information may not be open to everyone.",
        "请联系数据提供部门处理。", "Tell the department that provides it."),
    "grant_required": Sentence(
        "该数据有条件开放，需凭授权访问。",
        "This data is open on conditions: a grant is needed.", APPLY_ZH, APPLY_EN),
    "subject_anonymous": Sentence(
        "使用授权须表明身份。", "A grant cannot be used anonymously.",
        "请登录，或使用授权的访问密钥。", "Sign in, or use an access key of the grant."),
    "grant_malformed": Sentence(
        "授权信息不完整。", "The facts of the grant are incomplete.",
        "请在 /my/grants/{grant_id} 查看，或联系数据交易所。",
        "See /my/grants/{grant_id} or ask the exchange."),
    "grant_other_object": Sentence(
        "该授权不是针对此数据的。", "The grant is for other data.", APPLY_ZH, APPLY_EN),
    "grant_revoked": Sentence(
        "授权已被撤销。", "The grant has been revoked.",
        "撤销理由和救济途径见 /my/grants/{grant_id}。",
        "The reason and the remedies are at /my/grants/{grant_id}."),
    "grant_suspended": Sentence(
        "授权已被暂停。", "The grant is suspended.",
        "暂停理由见 /my/grants/{grant_id}，恢复后即可继续使用。",
        "See /my/grants/{grant_id}; it works again once resumed."),
    "grant_expired": Sentence(
        "授权已于 {valid_until_on} 到期。", "The grant expired on {valid_until_on}.",
        "请在 /apply/{resource_id} 重新申请。", "Apply again at /apply/{resource_id}."),
    "grant_exhausted": Sentence(
        "授权的总量已用完。", "All of the grant has been used.",
        "请在 /apply/{resource_id} 重新申请。", "Apply again at /apply/{resource_id}."),
    "grant_not_active": Sentence(
        "授权尚未生效或状态异常。", "The grant is not active.",
        "请在 /my/grants/{grant_id} 查看状态。", "See its state at /my/grants/{grant_id}."),
    "grant_not_started": Sentence(
        "授权自 {valid_from_on} 起生效。", "The grant starts on {valid_from_on}.",
        "请在生效日之后访问。", "Come back after that day."),
    "agreement_missing": Sentence(
        "授权没有对应的数据使用协议。", "No data use agreement stands behind the grant.",
        "请先在 /my/grants/{grant_id} 完成协议签署。", "Sign the agreement first, at /my/grants/{grant_id}."),
    "provider_consent_missing": Sentence(
        "该数据由其他单位共享，尚未取得提供单位同意。", "The unit that shared this data has not consented.",
        "请联系数据提供部门取得同意文件。", "Ask the department for the consent."),
    "risk_assessment_missing": Sentence(
        "重要数据对外提供前须完成风险评估。", "Important data needs a risk assessment before it is provided.",
        "请联系数据提供部门完成评估。", "Ask the department for the assessment."),
    "operator_conflict": Sentence(
        "该数据由被授权单位或与其受同一控制的单位运营（或无法核对其统一社会信用代码），不得参与再开发。",
        "The grantee, or an organisation under the same control, operates this data (or its code is not known):"
        " it may not take part in developing it further.",
        "请由与运营机构无关的单位申请；如登记有误，请联系数据提供部门核对运营机构。",
        "An organisation apart from the operator has to apply; if the record is wrong ask the department."),
    "address_not_allowed": Sentence(
        "调用地址不在授权允许的范围内。", "The call comes from an address that the grant does not allow.",
        "请从约定的地址调用，或在 /my/grants/{grant_id} 申请变更。",
        "Call from an agreed address, or ask for a change at /my/grants/{grant_id}."),
    "channel_not_granted": Sentence(
        "授权不包含“{channel_zh}”这种交付方式。",
        "The grant does not include this form of delivery: {channel_en}.", APPLY_ZH, APPLY_EN),
    "purpose_not_granted": Sentence(
        "用途“{purpose_zh}”不在授权范围内，授权用途为“{granted_purpose_zh}”。",
        "The purpose '{purpose_en}' is not the granted one, '{granted_purpose_en}'.",
        "请按授权用途使用，或在 /apply/{resource_id} 为新用途提交申请。",
        "Use it for the granted purpose, or apply for the new one at /apply/{resource_id}."),
    "purpose_class_not_granted": Sentence(
        "用途类别不在授权范围内。", "The class of purpose is not the granted one.", APPLY_ZH, APPLY_EN),
    "scenario_not_granted": Sentence(
        "应用场景不在授权范围内。", "The scenario is not the granted one.", APPLY_ZH, APPLY_EN),
    "fields_unknown": Sentence(
        "没有以下字段：{fields_unknown}。", "There are no such fields: {fields_unknown}.",
        "可用字段见 /data/v1/{resource_id}/schema。", "See the fields at /data/v1/{resource_id}/schema."),
    "fields_not_open": Sentence(
        "以下字段不对外开放：{fields_refused}。", "These fields are not open: {fields_refused}.",
        "请去掉这些字段，或在 /apply/{resource_id} 申请。",
        "Leave them out, or apply at /apply/{resource_id}."),
    "fields_not_granted": Sentence(
        "授权不包含以下字段：{fields_refused}。", "The grant does not include these fields: {fields_refused}.",
        "请去掉这些字段，或在 /apply/{resource_id}?fields={fields_query} 申请这些字段。",
        "Leave them out, or apply for these fields at /apply/{resource_id}?fields={fields_query}."),
    "fields_none": Sentence(
        "没有可以提供的字段。", "There is no field that may be provided.", APPLY_ZH, APPLY_EN),
    "quota_exhausted": Sentence(
        "本期额度已用完。", "The quota of this period is used up.",
        "请等待下一周期，或在 /my/grants/{grant_id} 申请增加额度。",
        "Wait for the next period, or ask for more at /my/grants/{grant_id}."),
}
"""In order of precedence: what nobody can change first, what the caller can change last."""

PRECEDENCE: Mapping[str, int] = {code: place for place, code in enumerate(CATALOGUE)}


OF_FIELDS: Mapping[str, str] = {
    "fields_unknown": "fields_unknown", "fields_not_open": "fields_refused", "fields_not_granted": "fields_refused",
}
"""Reasons that are about fields, and the word that names them."""

FIXED: Mapping[str, Reason] = {
    code: Reason(code, sentence.zh, sentence.en)
    for code, sentence in CATALOGUE.items() if "{" not in sentence.zh + sentence.en and code not in OF_FIELDS
}
"""Reasons whose sentences have no placeholder: one of each is enough."""


def titles(channel: str, purpose: str, granted_purpose: str) -> dict[str, str]:
    """What people read for the form of delivery and the purposes of a request, by placeholder."""
    found = {
        "channel": label("delivery_forms", channel), "purpose": label("purposes", purpose),
        "granted_purpose": label("purposes", granted_purpose),
    }
    return {f"{name}_{language}": getattr(term, language) for name, term in found.items() for language in ("zh", "en")}


def sorted_reasons(codes: Iterable[str], words: Mapping[str, str]) -> tuple[tuple[Reason, ...], str, str]:
    """Reasons in order with their sentences, and the next step of the first one in Chinese and English.

    Raises KeyError for a code that the catalogue lacks.
    """
    ordered = sorted(set(codes), key=PRECEDENCE.__getitem__)
    first = CATALOGUE[ordered[0]]
    reasons = tuple(FIXED.get(code) or _told(code, words) for code in ordered)
    return reasons, first.next_zh.format_map(words), first.next_en.format_map(words)


def _told(code: str, words: Mapping[str, str]) -> Reason:
    sentence = CATALOGUE[code]
    about = {"fields": words[OF_FIELDS[code]].split("、")} if code in OF_FIELDS else {}
    return Reason(code, sentence.zh.format_map(words), sentence.en.format_map(words), about)
