"""Signatures: the service attests with its Ed25519 key that this account signed this digest at this time."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authz import Call
from licensing.agreements.drafting import digest
from licensing.agreements.model import Agreement, Side, Signature
from licensing.errors import SignatureBroken

ALGORITHM = "Ed25519"


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def statement(number: str, sha256: str, side: Side, signer_id: str, signer_name: str, at: datetime) -> str:
    """What is signed, as canonical JSON (sorted keys, no spaces, UTF-8)."""
    facts = {
        "agreement": number, "sha256": sha256, "side": side.value, "signer_id": signer_id,
        "signer_name": signer_name, "signed_at": at.astimezone(UTC).isoformat(),
        "type": "govopen.agreement-signature.v1",
    }
    return json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def make(
    agreement: Agreement, side: Side, signer_name: str, call: Call, key: Ed25519PrivateKey
) -> Signature:
    said = statement(
        agreement.number, agreement.sha256, side, call.identity.user_id, signer_name, call.now
    )
    return Signature(
        side=side, signer_id=call.identity.user_id, signer_account=call.identity.name, signer_name=signer_name,
        signed_at=call.now, sha256=agreement.sha256, statement=said, algorithm=ALGORITHM,
        key_id=key_id(key.public_key()), signature=key.sign(said.encode("utf-8")).hex(),
    )


def verify(agreement: Agreement, key: Ed25519PublicKey) -> None:
    """Check the text against its digest and each signature against both; raises SignatureBroken."""
    if digest(agreement.text) != agreement.sha256:
        raise SignatureBroken
    for one in agreement.signatures:
        expected = statement(
            agreement.number, agreement.sha256, one.side, one.signer_id, one.signer_name, one.signed_at
        )
        if one.sha256 != agreement.sha256 or one.statement != expected:
            raise SignatureBroken
        try:
            key.verify(bytes.fromhex(one.signature), one.statement.encode("utf-8"))
        except (InvalidSignature, ValueError):
            raise SignatureBroken from None
