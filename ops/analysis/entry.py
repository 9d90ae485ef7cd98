"""Who asks, under which grant and duties: the way into analysis and verification, the same as for delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request

from authz import DataObject, DecisionRequest, GrantFacts, Obligations, decide_async
from ops.delivery.access import Access, address_of, require, require_scope
from ops.delivery.parts import DeliveryParts
from ops.delivery.refusals import KeyRequired
from ops.delivery.service import limit_grant, limit_rate, look_up

Form = Literal["analysis", "verify"]


@dataclass(frozen=True)
class Admitted:
    """A caller who may ask; ``limits`` are the headers of the rate limit."""

    data: DataObject
    grant: GrantFacts
    obligations: Obligations
    limits: dict[str, str]


async def admit(
    parts: DeliveryParts, request: Request, resource_id: str, form: Form, *, purpose: str | None,
    fields: tuple[str, ...] | None,
) -> Admitted:
    """Authenticate, decide, count; raises the refusal that applies. Only a grant lets anyone in: what is open to
    everyone can be downloaded."""
    limits = await limit_rate(parts, request)
    found = await look_up(parts, request, resource_id)
    require_scope(found.held, form)
    grant = found.grant
    if grant is None:
        raise KeyRequired(site=parts.runtime.settings.site_url, resource_id=resource_id)
    asked = DecisionRequest(
        subject_kind="key", subject_id=grant.party_id, object=found.data, now=parts.runtime.clock.now(),
        action="aggregate" if form == "analysis" else "read", grant=grant, fields=fields, purpose=purpose,
        channel=form, address=address_of(request),
    )
    decision = await decide_async(asked)
    parts.decisions.add(asked, decision, request.state.request_id)
    require(parts.runtime, found.data, grant, decision)
    await limit_grant(parts, Access(found.data, grant, decision.obligations))
    return Admitted(found.data, grant, decision.obligations, limits)
