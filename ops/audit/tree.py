"""The log's tree in PostgreSQL: sequencing entries into leaves, checkpoints, proofs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ops.audit.checkpoint import Checkpoint, sign
from ops.audit.merkle import Frontier, Hash, NodeAt, consistency_proof, inclusion_proof, leaf_hash, peaks_of

BATCH = 10_000
_LOCK = 7_310_022


async def _frontier(tx: asyncpg.Connection) -> Frontier:
    size: int = await tx.fetchval("SELECT count(*) FROM audit.node WHERE level = 0")
    if not size:
        return Frontier()
    return Frontier(size, await _nodes(tx, peaks_of(size)))


async def _nodes(tx: asyncpg.Connection, places: list[tuple[int, int]]) -> list[bytes]:
    rows = await tx.fetch(
        "SELECT level, index, hash FROM audit.node JOIN unnest($1::int[], $2::bigint[]) AS p(l, i)"
        " ON level = p.l AND index = p.i",
        [level for level, _ in places], [index for _, index in places],
    )
    known = {(row["level"], row["index"]): bytes(row["hash"]) for row in rows}
    return [known[place] for place in places]


async def sequence(tx: asyncpg.Connection) -> int:
    """Give every committed entry that has none its leaf index and hash; returns how many were sequenced."""
    await tx.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    frontier = await _frontier(tx)
    done = 0
    while True:
        rows = await tx.fetch(
            "SELECT id, leaf FROM audit.entry WHERE leaf_index IS NULL ORDER BY id LIMIT $1", BATCH
        )
        if not rows:
            return done
        first = frontier.size
        made = [node for row in rows for node in frontier.append(leaf_hash(row["leaf"].encode()))]
        await tx.copy_records_to_table(
            "node", schema_name="audit", records=made, columns=["level", "index", "hash"]
        )
        await tx.execute(
            "UPDATE audit.entry SET leaf_index = s.place"
            " FROM unnest($1::bigint[], $2::bigint[]) AS s(id, place) WHERE entry.id = s.id",
            [row["id"] for row in rows], list(range(first, frontier.size)),
        )
        done += len(rows)


async def checkpoint(tx: asyncpg.Connection, key: Ed25519PrivateKey, now: datetime) -> str:
    """Sequence what is there and return the signed checkpoint of the whole log as it is now."""
    await sequence(tx)
    frontier = await _frontier(tx)
    known: str | None = await tx.fetchval("SELECT note FROM audit.checkpoint WHERE size = $1", frontier.size)
    if known is not None:
        return known
    note = sign(Checkpoint(frontier.size, frontier.root()), key)
    await tx.execute(
        "INSERT INTO audit.checkpoint (size, root, at, note) VALUES ($1, $2, $3, $4)",
        frontier.size, frontier.root(), now, note,
    )
    return note


async def prove_inclusion(tx: asyncpg.Connection, index: int, size: int) -> list[bytes]:
    """Audit path of a leaf in the tree of ``size`` leaves; raises ValueError when it is outside."""
    return await _prove(tx, size, lambda node: inclusion_proof(node, index, size))


async def prove_consistency(tx: asyncpg.Connection, old: int, new: int) -> list[bytes]:
    """Proof that the log of ``old`` entries begins the log of ``new``; raises ValueError when it cannot."""
    return await _prove(tx, new, lambda node: consistency_proof(node, old, new))


async def _prove(tx: asyncpg.Connection, size: int, prove: Callable[[NodeAt], list[Hash]]) -> list[bytes]:
    wanted: list[tuple[int, int]] = []

    def collect(level: int, index: int) -> bytes:
        wanted.append((level, index))
        return b""

    have: int = await tx.fetchval("SELECT count(*) FROM audit.node WHERE level = 0")
    if size > have:
        raise ValueError("the log is not that long")
    prove(collect)
    known = dict(zip(wanted, await _nodes(tx, wanted), strict=True)) if wanted else {}
    return prove(lambda level, index: known[level, index])
