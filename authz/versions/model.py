"""One version of the policies on its way: who proposed what and why, who decided."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from authz.foundation.errors import Conflict, NotFound
from authz.pdp.bundle import PolicySet

State = Literal["proposed", "rejected", "in_force", "superseded"]

STATES: Mapping[str, tuple[str, str]] = {
    "proposed": ("待审批", "Proposed"), "rejected": ("已驳回", "Rejected"), "in_force": ("生效中", "In force"),
    "superseded": ("已被取代", "Superseded"),
}


class PolicyVersionUnknown(NotFound):
    code = "policy_version_unknown"
    zh = "没有这个策略版本。"
    en = "There is no such version of the policies."


class PolicyUnchanged(Conflict):
    code = "policy_unchanged"
    zh = "提交的内容与现行策略没有区别。"
    en = "What was sent does not differ from the policies in force."
    next_zh = "请修改后再提交。"
    next_en = "Change something first."


class PolicyMovedOn(Conflict):
    code = "policy_moved_on"
    zh = "该版本基于 {base}，而现行策略已是 {now}。"
    en = "The version was made from {base}, and {now} is in force now."
    next_zh = "请在现行策略上重新提出修改，并重新模拟。"
    next_en = "Propose it again on the policies in force, and simulate it."


class PolicyDecided(Conflict):
    code = "policy_decided"
    zh = "该版本当前为“{state_zh}”，不能这样处理。"
    en = "The version is '{state_en}': this cannot be done to it."


@dataclass(frozen=True)
class PolicyVersion:
    """``digest`` names what decides; ``base`` the version it was made from; ``release`` the release's own."""

    id: str
    digest: str
    base: str
    release: str
    files: Mapping[str, str]
    reason: str
    state: State
    version: int
    proposed_by: str
    proposed_by_name: str
    proposed_at: datetime
    decided_by: str | None
    decided_by_name: str | None
    decided_at: datetime | None
    decision_reason: str | None
    in_force_from: datetime | None
    in_force_until: datetime | None

    @property
    def policies(self) -> PolicySet:
        return PolicySet(self.files)

    def as_document(self) -> dict[str, Any]:
        """Without the files: those are read one version at a time."""
        zh, en = STATES[self.state]
        return {
            "id": self.id, "policy_version": self.digest, "base": self.base, "release": self.release,
            "reason": self.reason, "state": self.state, "label_zh": zh, "label_en": en, "version": self.version,
            "proposed_by": self.proposed_by_name, "proposed_at": self.proposed_at.isoformat(),
            "decided_by": self.decided_by_name, "decided_at": _iso(self.decided_at),
            "decision_reason": self.decision_reason, "in_force_from": _iso(self.in_force_from),
            "in_force_until": _iso(self.in_force_until),
        }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def differences(before: PolicySet, after: PolicySet) -> dict[str, str]:
    """The changed files as unified diffs, by path."""
    found = {}
    for path in sorted(after.files):
        old, new = before.files.get(path, ""), after.files[path]
        if old != new:
            lines = difflib.unified_diff(old.splitlines(), new.splitlines(), path, path, lineterm="")
            found[path] = "\n".join(lines)
    return found
