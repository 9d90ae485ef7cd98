"""The log in PostgreSQL: written with the action or not at all, never edited, exported and verified offline."""

import asyncio
import base64
import json
from typing import Any

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from authz import AuditEntry, FixedClock, Role, Runtime
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


async def test_numbers_beyond_the_log_are_refused_not_failed(client: httpx.AsyncClient, token_for: Any) -> None:
    headers = token_for("reader")
    far = await client.get("/v1/audit/entries", params={"cursor": str(2**63)}, headers=headers)
    assert (far.status_code, far.json()["errors"][0]["field"]) == (422, "cursor")
    record = {"sequence": 2**63, "at": "", "action": "a.b", "actor": "", "object_kind": "", "object_id": ""}
    sent = await client.post("/v1/audit/outbox", json={"source": "ckan", "records": [record]}, headers=headers)
    assert (sent.status_code, sent.json()["errors"][0]["field"]) == (422, "records.0.sequence")


async def test_a_checkpoint_is_signed_only_for_whoever_may_have_the_proof(
    client: httpx.AsyncClient, runtime: Runtime, token_for: Any, give_role: Any
) -> None:
    await give_role("chen", Role.AUDITOR, "platform")
    await write(runtime, 3)
    number = await runtime.pool.fetchval("SELECT max(id) FROM audit.entry")
    signed = await runtime.pool.fetchval("SELECT count(*) FROM audit.checkpoint")
    path = f"/v1/audit/entries/{number}/proof"
    assert (await client.get(path, headers=token_for("stranger"))).status_code == 403
    assert (await client.get(f"/v1/audit/entries/{2**61}/proof", headers=token_for("chen"))).status_code == 404
    assert await runtime.pool.fetchval("SELECT count(*) FROM audit.checkpoint") == signed
    stop = asyncio.Event()

    async def keep_writing() -> None:
        while not stop.is_set():
            await write(runtime, 1)

    writing = asyncio.create_task(keep_writing())
    for _ in range(20):
        number = await runtime.pool.fetchval("SELECT max(id) FROM audit.entry")
        answer = await client.get(f"/v1/audit/entries/{number}/proof", headers=token_for("chen"))
        assert answer.status_code == 200, answer.text
        proof = answer.json()
        at = open_note(proof["checkpoint"], runtime.signing_key.public_key())
        path_of = [base64.b64decode(one) for one in proof["path"]]
        check_inclusion(leaf_hash(proof["leaf"].encode()), proof["leaf_index"], at.size, path_of, at.root)
    stop.set()
    await writing
