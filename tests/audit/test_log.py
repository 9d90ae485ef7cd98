"""The log in PostgreSQL: written with the action or not at all, never edited, exported and verified offline."""

import json

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from authz import AuditEntry, FixedClock, Runtime
from ops.audit import tree
from ops.audit.checkpoint import open_note
from ops.audit.export import export_lines, verify_lines
from ops.audit.merkle import ProofInvalid, check_consistency, check_inclusion, leaf_hash


async def write(runtime: Runtime, count: int, action: str = "grant.issued") -> None:
    async with runtime.transaction() as tx:
        for number in range(count):
            await runtime.audit.append(
                tx, AuditEntry(action, "wang", "grant", f"gnt_{number}", reason="依申请")
            )


async def exported(runtime: Runtime) -> list[str]:
    async with runtime.transaction() as tx:
        note = await tree.checkpoint(tx, runtime.signing_key, runtime.clock.now())
    size = open_note(note, runtime.signing_key.public_key()).size
    async with runtime.snapshot() as tx:
        return [line async for line in export_lines(tx, note, size)]


async def test_export_verifies_offline_and_counts_actions(runtime: Runtime) -> None:
    await write(runtime, 5)
    found = verify_lines(await exported(runtime), runtime.signing_key.public_key())
    assert found.actions["grant.issued"] >= 5


async def test_one_changed_character_is_found(runtime: Runtime) -> None:
    await write(runtime, 3)
    lines = await exported(runtime)
    lines[2] = lines[2].replace("wang", "wamg")
    with pytest.raises(ProofInvalid, match="an entry was changed"):
        verify_lines(lines, runtime.signing_key.public_key())


async def test_a_removed_entry_is_found(runtime: Runtime) -> None:
    await write(runtime, 3)
    lines = await exported(runtime)
    del lines[2]
    with pytest.raises(ProofInvalid, match="out of place"):
        verify_lines(lines, runtime.signing_key.public_key())


async def test_another_key_does_not_verify(runtime: Runtime) -> None:
    await write(runtime, 1)
    with pytest.raises(ProofInvalid, match="not signed by this key"):
        verify_lines(await exported(runtime), Ed25519PrivateKey.generate().public_key())


async def test_rewritten_history_contradicts_a_kept_checkpoint(runtime: Runtime) -> None:
    """Even whoever holds the signing key cannot change what a kept checkpoint saw."""
    key = runtime.signing_key
    await write(runtime, 2)
    kept = json.loads((await exported(runtime))[-1])["checkpoint"]
    await write(runtime, 2)
    lines = await exported(runtime)
    from ops.audit.checkpoint import Checkpoint, sign
    from ops.audit.merkle import root_of

    records = [json.loads(line) for line in lines[1:-1]]
    records[0]["leaf"] = records[0]["leaf"].replace("wang", "li")
    _, root = root_of(leaf_hash(r["leaf"].encode()) for r in records)
    forged = [
        lines[0], *(json.dumps(r) for r in records),
        json.dumps({"checkpoint": sign(Checkpoint(len(records), root), key)}),
    ]
    verify_lines(forged, key.public_key())
    with pytest.raises(ProofInvalid, match="history was changed"):
        verify_lines(forged, key.public_key(), kept)


async def test_an_action_that_fails_leaves_no_entry(runtime: Runtime) -> None:
    before = await runtime.pool.fetchval("SELECT count(*) FROM audit.entry")

    async def fail_after_writing() -> None:
        async with runtime.transaction() as tx:
            await runtime.audit.append(tx, AuditEntry("grant.issued", "wang", "grant", "gnt_x"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_writing()
    assert await runtime.pool.fetchval("SELECT count(*) FROM audit.entry") == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit.entry SET leaf = '{}'",
        "DELETE FROM audit.entry",
        "TRUNCATE audit.entry",
        "UPDATE audit.node SET hash = ''",
        "DELETE FROM audit.checkpoint",
    ],
)
async def test_the_database_refuses_to_edit_the_log(runtime: Runtime, statement: str) -> None:
    await write(runtime, 1)
    await exported(runtime)
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await runtime.pool.execute(statement)


async def test_stored_proofs_hold(runtime: Runtime, clock: FixedClock) -> None:
    await write(runtime, 7)
    key = runtime.signing_key.public_key()
    async with runtime.transaction() as tx:
        old = open_note(await tree.checkpoint(tx, runtime.signing_key, clock.now()), key)
    await write(runtime, 6)
    clock.advance(minutes=1)
    async with runtime.transaction() as tx:
        new = open_note(await tree.checkpoint(tx, runtime.signing_key, clock.now()), key)
        path = await tree.prove_consistency(tx, old.size, new.size)
        check_consistency(old.size, new.size, old.root, new.root, path)
        leaf = await tx.fetchval("SELECT leaf FROM audit.entry WHERE leaf_index = $1", old.size)
        proof = await tree.prove_inclusion(tx, old.size, new.size)
        check_inclusion(leaf_hash(leaf.encode()), old.size, new.size, proof, new.root)
