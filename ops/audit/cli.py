"""``govopen audit export`` and ``govopen audit verify``."""

from __future__ import annotations

import argparse
import sys
import urllib.error
import urllib.request
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ops.audit.export import verify_file
from ops.audit.merkle import ProofInvalid


def _export(site: str, token: str, target: Path) -> int:
    request = urllib.request.Request(  # noqa: S310 - the operator names the site
        f"{site.rstrip('/')}/v1/audit/export", headers={"Authorization": token}
    )
    partial = target.with_suffix(target.suffix + ".part")
    try:
        with urllib.request.urlopen(request) as answer, partial.open("wb") as out:  # noqa: S310
            while piece := answer.read(1 << 16):
                out.write(piece)
    except urllib.error.HTTPError as refusal:
        said = refusal.read(2_000).decode("utf-8", "replace")
        print(f"导出被拒绝 / refused: {refusal.status} {said}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"无法连接 / cannot reach {site}: {problem}. 请先运行 govopen status。", file=sys.stderr)
        return 1
    partial.replace(target)
    print(f"已导出 / exported: {target}")
    return 0


def _verify(path: Path, key_file: Path, earlier: Path | None) -> int:
    try:
        key = load_pem_public_key(key_file.read_bytes())
        if not isinstance(key, Ed25519PublicKey):
            raise ProofInvalid("the key is not an Ed25519 public key")
        found = verify_file(path, key, earlier.read_text(encoding="utf-8") if earlier else None)
    except (OSError, ValueError) as problem:
        print(f"无法读取 / cannot read: {problem}", file=sys.stderr)
        return 2
    except ProofInvalid as problem:
        print(f"校验失败 / NOT VERIFIED: {problem}", file=sys.stderr)
        return 1
    print(f"校验通过 / verified: {found.size} 条 entries, root {found.root}")
    for action, count in sorted(found.actions.items()):
        print(f"  {count:>8}  {action}")
    return 0


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status: 0 verified, 1 refused, 2 unreadable."""
    parser = argparse.ArgumentParser(prog="govopen audit", description="审计日志 / the audit log")
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="导出审计日志 / export the log")
    export.add_argument("file", type=Path)
    export.add_argument("--site", required=True)
    export.add_argument("--token-file", type=Path, required=True, help="CKAN API token of an auditor")
    verify = commands.add_parser("verify", help="离线校验导出文件 / verify an export offline")
    verify.add_argument("file", type=Path)
    verify.add_argument("--key", type=Path, required=True, help="public key in PEM (/v1/audit/key)")
    verify.add_argument("--since", type=Path, help="a checkpoint kept from before")
    given = parser.parse_args(arguments)
    if given.command == "export":
        return _export(given.site, given.token_file.read_text(encoding="utf-8").strip(), given.file)
    return _verify(given.file, given.key, given.since)
