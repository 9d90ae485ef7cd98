"""Changing the policies: proposed by one person, approved by another, with what it would change in front of them."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from authz.foundation.errors import InvalidInput
from authz.foundation.evidence import AuditEntry, AuditLog
from authz.foundation.identity import Call
from authz.foundation.ids import new_id
from authz.pdp.bundle import PolicySet, in_force, packaged
from authz.roles import require, separate
from authz.versions import store
from authz.versions.checks import faults_of
from authz.versions.follow import load_policies
from authz.versions.model import (
    STATES,
    PolicyDecided,
    PolicyMovedOn,
    PolicyUnchanged,
    PolicyVersion,
    State,
)

RELEASE = "release"
"""Stands for the policies that the release carries, where a version's id is asked for."""


async def propose(
    tx: asyncpg.Connection, call: Call, files: Mapping[str, str], reason: str, *, audit: AuditLog
) -> PolicyVersion:
    """A new version: the files given over those in force. Raises InvalidInput with every fault, PolicyUnchanged."""
    require(call.identity, "policy:propose", None)
    await load_policies(tx)
    base = in_force()
    policies = PolicySet({**packaged().files, **base.files, **files})
    if policies.files == base.files:
        raise PolicyUnchanged
    faults = faults_of(policies)
    if faults:
        raise InvalidInput(faults)
    made = PolicyVersion(
        id=new_id("pol"), digest=policies.version, base=base.version, release=packaged().version,
        files=policies.files, reason=reason, state="proposed", version=1, proposed_by=call.identity.user_id,
        proposed_by_name=call.identity.display_name, proposed_at=call.now, decided_by=None, decided_by_name=None,
        decided_at=None, decision_reason=None, in_force_from=None, in_force_until=None,
    )
    await store.insert(tx, made)
    await _tell(tx, audit, call, "policy.proposed", made, reason)
    return made


async def approve(
    tx: asyncpg.Connection, call: Call, version_id: str, version: int, reason: str, *, audit: AuditLog
) -> PolicyVersion:
    """Put a proposed version in force. Not by who proposed it, and only on the policies that it was made from."""
    require(call.identity, "policy:approve", None)
    found = await store.locked(tx, version_id, version)
    _expect(found, "proposed")
    separate(call.identity, found.proposed_by, "self_approval")
    await load_policies(tx)
    if found.base != in_force().version:
        raise PolicyMovedOn(base=found.base, now=in_force().version)
    faults = faults_of(found.policies)
    if faults:
        raise InvalidInput(faults)
    return await _decided(tx, call, found, "in_force", reason, "policy.approved", audit)


async def reject(
    tx: asyncpg.Connection, call: Call, version_id: str, version: int, reason: str, *, audit: AuditLog
) -> PolicyVersion:
    """Refuse a proposed version; who proposed it may take it back."""
    require(call.identity, "policy:approve", None)
    found = await store.locked(tx, version_id, version)
    _expect(found, "proposed")
    return await _decided(tx, call, found, "rejected", reason, "policy.rejected", audit)


async def roll_back(
    tx: asyncpg.Connection, call: Call, version_id: str, reason: str, *, audit: AuditLog
) -> PolicyVersion | None:
    """Put back what was in force before: one person may do it, for it has been approved once and cannot wait.

    ``release`` puts back the release's own policies; the answer is None then.
    """
    require(call.identity, "policy:approve", None)
    if version_id == RELEASE:
        await store.retire(tx, call.now)
        await audit.append(tx, AuditEntry(
            "policy.rolled_back", call.identity.name, "policy_version", RELEASE, request_id=call.request_id,
            reason=reason, details={"policy_version": packaged().version},
        ))
        return None
    known = await store.find(tx, version_id)
    found = await store.locked(tx, version_id, known.version)
    _expect(found, "superseded")
    return await _decided(tx, call, found, "in_force", reason, "policy.rolled_back", audit)


async def _decided(
    tx: asyncpg.Connection, call: Call, found: PolicyVersion, state: State, reason: str, action: str, audit: AuditLog
) -> PolicyVersion:
    who = (call.identity.user_id, call.identity.display_name)
    decided = await store.decide(tx, found, state, who, call.now, reason)
    await _tell(tx, audit, call, action, decided, reason)
    return decided


def _expect(found: PolicyVersion, state: State) -> None:
    if found.state != state:
        zh, en = STATES[found.state]
        raise PolicyDecided(state_zh=zh, state_en=en)


async def _tell(
    tx: asyncpg.Connection, audit: AuditLog, call: Call, action: str, about: PolicyVersion, reason: str
) -> None:
    await audit.append(tx, AuditEntry(
        action, call.identity.name, "policy_version", about.id, request_id=call.request_id, reason=reason,
        details={"policy_version": about.digest, "base": about.base},
    ))


async def get(tx: asyncpg.Connection, call: Call, version_id: str) -> PolicyVersion:
    """One version with its files; raises PolicyVersionUnknown (404)."""
    require(call.identity, "policy:view", None)
    return await store.find(tx, version_id)


async def listed(tx: asyncpg.Connection, call: Call, before: str | None, limit: int) -> list[PolicyVersion]:
    """Newest first."""
    require(call.identity, "policy:view", None)
    return await store.listing(tx, before, limit)


def text_of(call: Call, path: str) -> str | None:
    """A file of the policies in force, None when there is none of that name."""
    require(call.identity, "policy:view", None)
    return in_force().files.get(path)
