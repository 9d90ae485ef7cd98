"""Builders of what billing stands on: data objects, parties, grants with their agreements, usage, prices."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from authz import AuditLog, Call, Identity, Role, new_id, objects
from authz.testing import a_register
from billing.acting import Act
from billing.prices import ceilings, rate_cards
from billing.prices.proposals import Verdictum
from billing.pricing import Pricing
from billing.settlement import rules
from billing.usage import UsageEvent
from billing.usage.store import insert_events

EXCHANGE = "pty_exchange"
OPERATOR = "pty_operator"
AUTHORITY = "pty_authority"


def a_person(name: str, *seats: tuple[Role, str]) -> Identity:
    return Identity(f"user-{name}", name, name, roles=frozenset(seats))


AUTHORITY_1 = a_person("authority-1", (Role.AUTHORITY, AUTHORITY))
AUTHORITY_2 = a_person("authority-2", (Role.AUTHORITY, AUTHORITY))
PRICER = a_person("pricer", (Role.EXCHANGE_PRICER, EXCHANGE))
APPROVER = a_person("approver", (Role.EXCHANGE_APPROVER, EXCHANGE))
OFFICER = a_person("officer", (Role.EXCHANGE_OFFICER, EXCHANGE))
OFFICER_2 = a_person("officer-2", (Role.EXCHANGE_APPROVER, EXCHANGE))


@dataclass
class Scene:
    """A transaction, an instant and an audit log, from which acts of several people are made."""

    tx: asyncpg.Connection
    audit: AuditLog
    now: datetime

    def act(self, who: Identity) -> Act:
        return Act(self.tx, Call(who, self.now, "req-test"), self.audit)

    async def data_object(self, resource_id: str, **changes: Any) -> None:
        made = a_register(resource_id=resource_id, dataset_id=f"ds-{resource_id}", **changes)
        await objects.put(self.tx, self.audit, Call(AUTHORITY_1, self.now, "req-test"), made)

    async def party(self, party_id: str, name: str, kind: str = "enterprise") -> None:
        await self.tx.execute(
            "INSERT INTO licensing.party (id, kind, name, uscc, state, created_by, created_by_name, created_at)"
            " VALUES ($1, $2, $3, $4, 'verified', 'test', 'test', $5) ON CONFLICT DO NOTHING",
            party_id, kind, name, new_id("u"), self.now,
        )

    async def ceiling(self, resource_id: str, max_amount_fen: int, per: int, meter: str = "rows") -> str:
        """A ceiling in force, proposed by one person of the authority and approved by another."""
        made = await ceilings.propose(
            self.act(AUTHORITY_1),
            ceilings.CeilingProposal(resource_id, meter, max_amount_fen, per, "trial", "发改价格〔2026〕1号",
                                     self.act(AUTHORITY_1).today),
        )
        given = Verdictum("approve", "", made["version"])
        await ceilings.decide_ceiling(self.act(AUTHORITY_2), made["id"], given)
        return str(made["id"])

    async def rate_card(self, resource_id: str, pricing: Pricing, application_id: str | None = None) -> dict[str, Any]:
        """A version in force of an industry rate card."""
        made = await rate_cards.propose(
            self.act(PRICER),
            rate_cards.RateProposal(resource_id, "industry", pricing, self.act(PRICER).today,
                                    application_id=application_id),
        )
        given = Verdictum("approve", "", made["version"])
        return await rate_cards.decide_version(self.act(APPROVER), made["id"], given)

    async def share_rule(self, holder_bp: int, operator_bp: int, exchange_bp: int) -> None:
        today = self.act(OFFICER).today
        made = await rules.propose(
            self.act(OFFICER),
            rules.RuleProposal(holder_bp, operator_bp, exchange_bp, OPERATOR, EXCHANGE, "收益分配办法（试行）",
                               today.replace(year=today.year - 1)),
        )
        await rules.decide_rule(self.act(APPROVER), made["id"], Verdictum("approve", "", made["version"]))

    async def grant(self, spec: GrantSpec) -> str:
        """A live grant with the application and agreement under it, written as licensing writes them."""
        application_id, agreement_id = spec.application_id or new_id("app"), new_id("agr")
        description = {"resource_id": spec.resource_id, "dataset_title": "企业登记信息", "title": "企业登记信息表"}
        price = {"rate_card_id": spec.rate_card_id, "rate_card_version": spec.rate_card_version}
        await self.tx.execute(
            """
            INSERT INTO licensing.application (id, number, state, party_id, resource_id, organisation_id, object,
                fields, purpose_class, purpose, purpose_text, scenario, term_months, delivery, expected_rows_month,
                created_by, created_by_name, created_at)
            VALUES ($1, $1, 'granted', $2, $3, $4, $5, '[]', $6, 'lending_risk_control', '', '', 12, '["api"]', 1000,
                'test', 'test', $7)
            """,
            application_id, spec.party_id, spec.resource_id, spec.holder_id, description, spec.use_class, self.now,
        )
        await self.tx.execute(
            "INSERT INTO licensing.agreement (id, number, state, application_id, party_id, organisation_id, terms,"
            " text, sha256, created_at) VALUES ($1, $1, 'in_force', $2, $3, $4, '{}', '', '', $5)",
            agreement_id, application_id, spec.party_id, spec.holder_id, self.now,
        )
        grant_id = new_id("gra")
        await self.tx.execute(
            """
            INSERT INTO licensing.access_grant (id, number, state, party_id, resource_id, organisation_id, object,
                application_id, agreement_id, columns, masks, row_filter, purpose_class, purpose, scenario, delivery,
                quota, price, valid_from, valid_until, salt, created_at)
            VALUES ($1, $1, 'active', $2, $3, $4, $5, $6, $7, '[]', '{}', '[]', $8, 'p', '', '[]', '{}', $9, $10, $11,
                'salt', $10)
            """,
            grant_id, spec.party_id, spec.resource_id, spec.holder_id, description, application_id, agreement_id,
            spec.use_class, price, spec.valid_from, spec.valid_from + timedelta(days=365),
        )
        return grant_id

    async def use(self, grant_id: str, at: datetime, rows: int, *, resource_id: str = "res", calls: int = 1) -> str:
        """One recorded delivery; its event's id."""
        event = UsageEvent(
            "/data/v1", new_id("use"), grant_id, at, resource_id, rows, calls, rows * 10, {"columns": ["name"]}
        )
        await insert_events(self.tx, [event], self.now)
        return event.id


@dataclass
class GrantSpec:
    """What a grant of a test is about."""

    party_id: str
    resource_id: str
    valid_from: datetime
    use_class: str = "industry"
    rate_card_id: str | None = None
    rate_card_version: int | None = None
    holder_id: str = "org-market"
    application_id: str | None = None
    columns: tuple[str, ...] = field(default=("name",))


DEMO_PRICING = Pricing.model_validate({
    "kind": "graduated", "meter": "rows",
    "tiers": [{"up_to": 10_000, "amount_fen": 20, "per": 100}, {"up_to": None, "amount_fen": 10, "per": 100}],
})


async def a_billed_city(scene: Scene, *, since: datetime) -> dict[str, str]:
    """One priced data object, two enterprises and a public-welfare user with grants; their grant ids by name."""
    await scene.data_object("res-city")
    await scene.ceiling("res-city", 20, 100)
    card = await scene.rate_card("res-city", DEMO_PRICING)
    await scene.share_rule(6_000, 2_500, 1_500)
    priced = {"rate_card_id": card["rate_card_id"], "rate_card_version": card["number"]}
    grants = {}
    for name, use_class, price in (
        ("alpha", "industry", priced), ("beta", "industry", priced), ("charity", "public_interest", {}),
    ):
        await scene.party(f"pty_{name}", f"{name} 公司", "enterprise" if price else "public_welfare")
        spec = GrantSpec(f"pty_{name}", "res-city", since, use_class, **price)
        grants[name] = await scene.grant(spec)
    return grants
