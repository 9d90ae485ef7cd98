"""What an application and a decision on it must satisfy against the data object: each fault names its field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authz import (
    DataField,
    DataObject,
    DeliveryForm,
    FieldError,
    Grade,
    InvalidInput,
    Mask,
    OpenAttribute,
    PurposeClass,
    RowFilter,
)
from authz.obligations.values import ValueUnfit, typed
from authz.vocabularies import lists
from licensing.applications.model import FieldAsked, Request
from licensing.errors import ClosedToApplication, OpenNeedsNoApplication
from licensing.limits import procedure

REGION = re.compile(r"[1-9][0-9](?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{3}(?:[0-9]{3})?)?)?)?")
"""Division codes of GB/T 2260 and the statistical code: 2, 4, 6, 9 or 12 digits."""
FILTER_OPS = ("eq", "in", "prefix", "gte", "lte")
OFFERED_FORMS = frozenset({DeliveryForm.API, DeliveryForm.DOWNLOAD})
"""Delivery forms that this platform serves; raw restricted rows leave under the grant's columns, masks and filter."""


@dataclass(frozen=True)
class Asked:
    """An application's content as it was sent, before it has been checked."""

    fields: Sequence[str]
    purpose_class: PurposeClass
    purpose: str
    purpose_text: str
    scenario: str
    region_codes: Sequence[str]
    term_months: int
    delivery: Sequence[str]
    expected_rows_month: int


@dataclass(frozen=True)
class FieldVerdict:
    """The owner's verdict on one field."""

    name: str
    verdict: str
    reason: str | None = None


def require_applyable(data_object: DataObject) -> None:
    """Raise unless the object is open under conditions: unconditional needs none, closed takes none."""
    if data_object.open_attribute is OpenAttribute.UNCONDITIONAL:
        raise OpenNeedsNoApplication(resource_id=data_object.resource_id)
    if data_object.open_attribute is OpenAttribute.CLOSED:
        why = "；".join(part for part in (data_object.refuse_reason, data_object.legal_basis) if part)
        raise ClosedToApplication(why=why or "—")


def checked_request(data_object: DataObject, asked: Asked) -> Request:
    """The request when it fits the object and the code lists; raises InvalidInput with every fault at once."""
    errors: list[FieldError] = []
    fields = _checked_fields(data_object, asked.fields, errors)
    purpose = lists()["purposes"].get(asked.purpose)
    if purpose is None:
        errors.append(FieldError("purpose", "unknown_purpose", "用途不在用途目录中", "is not in the list of purposes"))
    elif asked.purpose_class.value not in purpose.classes:
        errors.append(FieldError(
            "purpose_class", "purpose_class_mismatch", f"用途“{purpose.zh}”不属于该用途类别",
            f"the purpose '{purpose.en}' does not belong to this class",
        ))
    limit = procedure().term_months_max
    if not 1 <= asked.term_months <= limit:
        errors.append(FieldError(
            "term_months", "term_out_of_range", f"期限应为1至{limit}个月", f"must be from 1 to {limit} months"
        ))
    for n, form in enumerate(asked.delivery):
        if form not in {one.value for one in OFFERED_FORMS}:
            errors.append(FieldError(
                f"delivery.{n}", "delivery_not_offered", "该交付方式暂不提供，可选：api、download",
                "is not offered; choose api or download",
            ))
    _unique(asked.delivery, "delivery", errors)
    for n, code in enumerate(asked.region_codes):
        if not REGION.fullmatch(code):
            errors.append(FieldError(
                f"region_codes.{n}", "region_code", "不是有效的行政区划代码（2、4、6、9或12位数字）",
                "is not a division code of 2, 4, 6, 9 or 12 digits",
            ))
    _unique(asked.region_codes, "region_codes", errors)
    if errors:
        raise InvalidInput(errors)
    return Request(
        fields=fields, purpose_class=asked.purpose_class, purpose=asked.purpose, purpose_text=asked.purpose_text,
        scenario=asked.scenario, region_codes=tuple(asked.region_codes), term_months=asked.term_months,
        delivery=tuple(asked.delivery), expected_rows_month=asked.expected_rows_month,
    )


def _unique(values: Sequence[str], field: str, errors: list[FieldError]) -> None:
    for n, value in enumerate(values):
        if value in values[:n]:
            errors.append(FieldError(f"{field}.{n}", "duplicate", "重复", "is repeated"))


def _checked_fields(
    data_object: DataObject, names: Sequence[str], errors: list[FieldError]
) -> tuple[FieldAsked, ...]:
    _unique(names, "fields", errors)
    found = []
    for n, name in enumerate(names):
        known = data_object.by_name.get(name)
        if known is None:
            errors.append(FieldError(
                f"fields.{n}", "unknown_field", "该数据没有这个字段", "the data has no such field"
            ))
        elif known.open_attribute is OpenAttribute.CLOSED or known.grade is Grade.CORE:
            errors.append(FieldError(
                f"fields.{n}", "field_closed", f"字段“{known.title}”不予开放，不能申请",
                f"the field '{known.name}' is closed and cannot be applied for",
            ))
        else:
            found.append(FieldAsked(name, known.title))
    return tuple(found)


def checked_verdicts(
    asked: Sequence[FieldAsked], verdicts: Sequence[FieldVerdict]
) -> tuple[FieldAsked, ...]:
    """The fields with their verdicts; every field exactly once, each refusal with its reason."""
    errors: list[FieldError] = []
    names = [one.name for one in asked]
    given: dict[str, FieldVerdict] = {}
    for n, one in enumerate(verdicts):
        if one.name not in names:
            errors.append(FieldError(f"fields.{n}.name", "not_asked", "申请中没有这个字段", "was not applied for"))
        elif one.name in given:
            errors.append(FieldError(f"fields.{n}.name", "duplicate", "重复", "is repeated"))
        else:
            given[one.name] = one
        if one.verdict == "refuse" and not (one.reason or "").strip():
            errors.append(FieldError(
                f"fields.{n}.reason", "reason_required", "不同意的字段必须说明理由", "a refused field needs a reason"
            ))
    missing = [name for name in names if name not in given]
    if missing:
        errors.append(FieldError(
            "fields", "verdict_missing", "以下字段尚未作出决定：" + "、".join(missing),
            "no verdict for: " + ", ".join(missing),
        ))
    if errors:
        raise InvalidInput(errors)
    return tuple(
        FieldAsked(
            one.name, one.title, "approve" if given[one.name].verdict == "approve" else "refuse",
            given[one.name].reason,
        )
        for one in asked
    )


def checked_row_filter(data_object: DataObject, row_filter: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The filter in its stored form; fields must exist, operators be known, values fit the field's type."""
    errors: list[FieldError] = []
    found = []
    for n, one in enumerate(row_filter):
        known = data_object.by_name.get(str(one.get("field")))
        if known is None:
            errors.append(FieldError(
                f"row_filter.{n}.field", "unknown_field", "该数据没有这个字段", "the data has no such field"
            ))
            continue
        try:
            condition = RowFilter.from_document(one)
        except ValueError:
            errors.append(FieldError(
                f"row_filter.{n}.value", "filter_value", "过滤值与运算符不匹配", "does not fit the operator"
            ))
            continue
        wrong = _filter_fault(known, condition)
        if wrong:
            errors.append(FieldError(f"row_filter.{n}.value", "filter_value", *wrong))
        found.append(condition.as_document())
    if errors:
        raise InvalidInput(errors)
    return tuple(found)


def _filter_fault(known: DataField, condition: RowFilter) -> tuple[str, str] | None:
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if condition.op == "prefix" and (known.type != "text" or not all(isinstance(v, str) and v for v in values)):
        return "前缀过滤只用于文本字段，且不能为空", "a prefix needs a text field and must not be empty"
    if not all(_fits(known.type, value) for value in values):
        return f"过滤值不符合字段类型 {known.type}", f"does not fit the field's type {known.type}"
    return None


def _fits(kind: str, value: Any) -> bool:
    """Whether the value is of the field's JSON type, and one that a query can be compiled with."""
    try:
        typed(value, kind)
    except ValueUnfit:
        return False
    match kind:
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "numeric":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return isinstance(value, str) and len(value) <= 500


MASK_TYPES = {
    "partial": ("text",), "generalise_region": ("text",), "generalise_date": ("date", "timestamp"),
    "generalise_number": ("integer", "numeric"),
}
"""Masks that mean something for some types of fields only."""


def checked_masks(
    data_object: DataObject, masks: Mapping[str, str], approved: Iterable[str]
) -> dict[str, str]:
    """Masks per approved field: what the owner set, never weaker than the field's own mask."""
    errors: list[FieldError] = []
    granted = set(approved)
    found = {name: str(f.mask) for name, f in data_object.by_name.items() if f.mask and name in granted}
    for name, text in masks.items():
        if name not in granted:
            errors.append(FieldError(
                f"masks.{name}", "not_approved", "只能为同意的字段设置脱敏", "only approved fields can be masked"
            ))
            continue
        try:
            mask = Mask.parse(text)
        except ValueError:
            errors.append(FieldError(f"masks.{name}", "unknown_mask", "不是已知的脱敏方式", "is not a known mask"))
            continue
        known = data_object.by_name[name]
        if known.type not in MASK_TYPES.get(mask.kind, (known.type,)):
            errors.append(FieldError(
                f"masks.{name}", "mask_type", f"该脱敏方式不适用于 {known.type} 类型的字段",
                f"this mask does not fit a field of type {known.type}",
            ))
        elif known.mask is not None and mask.strength < known.mask.strength:
            errors.append(FieldError(
                f"masks.{name}", "mask_weaker", f"不能弱于字段规定的脱敏方式 {known.mask}",
                f"must not be weaker than the field's own mask {known.mask}",
            ))
        else:
            found[name] = str(mask)
    if errors:
        raise InvalidInput(errors)
    return found


def checked_conditions(
    data_object: DataObject, fields: Sequence[FieldAsked], consent: str | None, assessment: str | None
) -> None:
    """Shared data needs the providing unit's consent (公共数据资源授权运营实施规范 5), important data a risk
    assessment (网络数据安全管理条例 31); raises InvalidInput when the owner recorded none."""
    errors = []
    if data_object.shared_from and not (consent or "").strip():
        errors.append(FieldError(
            "consent_reference", "consent_required", f"数据来自{data_object.shared_from}，须登记其同意文件",
            f"the data was shared by {data_object.shared_from}: record their consent",
        ))
    important = data_object.grade is Grade.IMPORTANT or any(
        data_object.by_name[one.name].grade is Grade.IMPORTANT
        for one in fields if one.decision == "approve" and one.name in data_object.by_name
    )
    if important and not (assessment or "").strip():
        errors.append(FieldError(
            "risk_assessment_id", "assessment_required", "重要数据须登记风险评估编号",
            "important data needs the number of its risk assessment",
        ))
    if errors:
        raise InvalidInput(errors)
