"""Grants 授权 and their access keys."""

from licensing.grants.keys import STAMP, AccessKey, by_key, live_keys, note_use, prefix_of
from licensing.grants.leaks import report as report_leak
from licensing.grants.model import Grant, KeyUse
from licensing.grants.service import (
    change,
    end_with_agreement,
    exhaust,
    expire_due,
    facts_of,
    get,
    issue,
    replenish,
    revoke,
    view,
)
from licensing.grants.store import STAMP as GRANT_STAMP
from licensing.grants.store import listing, of_agreement

__all__ = [
    "GRANT_STAMP", "STAMP", "AccessKey", "Grant", "KeyUse", "by_key", "change", "end_with_agreement", "exhaust",
    "expire_due", "facts_of", "get", "issue", "listing", "live_keys", "note_use", "of_agreement", "prefix_of",
    "replenish", "report_leak", "revoke", "view",
]
