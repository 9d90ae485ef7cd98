"""Opaque cursors: where a page ended, signed, and bound to the query and the version they belong to."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ops.delivery.refusals import CursorInvalid, CursorStale

CONTEXT = b"govopen/data/v1/cursor"
TAG_BYTES = 16


@dataclass(frozen=True)
class Cursors:
    """Makes and reads cursors under a key derived from the service's own."""

    key: bytes

    @classmethod
    def of(cls, signing_key: Ed25519PrivateKey) -> Cursors:
        secret = signing_key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return cls(hmac.digest(secret, CONTEXT, "sha256"))

    def make(self, query: str, version: str, last_key: int) -> str:
        body = orjson.dumps([_digest(query), version, last_key])
        return base64.urlsafe_b64encode(self._tag(body) + body).decode().rstrip("=")

    def read(self, cursor: str, query: str, version: str) -> int:
        """The key after which the next page begins; raises CursorInvalid or CursorStale."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except ValueError as fault:
            raise CursorInvalid from fault
        tag, body = raw[:TAG_BYTES], raw[TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(body)):
            raise CursorInvalid
        digest, of_version, last_key = orjson.loads(body)
        if digest != _digest(query):
            raise CursorInvalid
        if of_version != version:
            raise CursorStale
        return int(last_key)

    def _tag(self, body: bytes) -> bytes:
        return hmac.digest(self.key, body, "sha256")[:TAG_BYTES]


@lru_cache(1_024)
def _digest(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:24]
