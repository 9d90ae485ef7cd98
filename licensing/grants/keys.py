"""Access keys 访问密钥 of a grant: ``gok_<prefix>_<secret>``, shown once, kept as a SHA-256.

The secret has 160 random bits, so a plain hash is enough; the prefix is public, indexed and names the key.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

import asyncpg

from authz import (
    BEIJING,
    AuditEntry,
    AuditLog,
    Call,
    FieldError,
    InvalidInput,
    NotFound,
    beijing_date,
    new_id,
    require,
)
from licensing.errors import GrantNotActive, KeyInvalid, TooManyKeys
from licensing.grants import service, store
from licensing.grants.model import Grant, KeyUse
from licensing.limits import procedure
from licensing.rows import Row

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
PREFIX_DIGITS, SECRET_DIGITS = 12, 32
FORM = re.compile(rf"gok_([{ALPHABET}]{{{PREFIX_DIGITS}}})_([{ALPHABET}]{{{SECRET_DIGITS}}})")
NOBODY = hashlib.sha256(secrets.token_bytes(32)).digest()
"""Compared against when there is no such key, so that both cases do the same work."""

KEY_SELECT = store.SELECT.replace(
    store.FROM,
    ", k.id AS key_id, k.prefix, k.secret_sha256, k.last_used_on, k.expires_at, k.revoked_at, k.scopes, k.ip_allow"
    + store.FROM,
    1,
) + " JOIN licensing.access_key k ON k.grant_id = g.id WHERE k.prefix = $1"

SCOPES = ("rows", "download", "lookup", "export", "verify", "analysis", "report")
"""What a key may be used for: pages, whole files, lookups, export jobs, yes or no, aggregates, reports of use."""
SCOPES_USUAL = SCOPES[:-1]
ADDRESSES_MAX = 64

STAMP = (
    "(SELECT concat_ws('.', k.xmin, g.xmin, p.xmin) FROM licensing.access_key k"
    " JOIN licensing.access_grant g ON g.id = k.grant_id JOIN licensing.party p ON p.id = g.party_id"
    " WHERE k.prefix = {prefix})"
)
"""SQL of a text that is another one after any change of the key, its grant or their party; NULL without such a key.

Who keeps what ``by_key`` gave reads this along with what it serves, in one statement, and so sees every change.
"""


@dataclass(frozen=True)
class AccessKey:
    """A key as its owner sees it; the secret is nowhere."""

    id: str
    grant_id: str
    label: str
    prefix: str
    created_by_name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by_name: str | None
    last_used_on: date | None
    scopes: Sequence[str]
    ip_allow: Sequence[str]
    leaked_at: datetime | None

    @classmethod
    def from_row(cls, row: Row) -> AccessKey:
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})

    def as_document(self, now: datetime) -> dict[str, Any]:
        live = self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
        return {
            "id": self.id, "grant_id": self.grant_id, "label": self.label, "prefix": f"gok_{self.prefix}",
            "state": "active" if live else "revoked" if self.revoked_at else "expired",
            "created_at": self.created_at.isoformat(), "created_by": self.created_by_name,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "revoked_at": self.revoked_at.isoformat() if self.revoked_at else None,
            "last_used_on": self.last_used_on.isoformat() if self.last_used_on else None,
            "scopes": list(self.scopes), "ip_allow": list(self.ip_allow),
            "leaked_at": self.leaked_at.isoformat() if self.leaked_at else None,
        }


@dataclass(frozen=True)
class Limits:
    """What a key may be used for and from where; no address is any address."""

    scopes: tuple[str, ...] = SCOPES_USUAL
    ip_allow: tuple[str, ...] = ()

    @classmethod
    def read(cls, scopes: Iterable[str] | None, ip_allow: Iterable[str]) -> Limits:
        """From what was sent; raises InvalidInput naming the place of every fault."""
        faults, ranges = [], []
        wanted = SCOPES_USUAL if scopes is None else tuple(dict.fromkeys(scopes))
        for place, scope in enumerate(wanted):
            if scope not in SCOPES:
                zh, en = f"可用：{', '.join(SCOPES)}", f"must be one of {', '.join(SCOPES)}"
                faults.append(FieldError(f"scopes.{place}", "unknown_value", zh, en))
        if not wanted:
            faults.append(FieldError("scopes", "too_short", "至少选择一项用途", "must name at least one use"))
        for place, text in enumerate(ip_allow):
            try:
                ranges.append(_network(text))
            except ValueError:
                faults.append(FieldError(
                    f"ip_allow.{place}", "malformed", "应为 IP 地址或网段，例如 203.0.113.0/24 或 2001:db8::/48",
                    "must be an address or a range such as 203.0.113.0/24 or 2001:db8::/48",
                ))
        if len(ranges) > ADDRESSES_MAX:
            faults.append(FieldError(
                "ip_allow", "too_long", f"最多 {ADDRESSES_MAX} 项", f"must have at most {ADDRESSES_MAX} items"
            ))
        if faults:
            raise InvalidInput(faults)
        return cls(tuple(one for one in SCOPES if one in wanted), tuple(dict.fromkeys(ranges)))


def _network(text: str) -> str:
    """A range in its one way of writing; an IPv4 range inside IPv6 as the IPv4 range that it is."""
    found = ipaddress.ip_network(text.strip(), strict=False)
    if isinstance(found, ipaddress.IPv6Network) and found.prefixlen >= 96 and found.network_address.ipv4_mapped:
        found = ipaddress.IPv4Network((found.network_address.ipv4_mapped, found.prefixlen - 96))
    return str(found)


def _random(digits: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(digits))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


async def _mine(tx: asyncpg.Connection, call: Call, grant_id: str) -> Grant:
    """The locked grant when the caller may issue keys for it; strangers get 404."""
    await service.view(tx, call, grant_id)
    grant = await store.find(tx, grant_id, lock=True)
    if grant is None:
        raise NotFound
    require(call.identity, "key:issue", grant.party_id)
    return grant


async def create(
    tx: asyncpg.Connection, call: Call, grant_id: str, label: str, expires_on: date | None = None, *,
    audit: AuditLog, expires_at: datetime | None = None, limits: Limits | None = None,
) -> tuple[AccessKey, str]:
    """A new key and its text, which is shown this once. Raises TooManyKeys or GrantNotActive (409).

    It works until the end of ``expires_on`` or until ``expires_at``, whichever is given.
    """
    grant = await _mine(tx, call, grant_id)
    if grant.ended:
        raise GrantNotActive
    most = procedure().keys_per_grant_max
    live = await tx.fetchval(
        "SELECT count(*) FROM licensing.access_key WHERE grant_id = $1 AND revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > $2)",
        grant_id, call.now,
    )
    if live >= most:
        raise TooManyKeys(limit=most)
    limits = limits or Limits()
    prefix, secret = _random(PREFIX_DIGITS), _random(SECRET_DIGITS)
    expires = _end_of(expires_on) if expires_on else expires_at
    row = await tx.fetchrow(
        "INSERT INTO licensing.access_key (id, grant_id, label, prefix, secret_sha256, created_by, created_by_name,"
        " created_at, expires_at, scopes, ip_allow) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING *",
        new_id("key"), grant_id, label, prefix, _digest(secret), call.identity.user_id,
        call.identity.display_name, call.now, expires, list(limits.scopes), list(limits.ip_allow),
    )
    assert row is not None  # noqa: S101 - INSERT ... RETURNING gives the row
    made = AccessKey.from_row(row)
    await _tell(tx, audit, call, "key.issued", grant, made)
    return made, f"gok_{prefix}_{secret}"


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), BEIJING)


async def _tell(
    tx: asyncpg.Connection, audit: AuditLog, call: Call, action: str, grant: Grant, key: AccessKey
) -> None:
    await audit.append(
        tx,
        AuditEntry(
            action, call.identity.name, "key", key.id, organisation_id=grant.party_id,
            request_id=call.request_id,
            details={
                "grant_id": grant.id, "prefix": key.prefix, "scopes": list(key.scopes),
                "ip_allow": list(key.ip_allow),
            },
        ),
    )


async def _live(tx: asyncpg.Connection, call: Call, grant_id: str, key_id: str) -> AccessKey:
    row = await tx.fetchrow(
        "SELECT * FROM licensing.access_key WHERE id = $1 AND grant_id = $2 AND revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > $3) FOR UPDATE",
        key_id, grant_id, call.now,
    )
    if row is None:
        raise NotFound
    return AccessKey.from_row(row)


async def revoke(
    tx: asyncpg.Connection, call: Call, grant_id: str, key_id: str, *, audit: AuditLog
) -> AccessKey:
    """Stop a key at once; raises NotFound when it is no live key of the grant."""
    grant = await _mine(tx, call, grant_id)
    await _live(tx, call, grant_id, key_id)
    row = await tx.fetchrow(
        "UPDATE licensing.access_key SET revoked_at = $2, revoked_by_name = $3 WHERE id = $1 RETURNING *",
        key_id, call.now, call.identity.display_name,
    )
    assert row is not None  # noqa: S101 - the row is locked above
    ended = AccessKey.from_row(row)
    await _tell(tx, audit, call, "key.revoked", grant, ended)
    return ended


async def limit(
    tx: asyncpg.Connection, call: Call, grant_id: str, key_id: str, limits: Limits, *, audit: AuditLog
) -> AccessKey:
    """Change what a live key may be used for and from where; holds from its next call."""
    grant = await _mine(tx, call, grant_id)
    await _live(tx, call, grant_id, key_id)
    row = await tx.fetchrow(
        "UPDATE licensing.access_key SET scopes = $2, ip_allow = $3 WHERE id = $1 RETURNING *",
        key_id, list(limits.scopes), list(limits.ip_allow),
    )
    assert row is not None  # noqa: S101 - the row is locked above
    changed = AccessKey.from_row(row)
    await _tell(tx, audit, call, "key.limited", grant, changed)
    return changed


async def rotate(
    tx: asyncpg.Connection, call: Call, grant_id: str, key_id: str, overlap_hours: int, *, audit: AuditLog
) -> tuple[AccessKey, str]:
    """A new key in place of an old one, which keeps working for the overlap so that nothing stands still.

    The new key ends when the old one was to end and is for the same uses and addresses: changing a key does not widen
    the access.
    """
    await _mine(tx, call, grant_id)
    old = await _live(tx, call, grant_id, key_id)
    until = call.now + timedelta(hours=overlap_hours)
    if old.expires_at is not None:
        until = min(until, old.expires_at)
    await tx.execute("UPDATE licensing.access_key SET expires_at = $2 WHERE id = $1", key_id, until)
    limits = Limits(tuple(old.scopes), tuple(old.ip_allow))
    made, text = await create(tx, call, grant_id, old.label, audit=audit, expires_at=old.expires_at, limits=limits)
    return replace(made, label=old.label), text


async def listing(tx: asyncpg.Connection, call: Call, grant_id: str) -> list[AccessKey]:
    """Keys of the grant, newest first, for members of its party."""
    grant = await service.view(tx, call, grant_id)
    require(call.identity, service.VIEW, grant.party_id)
    rows = await tx.fetch("SELECT * FROM licensing.access_key WHERE grant_id = $1 ORDER BY id DESC", grant_id)
    return [AccessKey.from_row(row) for row in rows]


def prefix_of(key: str) -> str | None:
    """The public part of a key's text, None for what has not the form of a key."""
    parts = FORM.fullmatch(key)
    return parts[1] if parts else None


async def by_key(tx: asyncpg.Connection, key: str, now: datetime) -> Grant:
    """The grant that a key opens, with ``grant.key`` set; raises KeyInvalid (401) for any key that is not live.

    Whether the grant is active is for the decision to say: ``grant.facts()`` goes to ``authz.decide``.
    """
    parts = FORM.fullmatch(key)
    row = await tx.fetchrow(KEY_SELECT, parts[1]) if parts else None
    given = _digest(parts[2]) if parts else NOBODY[::-1]
    known = bytes(row["secret_sha256"]) if row else NOBODY
    same = hmac.compare_digest(given, known)
    if row is None or not same:
        raise KeyInvalid
    plain = dict(row)
    revoked, expires = plain.pop("revoked_at"), plain.pop("expires_at")
    if revoked is not None or (expires is not None and now >= expires):
        raise KeyInvalid
    del plain["secret_sha256"]
    use = KeyUse(
        plain.pop("key_id"), plain.pop("prefix"), plain.pop("last_used_on"), tuple(plain.pop("scopes")),
        tuple(plain.pop("ip_allow")), expires,
    )
    return replace(Grant.from_row(plain), key=use)


async def live_keys(tx: asyncpg.Connection, key_ids: Iterable[str], now: datetime) -> set[str]:
    """Those of the keys that work at that instant."""
    rows = await tx.fetch(
        "SELECT id FROM licensing.access_key WHERE id = ANY($1) AND revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > $2)",
        list(key_ids), now,
    )
    return {row["id"] for row in rows}


async def addresses_of(tx: asyncpg.Connection, key_id: str) -> tuple[str, ...]:
    """From where a key may be used, also after its end; empty is from anywhere."""
    found = await tx.fetchval("SELECT ip_allow FROM licensing.access_key WHERE id = $1", key_id)
    return tuple(found or ())


async def note_use(tx: asyncpg.Connection, grant: Grant, now: datetime) -> None:
    """Remember the day a key was last used; writes once a day and key."""
    today = beijing_date(now)
    if grant.key is not None and grant.key.last_used_on != today:
        await tx.execute(
            "UPDATE licensing.access_key SET last_used_on = $2 WHERE id = $1"
            " AND last_used_on IS DISTINCT FROM $2",
            grant.key.id, today,
        )
