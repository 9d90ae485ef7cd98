"""Who stands on which side: members of a party, people who may see a matter, people who may not decide it."""

from __future__ import annotations

from authz import SYSTEM, Identity, NotFound, may, require
from licensing.errors import OwnSubmission


def belongs_to(identity: Identity, party_id: str) -> bool:
    """Whether the person holds any role in the organisation."""
    return party_id in identity.organisations()


def permits(identity: Identity, action: str, organisation_id: str | None) -> bool:
    return may(identity, action, organisation_id).permitted


def require_visible(identity: Identity, action: str, *organisation_ids: str | None) -> None:
    """Raise NotFound (404, so that existence does not leak) unless one of the organisations lets the person see it."""
    if not any(permits(identity, action, organisation_id) for organisation_id in organisation_ids):
        raise NotFound


def require_other_side(identity: Identity, party_id: str, *submitters: str | None) -> None:
    """Raise OwnSubmission when the person submitted the matter or acts for the party it concerns."""
    if identity is SYSTEM:
        return
    if belongs_to(identity, party_id) or identity.user_id in submitters:
        raise OwnSubmission


def require_decider(
    identity: Identity, action: str, organisation_id: str | None, party_id: str, *submitters: str | None
) -> None:
    """Both: the role permits the action, and the person stands on the other side."""
    require(identity, action, organisation_id)
    require_other_side(identity, party_id, *submitters)
