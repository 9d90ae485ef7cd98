"""The question and its answer: DecisionRequest, Decision, Obligations. A Decision is never a boolean."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NoReturn

from authz.foundation.errors import Forbidden, Language, Reason
from authz.model import DataObject, GrantFacts, Mask, QuotaTerms, RowFilter

SubjectKind = Literal["public", "user", "grant", "key"]
LogLevel = Literal["summary", "full"]


class Effect(enum.StrEnum):
    """Verdict 判定: there are two, and an unanswered question is the second."""

    PERMIT = "permit"
    DENY = "deny"


@dataclass(frozen=True)
class Obligations:
    """Duties attached to a permit; a place that cannot fulfil one of them must deny.

    ``columns`` in output order (hidden ones already left out), ``masks`` per column, ``row_filter`` AND-ed,
    ``watermark`` the grantee's mark to leave in what is delivered, ``quota`` bounds to reserve against,
    ``log_level`` how much of the call is recorded, ``k_floor`` smallest group an aggregate may show.
    """

    columns: tuple[str, ...] = ()
    masks: Mapping[str, Mask] = field(default_factory=dict)
    row_filter: tuple[RowFilter, ...] = ()
    watermark: str | None = None
    quota: QuotaTerms | None = None
    log_level: LogLevel = "summary"
    k_floor: int | None = None

    def as_document(self) -> dict[str, Any]:
        """JSON form for the API and the evidence."""
        return {
            "columns": list(self.columns),
            "masks": {name: str(mask) for name, mask in self.masks.items()},
            "row_filter": [one.as_document() for one in self.row_filter],
            "watermark": self.watermark,
            "quota": self.quota.as_document() if self.quota else None,
            "log_level": self.log_level,
            "k_floor": self.k_floor,
        }


@dataclass(frozen=True)
class DecisionRequest:
    """May this subject do this to that object now?

    ``action`` is ``read`` (rows) or ``aggregate`` (groups only); ``fields`` None asks for all that may be had;
    ``purpose``, ``purpose_class`` and ``scenario`` None mean "as the grant says"; ``channel`` is a
    DeliveryForm; ``quota_exhausted`` is what the meter says at this moment; ``address`` is the caller's IP address.
    """

    subject_kind: SubjectKind
    subject_id: str
    object: DataObject
    now: datetime
    action: str = "read"
    grant: GrantFacts | None = None
    fields: tuple[str, ...] | None = None
    purpose: str | None = None
    purpose_class: str | None = None
    scenario: str | None = None
    channel: str = "api"
    quota_exhausted: bool = False
    address: str | None = None


class DecisionIsNotBoolean(TypeError):
    """Somebody wrote ``if decision:``; a denial would have passed or a permit's duties been forgotten."""


class Denied(Forbidden):
    """A denial as an answer: the first reason speaks, all are listed."""

    code = "denied"
    zh = "{sentence_zh}"
    en = "{sentence_en}"
    next_zh = "{then_zh}"
    next_en = "{then_en}"

    def __init__(self, decision: Decision) -> None:
        first = decision.reasons[0]
        super().__init__(
            reasons=decision.reasons,
            sentence_zh=first.zh, sentence_en=first.en, then_zh=decision.next_zh, then_en=decision.next_en,
        )
        self.decision = decision


@dataclass(frozen=True)
class Decision:
    """The answer. ``reasons`` come in order of precedence, never empty on a denial, empty on a permit."""

    effect: Effect
    policy_version: str
    reasons: tuple[Reason, ...] = ()
    obligations: Obligations = field(default_factory=Obligations)
    next_zh: str = ""
    next_en: str = ""

    def __post_init__(self) -> None:
        if self.effect is not Effect.PERMIT and not self.reasons:
            raise ValueError("a denial needs a reason")

    def __bool__(self) -> NoReturn:
        raise DecisionIsNotBoolean("compare decision.effect, or call decision.require()")

    @property
    def permitted(self) -> bool:
        return self.effect is Effect.PERMIT

    @property
    def codes(self) -> tuple[str, ...]:
        """The reason codes, first the one that weighs most."""
        return tuple(reason.code for reason in self.reasons)

    def require(self) -> Obligations:
        """The obligations of a permit; raises Denied (403) otherwise."""
        if self.effect is not Effect.PERMIT:
            raise Denied(self)
        return self.obligations

    def as_document(self, language: Language = "zh") -> dict[str, Any]:
        return {
            "effect": self.effect.value,
            "reasons": [reason.as_dict(language) for reason in self.reasons],
            "obligations": self.obligations.as_document() if self.permitted else None,
            "next": (self.next_zh if language == "zh" else self.next_en) or None,
            "policy_version": self.policy_version,
        }
