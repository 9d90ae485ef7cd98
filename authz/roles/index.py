"""Casbin holds the role policy; requests are answered from an immutable index compiled from it.

pycasbin's ``enforce`` walks every line for every question (milliseconds at a thousand lines); the index answers
in about a microsecond and ``tests/authz/test_roles_index.py`` holds it equal to ``enforce`` on random policies.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import casbin
from casbin.model import Model

MODEL_FILE = Path(__file__).parent.parent / "policies" / "roles.conf"
POLICY_FILE = Path(__file__).parent.parent / "policies" / "roles.csv"
SCOPES = ("own", "any")
EVERYWHERE = "any"
"""The domain in which a role with scope ``any`` is looked up."""


class RolePolicyInvalid(ValueError):
    """The role policy file has a line that means nothing; nothing is permitted by guessing."""


@dataclass(frozen=True)
class RolePolicy:
    """Lines of the policy: ``permissions`` are (role, scope, action), ``inherits`` (role, role it includes)."""

    permissions: tuple[tuple[str, str, str], ...]
    inherits: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, path: Path = POLICY_FILE) -> RolePolicy:
        """Read the CSV file; raises RolePolicyInvalid for a line of any other form."""
        return cls.parse(path.read_text(encoding="utf-8"), path.name)

    @classmethod
    def parse(cls, text: str, name: str = POLICY_FILE.name) -> RolePolicy:
        """Read the CSV text; raises RolePolicyInvalid for a line of any other form."""
        permissions: list[tuple[str, str, str]] = []
        inherits: list[tuple[str, str]] = []
        for number, row in enumerate(csv.reader(text.splitlines()), 1):
            match [cell.strip() for cell in row]:
                case []:
                    continue
                case ["p", role, scope, action] if scope in SCOPES and role and ":" in action:
                    permissions.append((role, scope, action))
                case ["g", role, included] if role and included:
                    inherits.append((role, included))
                case _:
                    raise RolePolicyInvalid(f"{name} line {number}")
        return cls(tuple(permissions), tuple(inherits))


def enforcer(policy: RolePolicy, seats: Iterable[tuple[str, str, str]]) -> casbin.Enforcer:
    """Casbin's own judge of the policy, for people as (person, role, organisation): the index's reference."""
    found = list(seats)
    model = Model()
    model.load_model(str(MODEL_FILE))
    judge = casbin.Enforcer(model, None, False)
    for line in dict.fromkeys(policy.permissions):
        judge.add_policy(*line)
    domains = {organisation for _, _, organisation in found} | {EVERYWHERE}
    lines = {("u:" + person, role, domain) for person, role, domain in found}
    lines |= {("u:" + person, role, EVERYWHERE) for person, role, _ in found}
    lines |= {(role, included, domain) for role, included in policy.inherits for domain in domains}
    for grouping in sorted(lines):
        judge.add_grouping_policy(*grouping)
    return judge


@dataclass(frozen=True)
class RoleIndex:
    """Per action, the roles that permit it in their own organisation and those that permit it everywhere."""

    own: Mapping[str, frozenset[str]]
    everywhere: Mapping[str, frozenset[str]]

    @classmethod
    def compile(cls, policy: RolePolicy) -> RoleIndex:
        includers: dict[str, set[str]] = {}
        for role, included in policy.inherits:
            includers.setdefault(included, set()).add(role)
        tables: dict[str, dict[str, set[str]]] = {scope: {} for scope in SCOPES}
        for role, scope, action in policy.permissions:
            tables[scope].setdefault(action, set()).update(_closure(role, includers))
        own, everywhere = (
            {action: frozenset(roles) for action, roles in tables[scope].items()} for scope in SCOPES
        )
        return cls(own, everywhere)

    @property
    def actions(self) -> frozenset[str]:
        """Every action that a line names."""
        return frozenset(self.own) | frozenset(self.everywhere)

    def knows(self, action: str) -> bool:
        return action in self.own or action in self.everywhere

    def permits(self, seats: Iterable[tuple[str, str]], organisation_id: str | None, action: str) -> bool:
        """Whether any seat (role, organisation) permits the action on matters of that organisation."""
        own = self.own.get(action, frozenset())
        everywhere = self.everywhere.get(action, frozenset())
        return any(
            role in everywhere or (role in own and organisation is not None and organisation == organisation_id)
            for role, organisation in seats
        )

    def holders(self, action: str) -> frozenset[str]:
        """Roles that can permit the action somewhere: what a refused person is told to ask for."""
        return self.own.get(action, frozenset()) | self.everywhere.get(action, frozenset())


def _closure(role: str, includers: Mapping[str, set[str]]) -> set[str]:
    reached, waiting = {role}, [role]
    while waiting:
        for includer in includers.get(waiting.pop(), ()):
            if includer not in reached:
                reached.add(includer)
                waiting.append(includer)
    return reached
