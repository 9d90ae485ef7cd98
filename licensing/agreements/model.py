"""Data use agreements 数据使用协议: terms as a snapshot, a text that never changes, signatures over its digest."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from licensing.lifecycle import AGREEMENT, AgreementState
from licensing.rows import Row


class Side(enum.StrEnum):
    """Who signs."""

    APPLICANT = "applicant"
    PLATFORM = "platform"


@dataclass(frozen=True)
class Signature:
    """One signature: who, when, over which digest; ``statement`` is the exact text that the service's key signed."""

    side: Side
    signer_id: str
    signer_account: str
    signer_name: str
    signed_at: datetime
    sha256: str
    statement: str
    algorithm: str
    key_id: str
    signature: str

    @classmethod
    def from_row(cls, row: Row) -> Signature:
        known = {k: v for k, v in dict(row).items() if k != "agreement_id"}
        return cls(**{**known, "side": Side(row["side"])})

    def as_document(self) -> dict[str, Any]:
        return {
            "side": self.side.value, "signer_name": self.signer_name, "signer_account": self.signer_account,
            "signed_at": self.signed_at.isoformat(), "sha256": self.sha256, "statement": self.statement,
            "algorithm": self.algorithm, "key_id": self.key_id, "signature": self.signature,
        }


@dataclass(frozen=True)
class Agreement:
    """An agreement with its signatures. ``starts_on`` to ``ends_on``, both included, are Beijing dates."""

    id: str
    number: str
    version: int
    state: AgreementState
    application_id: str
    party_id: str
    organisation_id: str
    terms: Mapping[str, Any]
    text: str
    sha256: str
    created_at: datetime
    starts_on: date | None = None
    ends_on: date | None = None
    in_force_at: datetime | None = None
    ended_at: datetime | None = None
    signatures: tuple[Signature, ...] = ()

    def as_document(self) -> dict[str, Any]:
        return {
            "id": self.id, "number": self.number, "version": self.version, "state": self.state.value,
            **AGREEMENT.states[self.state].as_document(), "application_id": self.application_id,
            "party_id": self.party_id, "organisation_id": self.organisation_id, "terms": dict(self.terms),
            "sha256": self.sha256, "created_at": self.created_at.isoformat(),
            "starts_on": self.starts_on.isoformat() if self.starts_on else None,
            "ends_on": self.ends_on.isoformat() if self.ends_on else None,
            "in_force_at": self.in_force_at.isoformat() if self.in_force_at else None,
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "signatures": [one.as_document() for one in self.signatures],
            "text_url": f"/v1/agreements/{self.id}/text", "odrl_url": f"/v1/agreements/{self.id}/odrl",
        }
