"""``govopen certificate verify FILE --key KEY``: verify a certificate offline."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from licensing.certificates.jws import CertificateInvalid, verify


def main(arguments: list[str]) -> int:
    """Run the command; exit status 0 verified, 1 not verified, 2 unreadable."""
    parser = argparse.ArgumentParser(prog="govopen certificate", description="登记凭证 / certificates")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("verify", help="离线校验登记凭证 / verify a certificate offline")
    check.add_argument("file", type=Path, help="the .jws file")
    check.add_argument("--key", type=Path, required=True, help="public key in PEM (/v1/audit/key)")
    given = parser.parse_args(arguments)
    try:
        token = given.file.read_text(encoding="ascii").strip()
        key = load_pem_public_key(given.key.read_bytes())
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("the key is not an Ed25519 public key")
    except (OSError, ValueError) as problem:
        print(f"无法读取 / cannot read: {problem}", file=sys.stderr)
        return 2
    try:
        certificate = verify(token, key)
    except CertificateInvalid as refusal:
        print(f"校验失败 / NOT VERIFIED: {refusal.detail('zh')} {refusal.detail('en')}", file=sys.stderr)
        return 1
    print(f"校验通过 / verified: {certificate.code} {certificate.title} — {certificate.registrant}")
    print(f"有效期 / valid: {certificate.valid_from} – {certificate.valid_until}; 当前状态请在线查询 / status online")
    return 0
