"""A small city for tests: an authority, an exchange, a department with a register, an enterprise; lives over HTTP."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
from stdnum.cn import uscc as uscc_rules

from authz import Call, Identity, Membership, Role, Runtime, objects
from authz.testing import a_register
from licensing import applications

Headers = dict[str, str]
SERIALS = itertools.count(100_000_001)


def a_uscc(serial: int) -> str:
    """A made-up code with a right check digit."""
    body = f"91110000{serial:09d}"
    return body + str(uscc_rules.calc_check_digit(body))


def a_call(
    name: str, now: datetime, *roles: tuple[Role, str], seats: tuple[tuple[str, str], ...] = ()
) -> Call:
    """A call of a person with roles, without HTTP."""
    memberships = tuple(Membership(org, org, org, capacity) for org, capacity in seats)
    identity = Identity(f"user-{name}", name, name, memberships=memberships, roles=frozenset(roles))
    return Call(identity=identity, now=now, request_id="req_test")


@dataclass
class City:
    """People by first name: wang (authority), he (its colleague), li (data owner), zhao (officer), qian (pricer),
    sun (approver), chen (enterprise), zhou (stranger's enterprise), wu (auditor)."""

    client: httpx.AsyncClient
    runtime: Runtime
    token_for: Callable[..., Headers]
    give_role: Callable[[str, Role, str], Awaitable[None]]
    resource_id: str = "res-register"
    organisation_id: str = "org-market"
    parties: dict[str, str] = field(default_factory=dict)

    async def open(self) -> City:
        for name, role, where in (
            ("wang", Role.AUTHORITY, "pty_authority"), ("he", Role.AUTHORITY, "pty_authority"),
            ("zhao", Role.EXCHANGE_OFFICER, "pty_exchange"), ("qian", Role.EXCHANGE_PRICER, "pty_exchange"),
            ("sun", Role.EXCHANGE_APPROVER, "pty_exchange"), ("wu", Role.AUDITOR, "pty_audit"),
        ):
            await self.give_role(name, role, where)
        async with self.runtime.transaction() as tx:
            await objects.put(
                tx, self.runtime.audit, a_call("li", self.runtime.clock.now()),
                a_register(resource_id=self.resource_id, organisation_id=self.organisation_id),
            )
        return self

    def as_(self, name: str) -> Headers:
        """Headers of a person; li owns the department's data."""
        orgs = [(self.organisation_id, "admin")] if name == "li" else None
        return self.token_for(name, orgs=orgs)

    async def post(self, who: str, path: str, /, **body: Any) -> httpx.Response:
        return await self.client.post(path, json=body, headers=self.as_(who))

    async def get(self, who: str, path: str) -> httpx.Response:
        return await self.client.get(path, headers=self.as_(who))

    async def party(self, name: str = "chen", kind: str = "enterprise", *, verified: bool = True) -> str:
        """The person's organisation, signed up once and verified by wang."""
        if name in self.parties:
            return self.parties[name]
        made = await self.post(
            name, "/v1/parties", kind=kind, name=f"{name}的公司",
            uscc=a_uscc(next(SERIALS)),
        )
        assert made.status_code == 201, made.text
        party = made.json()
        self.parties[name] = party["id"]
        if verified:
            done = await self.post(
                "wang", f"/v1/parties/{party['id']}/verify", verdict="approve", version=party["version"]
            )
            assert done.status_code == 200, done.text
        return str(party["id"])

    def asking(self, party_id: str, **changes: Any) -> dict[str, Any]:
        """A complete application for three fields, for risk control in lending."""
        return {
            "party_id": party_id, "resource_id": self.resource_id, "fields": ["name", "uscc", "phone"],
            "purpose_class": "industry", "purpose": "lending_risk_control",
            "purpose_text": "用于小微企业贷款的贷前审查", "scenario": "线上信用贷款", "region_codes": ["3501"],
            "term_months": 12, "delivery": ["api"], "expected_rows_month": 10_000, "submit": True, **changes,
        }

    async def applied(self, name: str = "chen", **changes: Any) -> dict[str, Any]:
        kind = "public_welfare" if changes.get("purpose_class") == "public_interest" else "enterprise"
        party = await self.party(name, kind)
        answer = await self.post(name, "/v1/applications", **self.asking(party, **changes))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def event(self, name: str, application: dict[str, Any], event: str, **more: Any) -> dict[str, Any]:
        """Send an event that must succeed; the application afterwards."""
        answer = await self.try_event(name, application, event, **more)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def try_event(
        self, name: str, application: dict[str, Any], event: str, **more: Any
    ) -> httpx.Response:
        body = {"version": application["version"], **more}
        return await self.post(name, f"/v1/applications/{application['id']}/events", event=event, **body)

    async def reviewed(self, name: str = "chen", **changes: Any) -> dict[str, Any]:
        """Form passed, two of three fields approved, the name masked, rows of one city."""
        application = await self.applied(name, **changes)
        application = await self.event("wang", application, "pass_form")
        return await self.event(
            "li", application, "decide_owner",
            fields=[
                {"name": "name", "verdict": "approve"}, {"name": "uscc", "verdict": "approve"},
                {"name": "phone", "verdict": "refuse", "reason": "个人信息，非必要"},
            ],
            row_filter=[{"field": "region", "op": "prefix", "value": "3501"}], masks={"name": "partial:name"},
        )

    def offer(self, **changes: Any) -> dict[str, Any]:
        return {
            "rate_card_id": "rate_1", "rate_card_version": 1, "use_class": "industry", "currency": "CNY",
            "pricing": {
                "kind": "graduated", "meter": "rows", "flat_fen": 0,
                "tiers": [{"up_to": 10_000, "amount_fen": 20, "per": 100},
                          {"up_to": None, "amount_fen": 10, "per": 100}],
            },
            "quota": {"rows_month": 5_000}, "valid_until_on": "2026-12-14", **changes,
        }

    async def offered(self, name: str = "chen", **changes: Any) -> dict[str, Any]:
        """Priced by one and approved by another, as billing does it."""
        application = await self.reviewed(name, **changes)
        now = self.runtime.clock.now()
        pricer = a_call("qian", now, (Role.EXCHANGE_PRICER, "pty_exchange"))
        approver = a_call("sun", now, (Role.EXCHANGE_APPROVER, "pty_exchange"))
        async with self.runtime.transaction() as tx:
            priced = await applications.price_proposed(
                tx, pricer, application["id"], application["version"], {"pricing": self.offer()["pricing"]},
                audit=self.runtime.audit,
            )
            await applications.price_approved(
                tx, approver, priced.id, priced.version, self.offer(), audit=self.runtime.audit
            )
        return dict((await self.get(name, f"/v1/applications/{application['id']}")).json())

    async def signed(self, name: str = "chen", **changes: Any) -> dict[str, Any]:
        application = (
            await self.reviewed(name, **changes) if changes.get("purpose_class") == "public_interest"
            else await self.offered(name, **changes)
        )
        application = await self.event(name, application, "accept_offer")
        return await self.event(name, application, "sign", signer_name="陈明", consent=True)

    async def granted(self, name: str = "chen", **changes: Any) -> dict[str, Any]:
        """The application at its end, with ``grant_id``."""
        application = await self.signed(name, **changes)
        agreement = (await self.get("zhao", f"/v1/agreements/{application['agreement_id']}")).json()
        done = await self.post(
            "zhao", f"/v1/agreements/{agreement['id']}/events", event="countersign",
            version=agreement["version"], signer_name="赵会签",
        )
        assert done.status_code == 200, done.text
        return dict((await self.get(name, f"/v1/applications/{application['id']}")).json())
