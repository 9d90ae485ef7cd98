"""Checkpoints as signed notes (C2SP tlog-checkpoint): origin, size, root, then an Ed25519 signature line."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ops.audit.merkle import ProofInvalid

ORIGIN = "govopen/audit"
SUITE = "Ed25519+SHA-256"
_ALGORITHM_ED25519 = b"\x01"


@dataclass(frozen=True)
class Checkpoint:
    size: int
    root: bytes

    def body(self) -> str:
        return f"{ORIGIN}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def _key_id(key: Ed25519PublicKey) -> bytes:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(ORIGIN.encode() + b"\n" + _ALGORITHM_ED25519 + raw).digest()[:4]


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The note: text, an empty line, the signature line."""
    body = checkpoint.body()
    signature = _key_id(key.public_key()) + key.sign(body.encode())
    return f"{body}\n— {ORIGIN} {base64.b64encode(signature).decode()}\n"


def open_note(note: str, key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint in a note whose signature by ``key`` holds; raises ProofInvalid otherwise."""
    body, separator, signatures = note.partition("\n\n")
    body += "\n"
    lines = body.split("\n")
    if not separator or len(lines) != 4 or lines[0] != ORIGIN:
        raise ProofInvalid("this is no checkpoint of the audit log")
    for line in signatures.splitlines():
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "—" or name != ORIGIN:
            continue
        try:
            raw = base64.b64decode(encoded, validate=True)
            if raw[:4] != _key_id(key):
                continue
            key.verify(raw[4:], body.encode())
            return Checkpoint(int(lines[1]), base64.b64decode(lines[2], validate=True))
        except (InvalidSignature, ValueError) as problem:
            raise ProofInvalid("the signature of the checkpoint does not hold") from problem
    raise ProofInvalid("the checkpoint is not signed by this key")
