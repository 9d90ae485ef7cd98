"""Entries of the double-entry ledger: balanced, of known kinds, over accounts that the kind may touch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from billing.errors import AccountsNotAllowed, Unbalanced
from billing.money import CURRENCY, FractionOfFen, whole_fen

ACCOUNT_KINDS: Mapping[str, str] = {
    "receivable": "asset",
    "bank": "asset",
    "stripe_clearing": "asset",
    "revenue": "revenue",
    "vat_payable": "liability",
    "unapplied_receipts": "liability",
    "payable": "liability",
    "fees": "expense",
}
"""First word of an account's code and its kind. After a colon stands the party or the resource."""

ACCOUNTS_ZH: Mapping[str, str] = {
    "receivable": "应收账款", "bank": "银行存款", "stripe_clearing": "在线支付待结算", "revenue": "运营服务费收入",
    "vat_payable": "应交增值税", "unapplied_receipts": "未核销收款", "payable": "应付分配款", "fees": "支付手续费",
}


@dataclass(frozen=True)
class Leg:
    """One posting: debit positive, credit negative, in fen."""

    account: str
    amount_fen: int


ALLOWED: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "invoice": (frozenset({"receivable"}), frozenset({"revenue", "vat_payable"})),
    "credit_note": (frozenset({"revenue", "vat_payable"}), frozenset({"receivable"})),
    "bank_receipt": (frozenset({"bank"}), frozenset({"receivable", "unapplied_receipts"})),
    "stripe_receipt": (frozenset({"stripe_clearing"}), frozenset({"receivable", "unapplied_receipts"})),
    "allocation": (frozenset({"unapplied_receipts"}), frozenset({"receivable"})),
    "release": (frozenset({"receivable"}), frozenset({"unapplied_receipts"})),
    "refund": (frozenset({"unapplied_receipts"}), frozenset({"bank", "stripe_clearing"})),
    "settlement": (frozenset({"revenue", "payable"}), frozenset({"payable", "revenue"})),
    "payout": (frozenset({"payable"}), frozenset({"bank"})),
}
"""Per kind of entry, accounts that may be debited and that may be credited: balanced is not enough."""


@dataclass(frozen=True)
class Entry:
    """分录 to be posted. ``key`` makes it idempotent; ``source`` is what caused it.

    Raises Unbalanced, AccountsNotAllowed or FractionOfFen when made wrong: a wrong entry cannot be held.
    """

    key: str
    kind: str
    description: str
    legs: tuple[Leg, ...]
    source_kind: str
    source_id: str
    period: str | None = None
    reverses_id: str | None = None
    currency: str = CURRENCY

    def __post_init__(self) -> None:
        for leg in self.legs:
            if whole_fen(leg.amount_fen) == 0:
                raise FractionOfFen("a posting of zero says nothing")
        off = sum(leg.amount_fen for leg in self.legs)
        if off or len(self.legs) < 2:
            raise Unbalanced(off_fen=off)
        self._check_accounts()

    def _check_accounts(self) -> None:
        debits, credits = ALLOWED[self.kind]
        if self.reverses_id:
            debits, credits = credits, debits
        for leg in self.legs:
            word = leg.account.partition(":")[0]
            if word not in ACCOUNT_KINDS or word not in (debits if leg.amount_fen > 0 else credits):
                raise AccountsNotAllowed(kind=self.kind, account=leg.account)

    @property
    def content_hash(self) -> str:
        """SHA-256 of what the entry says; when and by whom it was posted are not part of it."""
        return content_hash(
            self.kind, self.source_kind, self.source_id, self.period, self.reverses_id, self.currency,
            [(leg.account, leg.amount_fen) for leg in self.legs],
        )

    def reversed(self, entry_id: str, reason: str) -> Entry:
        """冲正: the mirror image of this entry, posted as ``entry_id``; the original stays as it is."""
        return Entry(
            key=f"reversal:{entry_id}", kind=self.kind, description=reason,
            legs=tuple(Leg(leg.account, -leg.amount_fen) for leg in self.legs),
            source_kind=self.source_kind, source_id=self.source_id, period=self.period, reverses_id=entry_id,
            currency=self.currency,
        )


def content_hash(
    kind: str, source_kind: str, source_id: str, period: str | None, reverses_id: str | None, currency: str,
    legs: list[tuple[str, int]],
) -> str:
    parts = [kind, source_kind, source_id, period, reverses_id, currency, legs]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def legs_of(*pairs: tuple[str, int]) -> tuple[Leg, ...]:
    """Legs from pairs, leaving out those of zero."""
    return tuple(Leg(account, amount) for account, amount in pairs if amount)
