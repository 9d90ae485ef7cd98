"""Parties 主体: organisations that act on the platform, known by their unified social credit code."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stdnum.cn import uscc as uscc_rules
from stdnum.exceptions import InvalidChecksum, InvalidLength, ValidationError

from licensing.errors import invalid
from licensing.lifecycle import PARTY, PartyState
from licensing.rows import Row


class PartyKind(enum.StrEnum):
    """What a party is; only the first two sign up by themselves and apply for data."""

    ENTERPRISE = "enterprise"
    PUBLIC_WELFARE = "public_welfare"
    DEPARTMENT = "department"
    EXCHANGE = "exchange"
    REGISTRAR = "registrar"
    AUTHORITY = "authority"


APPLICANT_KINDS = frozenset({PartyKind.ENTERPRISE, PartyKind.PUBLIC_WELFARE})
INSTITUTION_KINDS = frozenset({PartyKind.EXCHANGE, PartyKind.REGISTRAR, PartyKind.AUTHORITY})


def checked_uscc(text: str, field: str = "uscc") -> str:
    """The code in its plain form (18 characters, upper case); raises InvalidInput naming what is wrong (GB 32100)."""
    plain = text.strip().upper()
    try:
        return str(uscc_rules.validate(plain))
    except InvalidLength:
        raise invalid(
            field, "uscc_length", "统一社会信用代码应为18位", "the unified social credit code has 18 characters"
        ) from None
    except InvalidChecksum:
        raise invalid(
            field, "uscc_checksum", "统一社会信用代码校验位不正确，请核对",
            "the check digit of the unified social credit code is wrong",
        ) from None
    except ValidationError:
        raise invalid(
            field, "uscc_format", "统一社会信用代码只能包含数字和规定的大写字母（不含 I、O、S、V、Z），前8位为数字",
            "it has digits and capital letters without I, O, S, V, Z; its first 8 characters are digits",
        ) from None


@dataclass(frozen=True)
class Party:
    """An organisation. Contact particulars are shown to its members and to those who verify it only."""

    id: str
    kind: PartyKind
    name: str
    uscc: str | None
    state: PartyState
    version: int
    legal_representative: str | None
    contact_name: str | None
    contact_phone: str | None
    contact_email: str | None
    address: str | None
    state_reason: str | None
    created_by: str
    created_by_name: str
    created_at: datetime
    verified_by: str | None = None
    verified_by_name: str | None = None
    verified_at: datetime | None = None
    affiliates: tuple[str, ...] = ()

    @classmethod
    def from_row(cls, row: Row) -> Party:
        return cls(**{
            **dict(row), "kind": PartyKind(row["kind"]), "state": PartyState(row["state"]),
            "affiliates": tuple(row["affiliates"]),
        })

    @property
    def verified(self) -> bool:
        return self.state is PartyState.VERIFIED

    def as_public(self) -> dict[str, Any]:
        """What anyone who deals with the party may see."""
        return {"id": self.id, "kind": self.kind.value, "name": self.name, "state": self.state.value}

    def as_document(self) -> dict[str, Any]:
        """Everything, for its members and its verifiers."""
        label = PARTY.states[self.state]
        return {
            **self.as_public(), "uscc": self.uscc, "version": self.version, **label.as_document(),
            "legal_representative": self.legal_representative, "contact_name": self.contact_name,
            "contact_phone": self.contact_phone, "contact_email": self.contact_email, "address": self.address,
            "affiliates": list(self.affiliates), "reason": self.state_reason, "created_at": self.created_at.isoformat(),
            "created_by": self.created_by_name, "verified_by": self.verified_by_name,
            "verified_at": self.verified_at.isoformat() if self.verified_at else None,
        }


@dataclass(frozen=True)
class Particulars:
    """What an organisation says about itself when it signs up or corrects itself.

    ``affiliates`` are the codes of organisations under the same control (控股、同一实际控制人).
    """

    name: str
    uscc: str | None = None
    legal_representative: str | None = None
    contact_name: str | None = None
    contact_phone: str | None = None
    contact_email: str | None = None
    address: str | None = None
    affiliates: tuple[str, ...] = ()
