"""The facts a decision is made from: data objects, their fields, grants. Plain values, no I/O."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

from authz.conditions import FILTER_OPS as FILTER_OPS
from authz.conditions import MASK_KINDS as MASK_KINDS
from authz.conditions import FilterOp as FilterOp
from authz.conditions import Mask as Mask
from authz.conditions import RowFilter as RowFilter

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

PARTS_KEPT = 256
"""Sets of columns of which an object keeps its facts prepared; more than that is made anew."""


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

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.by_name)

    @cached_property
    def _parts(self) -> dict[tuple[str, ...], tuple[dict[str, Any], dict[str, Mask]]]:
        return {}

    def policy_facts(self, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Mask]]:
        """What a policy reads of the object and of these of its fields, and their own masks. Not to be written to."""
        made = self._parts.get(names)
        if made is None:
            known = [self.by_name[name] for name in dict.fromkeys(names) if name in self.by_name]
            made = {
                "resource_id": self.resource_id,
                "open_attribute": self.open_attribute.value,
                "grade": self.grade.value,
                "has_personal_info": self.has_personal_info,
                "shared": self.shared_from is not None,
                "operator_uscc": self.operator_uscc,
                "fields": {one.name: one.open_attribute.value for one in known},
                "field_grades": {one.name: one.grade.value for one in known},
            }, {one.name: one.mask for one in known if one.mask is not None}
            if len(self._parts) >= PARTS_KEPT:
                self._parts.clear()
            self._parts[names] = made
        return made

    @cached_property
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

    @property
    def bounded(self) -> bool:
        """Whether anything is bounded at all."""
        return any(getattr(self, name) is not None for name in self.__slots__)

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None) -> QuotaTerms:
        found = document or {}
        return cls(**{one.name: found.get(one.name) for one in fields(cls)})

    def as_document(self) -> dict[str, int]:
        pairs = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: bound for name, bound in pairs if bound is not None}


@lru_cache(maxsize=8_192)
def stamp(at: datetime) -> str:
    """An instant as text of fixed width, so that text order is time order in every engine. Many grants share one."""
    return (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat(timespec="microseconds")


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

    @cached_property
    def policy_facts(self) -> dict[str, Any]:
        """What a policy reads of the grant. Not to be written to."""
        return {
            "id": self.id,
            "state": str(self.state),
            "resource_id": self.resource_id,
            "columns": self.columns,
            "delivery": self.delivery,
            "purpose": self.purpose,
            "purpose_class": str(self.purpose_class),
            "scenario": self.scenario,
            "valid_from": stamp(self.valid_from),
            "valid_until": stamp(self.valid_until),
            "agreement": self.agreement_id is not None,
            "consent_of_provider": self.consent_of_provider,
            "risk_assessed": self.risk_assessment_id is not None,
            "party_usccs": self.party_usccs,
        }
