"""What enterprises and offices keep to themselves: contacts, registrations, bills, proposals, roles."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from authz import AuditEntry, Runtime, new_id
from ops import testing
from ops.leaks.city import City, grant, insert, load, party_of, update
from ops.leaks.viewers import ATTRIBUTES, GRANTEES, PARTIES


async def enterprise(runtime: Runtime, city: City, viewer: str, user_id: str, user_name: str) -> None:
    """A viewer's organisation, with contacts, a registration under way, a bill and a payment."""
    book, party, now = city.book, party_of(viewer), runtime.clock.now()
    async with runtime.transaction() as tx:
        await testing.make_party(tx, party, runtime)
        contacts = {
            name: book.plant(f"party.{viewer}.{name}", viewer)
            for name in (
                "legal_representative",
                "contact_name",
                "contact_phone",
                "contact_email",
                "address",
                "state_reason",
            )
        }
        await update(tx, "licensing.party", party, **contacts)
        city.ids["party", viewer, ""] = party
        await insert(
            tx,
            "authz.role_assignment",
            id=(role := new_id("rol")),
            user_id=user_id,
            user_name=user_name,
            role="enterprise_admin",
            organisation_id=party,
            assigned_by="x",
            assigned_at=now,
        )
        city.ids["assignment", viewer, ""] = role
        await insert(
            tx,
            "authz.role_assignment",
            id=new_id("rol"),
            user_id=f"user-of-{viewer}",
            role="enterprise_member",
            user_name=book.plant(f"member.{viewer}", viewer),
            organisation_id=party,
            assigned_by="x",
            assigned_at=now,
        )
        await _registration(tx, runtime, city, viewer)
        await _bill(tx, runtime, city, viewer)


async def _registration(tx: asyncpg.Connection, runtime: Runtime, city: City, viewer: str) -> None:
    book, now, made = city.book, runtime.clock.now(), new_id("reg")
    city.ids["registration", viewer, ""] = made
    await insert(
        tx,
        "licensing.registration",
        id=made,
        number=book.plant(f"registration.{viewer}.number", viewer),
        version=1,
        state="applied",
        party_id=party_of(viewer),
        party_name="某公司",
        party_code="x",
        content={
            "kind": "product",
            "title": book.plant(f"registration.{viewer}", viewer),
            "summary": "x",
            "domain": "x",
            "region": "x",
            "update_cycle": "x",
            "scale": "x",
            "format": "x",
            "grade": "general-1",
        },
        created_by="x",
        created_at=now,
        updated_at=now,
    )
    await insert(
        tx,
        "licensing.registration_event",
        registration_id=made,
        at=now,
        actor_id="x",
        actor="x",
        event="submit",
        from_state="draft",
        to_state="applied",
        reason=book.plant(f"registration.{viewer}.reason", viewer),
    )


async def _bill(tx: asyncpg.Connection, runtime: Runtime, city: City, viewer: str) -> None:
    book, now, party, made = city.book, runtime.clock.now(), party_of(viewer), new_id("inv")
    city.ids["invoice", viewer, ""] = made
    await insert(
        tx,
        "billing.invoice",
        id=made,
        number=book.plant(f"invoice.{viewer}", viewer),
        party_id=party,
        party_name="某公司",
        period="2026-10",
        state="open",
        total_fen=100,
        net_fen=94,
        tax_fen=6,
        tax_rate_bp=600,
        issued_at=now,
        due_on=now.date(),
    )
    await insert(
        tx,
        "billing.invoice_line",
        invoice_id=made,
        line=1,
        kind="usage",
        grant_id="gra_none",
        resource_id="x",
        resource_title=book.plant(f"invoice.{viewer}.line", viewer),
        holder_id=city.organisation_id,
        use_class="industry",
        usage_period="2026-10",
        meter="rows",
        tier=1,
        from_unit=0,
        quantity=1,
        unit_amount_fen=100,
        per=1,
        amount_fen=100,
        net_fen=94,
        tax_fen=6,
    )
    city.ids["payment", viewer, ""] = paid = new_id("pay")
    await insert(
        tx,
        "billing.payment",
        id=paid,
        provider="bank_transfer",
        external_id=book.plant(f"payment.{viewer}.serial"),
        content_hash="x",
        party_id=party,
        amount_fen=1,
        payer=book.plant(f"payment.{viewer}.payer"),
        reference="x",
        received_on=now.date(),
        recorded_by="x",
        recorded_at=now,
    )
    city.ids["product", viewer, ""] = product = new_id("prd")
    await insert(
        tx,
        "billing.usage_product",
        id=product,
        party_id=party,
        source=f"https://{viewer}.example/{product}",
        title=book.plant(f"product.{viewer}", viewer),
        types=["cn.example.query"],
        created_by="x",
        created_at=now,
    )


async def offices(runtime: Runtime, city: City) -> None:
    """What lies in the offices and is not published: proposed prices, settlements, policies, roles."""
    book, now = city.book, runtime.clock.now()
    resource = city.objects["conditional"].resource_id
    proposed = {
        "state": "proposed",
        "effective_on": now.date(),
        "proposed_by": "x",
        "proposed_name": "x",
        "proposed_at": now,
    }
    async with runtime.transaction() as tx:
        city.ids["ceiling", "", ""] = ceiling = new_id("cei")
        await insert(
            tx,
            "billing.ceiling",
            id=ceiling,
            resource_id=resource,
            resource_title="x",
            open_attribute="conditional",
            meter="rows",
            max_amount_fen=1,
            per=1,
            stage="trial",
            source_document=book.plant("ceiling.document"),
            proposal_reason=book.plant("ceiling.reason"),
            **proposed,
        )
        card, version = new_id("rat"), new_id("rav")
        city.ids["version", "", ""] = version
        await insert(
            tx,
            "billing.rate_card",
            id=card,
            resource_id=resource,
            resource_title="x",
            open_attribute="conditional",
            use_class="industry",
            created_at=now,
        )
        await insert(
            tx,
            "billing.rate_card_version",
            id=version,
            rate_card_id=card,
            number=1,
            pricing={"kind": "flat", "meter": "rows", "flat_fen": 1, "tiers": []},
            proposal_reason=book.plant("rate.reason"),
            **proposed,
        )
        city.ids["rule", "", ""] = rule = new_id("shr")
        await insert(
            tx,
            "billing.share_rule",
            id=rule,
            number=1,
            holder_bp=5000,
            operator_bp=3000,
            exchange_bp=2000,
            operator_id="x",
            exchange_id="x",
            source_document=book.plant("share.document"),
            proposal_reason=book.plant("share.reason"),
            **proposed,
        )
        city.ids["settlement", "", ""] = settled = new_id("set")
        await insert(
            tx,
            "billing.settlement",
            id=settled,
            number=book.plant("settlement.number"),
            period="2026-10",
            state="rejected",
            share_rule_id=rule,
            gross_fen=1,
            tax_fen=0,
            net_fen=1,
            run_by="x",
            run_at=now,
            decided_by="y",
            decided_at=now,
            decision_reason=book.plant("settlement.reason"),
        )
        city.ids["assignment", "", ""] = role = new_id("rol")
        await insert(
            tx,
            "authz.role_assignment",
            id=role,
            user_id="user-of-office",
            user_name=book.plant("role.office"),
            role="auditor",
            organisation_id="pty_audit",
            assigned_by="x",
            assigned_at=now,
        )
        city.ids["audit", "", ""] = str(
            await runtime.audit.append(
                tx, AuditEntry("x", "x", "office", "x", "pty_exchange", reason=book.plant("audit.office"))
            )
        )
        city.ids["policy", "", ""] = "pol_none"


async def plant(runtime: Runtime, city: City, people: Mapping[str, tuple[str, str]]) -> None:
    """Everything but the objects: rows, enterprises, grants, offices. ``people``: viewer -> user id and name."""
    for attribute in ATTRIBUTES:
        await load(runtime, city, attribute)
    for viewer in PARTIES:
        await enterprise(runtime, city, viewer, *people[viewer])
    for viewer in GRANTEES:
        for attribute in ATTRIBUTES:
            await grant(runtime, city, viewer, attribute)
    await offices(runtime, city)
