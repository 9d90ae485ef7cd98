"""Data use agreements 数据使用协议: text, digest, signatures, machine-readable twin."""

from licensing.agreements.drafting import last_day
from licensing.agreements.model import Agreement, Side, Signature
from licensing.agreements.odrl import as_odrl
from licensing.agreements.service import draw_up, expire_due, sign, terminate, view, void
from licensing.agreements.signatures import verify
from licensing.agreements.store import get, listing, locked, waiting

__all__ = [
    "Agreement", "Side", "Signature", "as_odrl", "draw_up", "expire_due", "get", "last_day", "listing", "locked",
    "sign", "terminate", "verify", "view", "void", "waiting",
]
