"""Grants 授权: live, dated permission produced by an agreement, and the facts of it that decisions are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from authz import GrantFacts, GrantState, Mask, QuotaTerms, RowFilter
from authz.vocabularies import label
from licensing.lifecycle import GRANT
from licensing.rows import Row


@dataclass(frozen=True)
class KeyUse:
    """The key by which a grant was reached: what it may be used for, from where, and until when."""

    id: str
    prefix: str
    last_used_on: date | None
    scopes: tuple[str, ...] = ()
    ip_allow: tuple[str, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Grant:
    """A grant. ``salt`` keys its hash masks and is never shown; ``party_active`` is whether its party may act,
    ``party_usccs`` are the codes of the party and of those under the same control."""

    id: str
    number: str
    version: int
    state: GrantState
    state_reason: str | None
    party_id: str
    resource_id: str
    organisation_id: str
    object: Mapping[str, Any]
    application_id: str
    agreement_id: str
    columns: tuple[str, ...]
    masks: Mapping[str, str]
    row_filter: tuple[Mapping[str, Any], ...]
    purpose_class: str
    purpose: str
    scenario: str
    delivery: tuple[str, ...]
    quota: Mapping[str, int]
    price: Mapping[str, Any]
    valid_from: datetime
    valid_until: datetime
    created_at: datetime
    ended_at: datetime | None = None
    consent_of_provider: bool = False
    risk_assessment_id: str | None = None
    salt: str = field(default="", repr=False)
    party_active: bool = True
    party_usccs: tuple[str, ...] = ()
    key: KeyUse | None = None

    @classmethod
    def from_row(cls, row: Row) -> Grant:
        plain = dict(row)
        return cls(**{
            **plain, "state": GrantState(plain["state"]), "columns": tuple(plain["columns"]),
            "row_filter": tuple(plain["row_filter"]), "delivery": tuple(plain["delivery"]),
            "party_usccs": tuple(plain["party_usccs"]),
        })

    @property
    def ended(self) -> bool:
        return self.state in GRANT.terminal

    def facts(self) -> GrantFacts:
        """What a decision needs to know; a party that may not act suspends all of its grants."""
        state = self.state
        if state is GrantState.ACTIVE and not self.party_active:
            state = GrantState.SUSPENDED
        version = self.price.get("rate_card_version")
        return GrantFacts(
            id=self.id, state=state.value, party_id=self.party_id, resource_id=self.resource_id,
            columns=self.columns, purpose_class=self.purpose_class, purpose=self.purpose, scenario=self.scenario,
            delivery=self.delivery, valid_from=self.valid_from, valid_until=self.valid_until,
            masks={name: Mask.parse(text) for name, text in self.masks.items()},
            row_filter=tuple(RowFilter.from_document(one) for one in self.row_filter),
            quota=QuotaTerms.from_document(self.quota), ip_allow=self.key.ip_allow if self.key else (),
            salt=self.salt, agreement_id=self.agreement_id,
            rate_card_version=None if version is None else str(version),
            consent_of_provider=self.consent_of_provider, risk_assessment_id=self.risk_assessment_id,
            party_usccs=self.party_usccs,
        )

    def as_document(self) -> dict[str, Any]:
        """The grant for its holder and its supervisors; without the salt."""
        return {
            "id": self.id, "number": self.number, "version": self.version, "state": self.state.value,
            **GRANT.states[self.state].as_document(), "state_reason": self.state_reason, "party_id": self.party_id,
            "resource_id": self.resource_id, "organisation_id": self.organisation_id, "object": dict(self.object),
            "application_id": self.application_id, "agreement_id": self.agreement_id, "columns": list(self.columns),
            "masks": dict(self.masks), "row_filter": [dict(one) for one in self.row_filter],
            "purpose_class": self.purpose_class, "purpose": self.purpose,
            "purpose_zh": label("purposes", self.purpose).zh, "purpose_en": label("purposes", self.purpose).en,
            "scenario": self.scenario, "delivery": list(self.delivery), "quota": dict(self.quota),
            "price": dict(self.price), "valid_from": self.valid_from.isoformat(),
            "valid_until": self.valid_until.isoformat(), "created_at": self.created_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "data_url": f"/data/v1/{self.resource_id}",
        }

    def moved(self, state: GrantState, reason: str | None, at: datetime) -> Grant:
        ended = at if state in GRANT.terminal else None
        return replace(self, state=state, state_reason=reason, version=self.version + 1, ended_at=ended)
