"""Who is asking: a person known from CKAN's signed token, their organisations and roles."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any


class Role(enum.StrEnum):
    """Roles per organisation; Chinese labels in ``LABELS_ZH``."""

    PUBLIC = "public"
    ENTERPRISE_MEMBER = "enterprise_member"
    ENTERPRISE_ADMIN = "enterprise_admin"
    PUBLISHER = "publisher"
    DATA_OWNER = "data_owner"
    EXCHANGE_OFFICER = "exchange_officer"
    EXCHANGE_PRICER = "exchange_pricer"
    EXCHANGE_APPROVER = "exchange_approver"
    REGISTRAR = "registrar"
    AUTHORITY = "authority"
    AUDITOR = "auditor"
    SECURITY_ADMIN = "security_admin"
    SYSTEM_ADMIN = "system_admin"


LABELS_ZH: Mapping[Role, str] = {
    Role.PUBLIC: "公众",
    Role.ENTERPRISE_MEMBER: "利用主体成员",
    Role.ENTERPRISE_ADMIN: "利用主体管理员",
    Role.PUBLISHER: "数据发布员",
    Role.DATA_OWNER: "数据责任人",
    Role.EXCHANGE_OFFICER: "交易所专员",
    Role.EXCHANGE_PRICER: "交易所定价员",
    Role.EXCHANGE_APPROVER: "交易所审批员",
    Role.REGISTRAR: "登记员",
    Role.AUTHORITY: "主管部门",
    Role.AUDITOR: "审计员",
    Role.SECURITY_ADMIN: "安全管理员",
    Role.SYSTEM_ADMIN: "系统管理员",
}

CAPACITY_ROLES: Mapping[str, tuple[Role, ...]] = {
    "admin": (Role.DATA_OWNER, Role.PUBLISHER),
    "editor": (Role.PUBLISHER,),
}
"""CKAN's capacity in a department's organisation, read as our roles; a plain member holds none."""


@dataclass(frozen=True)
class Membership:
    """A seat in a CKAN organisation (a department)."""

    organisation_id: str
    name: str
    title: str
    capacity: str


@dataclass(frozen=True)
class Identity:
    """A signed-in person. ``roles`` are pairs of role and organisation id, from CKAN and from assignments.

    ``publishes`` is what CKAN itself vouches for in a token of its own: (resource id, id of the organisation that has
    it). Only CKAN knows whose a resource is, so only such a token may tell of a resource for the first time.
    """

    user_id: str
    name: str
    display_name: str
    sysadmin: bool = False
    memberships: tuple[Membership, ...] = ()
    roles: frozenset[tuple[Role, str]] = field(default_factory=frozenset)
    publishes: tuple[str, str] | None = None

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> Identity:
        """Build from the claims of a verified token; raises KeyError or TypeError when they are malformed."""
        seats = tuple(
            Membership(str(o["id"]), str(o["name"]), str(o.get("title") or o["name"]), str(o["capacity"]))
            for o in claims.get("orgs", ())
        )
        roles = frozenset(
            (role, seat.organisation_id) for seat in seats for role in CAPACITY_ROLES.get(seat.capacity, ())
        )
        vouched = claims.get("pub")
        return cls(
            publishes=(str(vouched["resource"]), str(vouched["organisation"])) if vouched else None,
            user_id=str(claims["sub"]),
            name=str(claims["name"]),
            display_name=str(claims.get("display") or claims["name"]),
            sysadmin=claims.get("sysadmin") is True,
            memberships=seats,
            roles=roles,
        )

    def with_roles(self, more: frozenset[tuple[Role, str]]) -> Identity:
        return replace(self, roles=self.roles | more)

    def holds(self, role: Role, organisation_id: str | None = None) -> bool:
        """Whether the person holds the role, in that organisation when one is named."""
        return any(r is role and organisation_id in (None, o) for r, o in self.roles)

    def organisations(self, *roles: Role) -> frozenset[str]:
        """Ids of the organisations in which the person holds any of the roles (any role when none is named)."""
        return frozenset(o for r, o in self.roles if not roles or r in roles)


SYSTEM = Identity(user_id="system", name="system", display_name="系统")
"""The actor of clocks and scheduled work."""


@dataclass(frozen=True)
class Call:
    """One call: who, when, under which request id. Handed to every service method."""

    identity: Identity
    now: datetime
    request_id: str
    idempotency_key: str | None = None
