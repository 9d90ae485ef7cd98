"""The double-entry ledger: balanced, immutable, idempotent; corrected by adding."""

from billing.ledger.model import Entry, Leg, legs_of
from billing.ledger.store import Posted, balance, balances, post, reverse, verify

__all__ = ["Entry", "Leg", "Posted", "balance", "balances", "legs_of", "post", "reverse", "verify"]
