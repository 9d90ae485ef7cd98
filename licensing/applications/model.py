"""Access applications 使用申请: what is asked for, what was decided, the offer. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal

from authz import PurposeClass
from licensing.lifecycle import ApplicationState

Verdict = Literal["approve", "refuse"]


@dataclass(frozen=True)
class FieldAsked:
    """One field of the application with the owner's verdict, once there is one."""

    name: str
    title: str
    decision: Verdict | None = None
    reason: str | None = None

    def as_document(self) -> dict[str, Any]:
        return {"name": self.name, "title": self.title, "decision": self.decision, "reason": self.reason}


@dataclass(frozen=True)
class ObjectSnapshot:
    """The data object as it was when the application was made or last changed."""

    resource_id: str
    dataset_name: str
    dataset_title: str
    title: str
    organisation_id: str
    organisation_name: str
    version: int
    grade: str = ""

    def as_document(self) -> dict[str, Any]:
        return {
            "resource_id": self.resource_id, "dataset_name": self.dataset_name,
            "dataset_title": self.dataset_title, "title": self.title, "organisation_id": self.organisation_id,
            "organisation_name": self.organisation_name, "version": self.version, "grade": self.grade,
        }


@dataclass(frozen=True)
class Review:
    """The memory of the procedure: which reviewers are done, what was asked and answered.

    ``supplement``: {reason, items, asked_by_step, answer}; ``consultation``: {party, reason, opinion, text};
    ``extension``: {step, working_days, reason, asked_by}; ``consent_reference`` and ``risk_assessment_id`` are what
    the owner recorded for shared and for important data.
    """

    passed: tuple[str, ...] = ()
    supplements: Mapping[str, int] = field(default_factory=dict)
    extensions: Mapping[str, int] = field(default_factory=dict)
    supplement: Mapping[str, Any] | None = None
    consultation: Mapping[str, Any] | None = None
    extension: Mapping[str, Any] | None = None
    consent_reference: str | None = None
    risk_assessment_id: str | None = None
    decision_reason: str | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Review:
        return cls(**{**document, "passed": tuple(document.get("passed", ()))})

    def as_document(self) -> dict[str, Any]:
        return {
            "passed": list(self.passed), "supplements": dict(self.supplements), "extensions": dict(self.extensions),
            "supplement": self.supplement, "consultation": self.consultation, "extension": self.extension,
            "consent_reference": self.consent_reference, "risk_assessment_id": self.risk_assessment_id,
            "decision_reason": self.decision_reason,
        }


@dataclass(frozen=True)
class Request:
    """What the applicant asks for; what a draft or a supplement may change."""

    fields: tuple[FieldAsked, ...]
    purpose_class: PurposeClass
    purpose: str
    purpose_text: str
    scenario: str
    region_codes: tuple[str, ...]
    term_months: int
    delivery: tuple[str, ...]
    expected_rows_month: int


@dataclass(frozen=True)
class Application:
    """An application as it stands. ``due_on`` is the reviewer's last day, ``lapses_on`` the applicant's."""

    id: str
    number: str
    version: int
    state: ApplicationState
    party_id: str
    resource_id: str
    organisation_id: str
    object: ObjectSnapshot
    request: Request
    review: Review
    row_filter: tuple[Mapping[str, Any], ...]
    masks: Mapping[str, str]
    price_proposal: Mapping[str, Any] | None
    offer: Mapping[str, Any] | None
    created_by: str
    created_by_name: str
    created_at: datetime
    submitted_by: str | None = None
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    due_on: date | None = None
    lapses_on: date | None = None
    agreement_id: str | None = None
    grant_id: str | None = None

    @property
    def approved_fields(self) -> tuple[FieldAsked, ...]:
        return tuple(one for one in self.request.fields if one.decision == "approve")

    @property
    def refused_fields(self) -> tuple[FieldAsked, ...]:
        return tuple(one for one in self.request.fields if one.decision == "refuse")

    @property
    def chargeable(self) -> bool:
        """Public governance and public welfare are free by force (发改价格〔2025〕65号)."""
        return self.request.purpose_class is PurposeClass.INDUSTRY

    @property
    def submitters(self) -> tuple[str | None, ...]:
        """User ids of those who may not decide it."""
        return (self.created_by, self.submitted_by)

    def with_fields(self, fields: tuple[FieldAsked, ...]) -> Application:
        return replace(self, request=replace(self.request, fields=fields))
