"""Licensing: open licences, applications, agreements, grants, keys, registration and certificates.

Other packages use ``parties``, ``applications``, ``agreements`` and ``grants`` by the names these export, and
``grant_facts`` for decisions.
"""

from licensing import agreements, applications, clocks, grants, parties
from licensing.agreements import Agreement
from licensing.applications import Application
from licensing.grants import Grant
from licensing.grants import facts_of as grant_facts
from licensing.grants.search import grant_of_key, grants_found, keys_found
from licensing.limits import Limit, Procedure, procedure
from licensing.parties import Party, PartyKind
from licensing.parties import of_person as parties_of
from licensing.working_days import (
    CalendarBasis,
    Deadline,
    WorkingDays,
    add_calendar_days,
    add_working_days,
    next_working_day,
    working_days_between,
)

__all__ = [
    "Agreement", "Application", "CalendarBasis", "Deadline", "Grant", "Limit", "Party", "PartyKind", "Procedure",
    "WorkingDays", "add_calendar_days", "add_working_days", "agreements", "applications", "clocks", "grant_facts",
    "grant_of_key", "grants", "grants_found", "keys_found", "next_working_day", "parties", "parties_of", "procedure",
    "working_days_between",
]
