"""Secrets of endpoints and what is signed with them (Standard Webhooks 1.0)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = "whsec_"
SECRET_BYTES = 32
NONCE_BYTES = 12


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def shown(secret: bytes) -> str:
    """As its owner gets to see it, once."""
    return PREFIX + base64.b64encode(secret).decode()


def _sealing_key(key: Ed25519PrivateKey) -> AESGCM:
    derived = HKDF(SHA256(), 32, salt=None, info=b"govopen webhook secrets v1").derive(key.private_bytes_raw())
    return AESGCM(derived)


def seal(key: Ed25519PrivateKey, endpoint_id: str, secret: bytes) -> bytes:
    """For the database: readable with the service's key only, and only as this endpoint's."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _sealing_key(key).encrypt(nonce, secret, endpoint_id.encode())


def unseal(key: Ed25519PrivateKey, endpoint_id: str, sealed: bytes) -> bytes:
    return _sealing_key(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], endpoint_id.encode())


def headers(event_id: str, at: datetime, body: bytes, keys: list[bytes]) -> dict[str, str]:
    """``webhook-id`` is the same on every try of one event; each of the keys signs, the newest first."""
    stamp = str(int(at.timestamp()))
    content = f"{event_id}.{stamp}.".encode() + body
    signed = " ".join("v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": event_id, "webhook-timestamp": stamp, "webhook-signature": signed,
        "content-type": "application/json", "user-agent": "GovOpen-Webhooks/1",
    }
