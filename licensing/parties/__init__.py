"""Parties: organisation accounts, their verification and members."""

from licensing.parties.model import (
    APPLICANT_KINDS,
    INSTITUTION_KINDS,
    Particulars,
    Party,
    PartyKind,
    checked_uscc,
)
from licensing.parties.service import (
    add_member,
    amend,
    decide,
    ensure_department,
    get,
    members,
    of_person,
    remove_member,
    require_acting,
    sign_up,
    view,
)
from licensing.parties.store import listing, names, usccs

__all__ = [
    "APPLICANT_KINDS", "INSTITUTION_KINDS", "Particulars", "Party", "PartyKind", "add_member", "amend",
    "checked_uscc", "decide", "ensure_department", "get", "listing", "members", "names", "of_person", "remove_member",
    "require_acting", "sign_up", "usccs", "view",
]
