"""Access applications 使用申请: drafts, reviews, price and signature up to the grant.

Other packages read with ``get`` and bring prices with ``price_proposed``, ``price_returned`` and ``price_approved``;
each of these takes ``(tx, call, application_id, version, …, audit=)`` and raises VersionConflict when it came late.
"""

from licensing.applications.applicant import accept_offer, answer_supplement, create, edit, submit, withdraw
from licensing.applications.checks import Asked, FieldVerdict
from licensing.applications.lapses import expire_due
from licensing.applications.model import Application, FieldAsked, ObjectSnapshot, Request, Review
from licensing.applications.pricing import price_approved, price_proposed, price_returned
from licensing.applications.reviewers import (
    ObjectGone,
    consult_third_party,
    decide_extension,
    decide_owner,
    pass_form,
    record_opinion,
    refuse,
    request_extension,
    request_supplement,
)
from licensing.applications.signing import countersign, sign
from licensing.applications.store import overdue, waiting
from licensing.applications.views import (
    allowed_events,
    brief,
    document,
    get,
    require_view,
    visible,
    visible_page,
)

__all__ = [
    "Application", "Asked", "FieldAsked", "FieldVerdict", "ObjectGone", "ObjectSnapshot", "Request", "Review",
    "accept_offer", "allowed_events", "answer_supplement", "brief", "consult_third_party", "countersign", "create",
    "decide_extension", "decide_owner", "document", "edit", "expire_due", "get", "overdue", "pass_form",
    "price_approved", "price_proposed", "price_returned", "record_opinion", "refuse", "request_extension",
    "request_supplement", "require_view", "sign", "submit", "visible", "visible_page", "waiting", "withdraw",
]
