"""The export: every leaf in order and the signed checkpoint over them; and its offline verification.

The file is JSON lines: a head, one line per leaf with the exact hashed text, a tail with the checkpoint. What
is needed to verify it is this file and the public key, nothing else.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ops.audit.checkpoint import ORIGIN, SUITE, open_note
from ops.audit.merkle import Frontier, ProofInvalid, leaf_hash

FORMAT = "govopen-audit-1"


async def export_lines(tx: asyncpg.Connection, note: str, size: int) -> AsyncIterator[str]:
    """The lines of an export of the first ``size`` leaves under the checkpoint ``note``."""
    yield json.dumps({"format": FORMAT, "origin": ORIGIN, "suite": SUITE, "size": size}) + "\n"
    query = "SELECT leaf_index, leaf FROM audit.entry WHERE leaf_index < $1 ORDER BY leaf_index"
    async for row in tx.cursor(query, size, prefetch=2_000):
        yield json.dumps({"index": row["leaf_index"], "leaf": row["leaf"]}, ensure_ascii=False) + "\n"
    yield json.dumps({"checkpoint": note}, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Verified:
    """What an export proved: how many entries, under which root, counted by action."""

    size: int
    root: str
    actions: dict[str, int]


def verify_lines(
    lines: Iterable[str], key: Ed25519PublicKey, earlier: str | None = None
) -> Verified:
    """Recompute the tree over an export and hold it against its checkpoint; raises ProofInvalid.

    ``earlier`` is a checkpoint kept from before: the export must also be a continuation of it.
    """
    source = iter(lines)
    size = _head(source)
    before = open_note(earlier, key) if earlier else None
    frontier, actions, note = Frontier(), dict[str, int](), None
    for line in source:
        record = _parse(line)
        if "checkpoint" in record:
            note = str(record["checkpoint"])
            break
        if record.get("index") != frontier.size or not isinstance(record.get("leaf"), str):
            raise ProofInvalid(f"entry {frontier.size} is missing or out of place")
        leaf = str(record["leaf"])
        frontier.append(leaf_hash(leaf.encode()))
        action = str(_parse(leaf).get("action", "?"))
        actions[action] = actions.get(action, 0) + 1
        if before and frontier.size == before.size and frontier.root() != before.root:
            raise ProofInvalid("the log does not continue the earlier checkpoint: history was changed")
    if note is None or any(line.strip() for line in source):
        raise ProofInvalid("the export does not end with its checkpoint")
    signed = open_note(note, key)
    if before and before.size > signed.size:
        raise ProofInvalid("the log is shorter than the earlier checkpoint: entries were removed")
    if frontier.size != size or signed.size != size:
        raise ProofInvalid(f"the export holds {frontier.size} entries, the checkpoint {signed.size}")
    if frontier.root() != signed.root:
        raise ProofInvalid("the entries do not make the root that was signed: an entry was changed")
    return Verified(size, signed.root.hex(), actions)


def _parse(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as problem:
        raise ProofInvalid("a line is not JSON") from problem
    if not isinstance(value, dict):
        raise ProofInvalid("a line is not an object")
    return value


def _head(source: Iterator[str]) -> int:
    head = _parse(next(source, ""))
    if head.get("format") != FORMAT or head.get("suite") != SUITE or not isinstance(head.get("size"), int):
        raise ProofInvalid("this is no export of the audit log, or of an unknown format or suite")
    return int(str(head["size"]))


def verify_file(path: Path, key: Ed25519PublicKey, earlier: str | None = None) -> Verified:
    with path.open(encoding="utf-8") as lines:
        return verify_lines(lines, key, earlier)
