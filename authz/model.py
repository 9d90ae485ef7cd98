"""The facts a decision is made from: data objects, their fields, grants. Plain values, no I/O."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

FieldType = Literal["text", "integer", "numeric", "date", "timestamp", "boolean"]
FIELD_TYPES: tuple[str, ...] = get_args(FieldType)


class OpenAttribute(enum.StrEnum):
    """Open attribute 开放属性 (上海市数据条例 41, 深圳经济特区数据条例 48)."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    CLOSED = "closed"


OPEN_ATTRIBUTE_ZH: Mapping[OpenAttribute, str] = {
    OpenAttribute.UNCONDITIONAL: "无条件开放",
    OpenAttribute.CONDITIONAL: "有条件开放",
    OpenAttribute.CLOSED: "不予开放",
}


class Grade(enum.StrEnum):
    """Grade 数据分级 (GB/T 43697-2024), from the gravest to the lightest."""

    CORE = "core"
    IMPORTANT = "important"
    GENERAL_4 = "general-4"
    GENERAL_3 = "general-3"
    GENERAL_2 = "general-2"
    GENERAL_1 = "general-1"

    @property
    def rank(self) -> int:
        """1 for the lightest (general-1) to 6 for core."""
        return len(Grade) - list(Grade).index(self)


GRADE_ZH: Mapping[Grade, str] = {
    Grade.CORE: "核心数据",
    Grade.IMPORTANT: "重要数据",
    Grade.GENERAL_4: "一般数据4级",
    Grade.GENERAL_3: "一般数据3级",
    Grade.GENERAL_2: "一般数据2级",
    Grade.GENERAL_1: "一般数据1级",
}

MASK_KINDS: Mapping[str, tuple[str, ...]] = {
    "generalise_number": (),
    "generalise_date": ("year", "quarter", "month"),
    "generalise_region": ("2", "4", "6", "9"),
    "partial": ("name", "phone", "id", "middle"),
    "hash": ("",),
    "null": ("",),
    "hide": ("",),
}
"""Kinds from the weakest to the strongest, with the details each allows (numbers: any step above 0)."""

_STEP = re.compile(r"[1-9][0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class Mask:
    """How a field is shown: written ``kind`` or ``kind:detail``.

    ``hide`` leaves the column out; ``null`` keeps it empty; ``hash`` is keyed with the grant's salt, so equal
    values stay joinable inside one grant and nowhere else; ``partial:name|phone|id|middle`` keeps the ends;
    ``generalise_date:year|quarter|month``, ``generalise_number:<step>``, ``generalise_region:<digits kept>``.
    """

    kind: str
    detail: str = ""

    @classmethod
    def parse(cls, text: str) -> Mask:
        """Read a mask as it is written in a grant; raises ValueError for any that is not known."""
        return _parsed_mask(str(text))

    @classmethod
    def _read(cls, text: str) -> Mask:
        kind, _, detail = str(text).partition(":")
        if kind == "partial" and not detail:
            detail = "middle"
        known = MASK_KINDS.get(kind)
        if known is None:
            raise ValueError(f"unknown mask: {kind}")
        if kind == "generalise_number":
            if not _STEP.fullmatch(detail):
                raise ValueError("generalise_number needs a whole step above 0")
        elif detail not in known:
            raise ValueError(f"unknown detail of mask {kind}: {detail}")
        return cls(kind, detail)

    @property
    def strength(self) -> int:
        """Order between kinds: a grant may make a field's own mask stronger, never weaker."""
        return list(MASK_KINDS).index(self.kind)

    def __str__(self) -> str:
        return f"{self.kind}:{self.detail}" if self.detail else self.kind


@lru_cache(maxsize=1_024)
def _parsed_mask(text: str) -> Mask:
    return Mask._read(text)


FilterOp = Literal["eq", "in", "prefix", "gte", "lte"]
FILTER_OPS: tuple[str, ...] = get_args(FilterOp)


@dataclass(frozen=True, slots=True)
class RowFilter:
    """One condition on rows. ``value`` is a scalar, or a tuple of scalars for ``in``. Several are AND-ed."""

    field: str
    op: str
    value: Any

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> RowFilter:
        """Read ``{field, op, value}``; raises ValueError for an unknown operator or a value that does not fit."""
        op, value = str(document["op"]), document["value"]
        if op not in FILTER_OPS:
            raise ValueError(f"unknown filter operator: {op}")
        if op == "in":
            if not isinstance(value, list | tuple) or not value:
                raise ValueError("'in' needs a list with at least one value")
            value = tuple(value)
        scalars = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(scalar, str | int | float | bool) for scalar in scalars):
            raise ValueError("a filter compares with text, numbers or truth values")
        return cls(str(document["field"]), op, value)

    def as_document(self) -> dict[str, Any]:
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"field": self.field, "op": self.op, "value": value}


@dataclass(frozen=True)
class DataField:
    """One column of a data object, graded and opened on its own (DOMAIN: CAT-03)."""

    name: str
    title: str
    type: str = "text"
    grade: Grade = Grade.GENERAL_1
    open_attribute: OpenAttribute = OpenAttribute.UNCONDITIONAL
    sensitive: bool = False
    mask: Mask | None = None
    description: str = ""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> DataField:
        mask = document.get("mask")
        return cls(
            name=str(document["name"]),
            title=str(document.get("title") or document["name"]),
            type=str(document.get("type", "text")),
            grade=Grade(document.get("grade", Grade.GENERAL_1)),
            open_attribute=OpenAttribute(document.get("open_attribute", OpenAttribute.UNCONDITIONAL)),
            sensitive=bool(document.get("sensitive", False)),
            mask=Mask.parse(mask) if mask else None,
            description=str(document.get("description") or ""),
        )

    def as_document(self) -> dict[str, Any]:
        return {
            "name": self.name, "title": self.title, "type": self.type, "grade": self.grade.value,
            "open_attribute": self.open_attribute.value, "sensitive": self.sensitive,
            "mask": str(self.mask) if self.mask else None, "description": self.description,
        }


@dataclass(frozen=True)
class DataObject:
    """A file or table of the catalogue as ``authz`` knows it. ``location`` is the service's secret.

    ``location`` is ``{"kind": "restricted", "schema", "table"}`` or ``{"kind": "datastore", "table"}`` or None
    while nothing has been loaded; ``shared_from`` names the unit that shared the data and must consent;
    ``operator_uscc`` is the unified social credit code of the organisation that operates it under an authorisation.
    """

    resource_id: str
    dataset_id: str
    dataset_name: str
    dataset_title: str
    title: str
    organisation_id: str
    organisation_name: str
    open_attribute: OpenAttribute
    grade: Grade
    has_personal_info: bool = False
    fields: tuple[DataField, ...] = ()
    conditions: Mapping[str, str] = field(default_factory=dict)
    refuse_reason: str = ""
    legal_basis: str = ""
    shared_from: str | None = None
    operator_uscc: str | None = None
    version: int = 0
    location: Mapping[str, str] | None = field(default=None, repr=False)

    @classmethod
    def from_document(
        cls, document: Mapping[str, Any], *, version: int = 0, location: Mapping[str, str] | None = None
    ) -> DataObject:
        """Build from stored or sent JSON; raises KeyError or ValueError when it is malformed."""
        return cls(
            resource_id=str(document["resource_id"]),
            dataset_id=str(document["dataset_id"]),
            dataset_name=str(document.get("dataset_name") or document["dataset_id"]),
            dataset_title=str(document.get("dataset_title") or document.get("dataset_name") or ""),
            title=str(document.get("title") or ""),
            organisation_id=str(document["organisation_id"]),
            organisation_name=str(document.get("organisation_name") or ""),
            open_attribute=OpenAttribute(document["open_attribute"]),
            grade=Grade(document["grade"]),
            has_personal_info=bool(document.get("has_personal_info", False)),
            fields=tuple(DataField.from_document(one) for one in document.get("fields", ())),
            conditions={str(k): str(v) for k, v in (document.get("conditions") or {}).items() if v},
            refuse_reason=str(document.get("refuse_reason") or ""),
            legal_basis=str(document.get("legal_basis") or ""),
            shared_from=document.get("shared_from") or None,
            operator_uscc=document.get("operator_uscc") or None,
            version=version,
            location=location,
        )

    def as_document(self) -> dict[str, Any]:
        """The catalogue facts, without version and never with the location."""
        return {
            "resource_id": self.resource_id, "dataset_id": self.dataset_id,
            "dataset_name": self.dataset_name, "dataset_title": self.dataset_title, "title": self.title,
            "organisation_id": self.organisation_id, "organisation_name": self.organisation_name,
            "open_attribute": self.open_attribute.value, "grade": self.grade.value,
            "has_personal_info": self.has_personal_info,
            "fields": [one.as_document() for one in self.fields], "conditions": dict(self.conditions),
            "refuse_reason": self.refuse_reason, "legal_basis": self.legal_basis,
            "shared_from": self.shared_from, "operator_uscc": self.operator_uscc,
        }

    @cached_property
    def by_name(self) -> Mapping[str, DataField]:
        return {one.name: one for one in self.fields}

    @property
    def restricted(self) -> bool:
        """Whether rows may only leave under a grant."""
        return self.open_attribute is not OpenAttribute.UNCONDITIONAL


class GrantState(enum.StrEnum):
    """State of a grant 授权; only ``active`` lets anything through."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    EXPIRED = "expired"
    EXHAUSTED = "exhausted"


class PurposeClass(enum.StrEnum):
    """Use class 用途类别 (发改价格〔2025〕65号): public interest is free by force, industry may be charged."""

    PUBLIC_INTEREST = "public_interest"
    INDUSTRY = "industry"


class DeliveryForm(enum.StrEnum):
    """How data leaves; the channel of a request must be among those of the grant."""

    API = "api"
    DOWNLOAD = "download"
    VERIFY = "verify"
    ANALYSIS = "analysis"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class QuotaTerms:
    """How much a grant allows; None is without bound. Months and days are Beijing's; ``life`` is the grant's term.

    ``keys`` are the distinct values that lookups by key asked for.
    """

    rows_month: int | None = None
    calls_day: int | None = None
    calls_minute: int | None = None
    rows_call: int | None = None
    rows_day: int | None = None
    rows_life: int | None = None
    calls_month: int | None = None
    calls_life: int | None = None
    bytes_day: int | None = None
    bytes_month: int | None = None
    bytes_life: int | None = None
    keys_day: int | None = None
    keys_month: int | None = None
    keys_life: int | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None) -> QuotaTerms:
        found = document or {}
        return cls(**{one.name: found.get(one.name) for one in fields(cls)})

    def as_document(self) -> dict[str, int]:
        pairs = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: bound for name, bound in pairs if bound is not None}


@dataclass(frozen=True)
class GrantFacts:
    """What a decision needs to know of a grant, read fresh for every call so that a revocation holds at once.

    ``valid_from`` ≤ now < ``valid_until``; ``delivery`` holds DeliveryForm values; ``ip_allow`` CIDR ranges, empty
    for any address; ``salt`` keys the hash masks of this grant and must never be printed or sent; ``party_usccs`` are
    the codes of the grantee and of those under the same control.
    """

    id: str
    state: str
    party_id: str
    resource_id: str
    columns: tuple[str, ...]
    purpose_class: str
    purpose: str
    scenario: str
    delivery: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime
    masks: Mapping[str, Mask] = field(default_factory=dict)
    row_filter: tuple[RowFilter, ...] = ()
    quota: QuotaTerms = field(default_factory=QuotaTerms)
    ip_allow: tuple[str, ...] = ()
    salt: str = field(default="", repr=False)
    agreement_id: str | None = None
    rate_card_version: str | None = None
    consent_of_provider: bool = False
    risk_assessment_id: str | None = None
    party_usccs: tuple[str, ...] = ()
