"""The policy files as one bundle: what is in it, its version, and what its rules may call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import regorus

POLICIES = Path(__file__).parent.parent / "policies"

ALLOWED_BUILTINS = frozenset({
    "array.concat", "object.union", "is_array", "is_boolean", "is_object", "is_string", "startswith",
})
"""What a policy may call. Engines disagree on more than these (missing ones are silently undefined in some),
and undefined under ``not`` turns a denial into a permit, so the list grows only with a test on both engines."""


class PolicyInvalid(ValueError):
    """A policy file does not parse or calls what the bundle does not allow: no decision is made with it."""


@dataclass(frozen=True)
class PolicySet:
    """One version of all policies: the text of every file by its path under ``policies/``. Never changed."""

    files: Mapping[str, str]

    @cached_property
    def rego(self) -> tuple[str, ...]:
        """Paths of the rules in name order, without their tests."""
        return tuple(sorted(p for p in self.files if p.endswith(".rego") and not p.endswith("_test.rego")))

    @cached_property
    def version(self) -> str:
        """The first 16 hex digits of the digest of every file that decides."""
        digest = hashlib.sha256()
        for path in [*self.rego, "roles.conf", "roles.csv"]:
            digest.update(path.encode() + b"\0")
            digest.update(self.files[path].encode() + b"\0")
        return digest.hexdigest()[:16]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the policies."""
        return tuple(path.split("/")[0] for path in self.rego)

    def engine(self, paths: Iterable[str] | None = None) -> regorus.Engine:
        """A regorus engine with the rules. It belongs to the thread that made it (it panics in another).

        Raises PolicyInvalid for a file that does not parse.
        """
        engine = regorus.Engine()
        for path in self.rego if paths is None else paths:
            try:
                engine.add_policy(path, self.files[path])
            except RuntimeError as fault:
                raise PolicyInvalid(f"{path}: {str(fault).splitlines()[0]}") from fault
        return engine

    def machine(self, policy: str) -> regorus.Rvm:
        """The policy compiled for regorus's virtual machine, which is bound to its thread. Raises PolicyInvalid."""
        path = next(one for one in self.rego if one.startswith(f"{policy}/"))
        try:
            program = regorus.Program.compile_from_modules("{}", [(path, self.files[path])], [rule_path(policy)])
            machine = regorus.Rvm()
            machine.load_program(program)
        except RuntimeError as fault:
            raise PolicyInvalid(f"{path}: {str(fault).splitlines()[0]}") from fault
        return machine

    def check(self) -> None:
        """Raise PolicyInvalid unless every call in every policy is to an allowed built-in or a rule of its file."""
        for path in self.rego:
            syntax = json.loads(self.engine([path]).get_ast_as_json())
            own = set(_function_names(syntax))
            for called in _calls(syntax):
                if called not in ALLOWED_BUILTINS and called not in own:
                    raise PolicyInvalid(f"{path} calls {called}, which the bundle does not allow")


def read_policies(folder: Path) -> PolicySet:
    """The policy files of a folder, without pages."""
    found = [*folder.glob("*/*.rego"), *folder.glob("*/*.json"), *folder.glob("roles.c*")]
    return PolicySet({path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in sorted(found)})


@lru_cache(maxsize=1)
def packaged() -> PolicySet:
    """The policies that this release carries, checked."""
    found = read_policies(POLICIES)
    found.check()
    return found


_in_force: PolicySet | None = None


def in_force() -> PolicySet:
    """The policies that decide in this process: those put in force, else those of the release."""
    return _in_force or packaged()


def put_in_force(policies: PolicySet | None) -> None:
    """Decide by these from the next question on; None for those of the release. Raises PolicyInvalid first."""
    global _in_force
    if policies is not None:
        policies.check()
    _in_force = policies


def policy_version() -> str:
    """Version of the policy in force."""
    return in_force().version


def rule_path(policy: str) -> str:
    """The entry point of a policy folder."""
    return f"data.govopen.{policy}.decision"


def _walk(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield key, value
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


def _name(node: Any) -> str:
    if isinstance(node, dict):
        if "Var" in node:
            return str(node["Var"]["value"])
        if "RefDot" in node:
            return f"{_name(node['RefDot']['refr'])}.{_dot(node['RefDot']['field'])}"
    return "?"


def _dot(node: Any) -> str:
    found = node[1] if isinstance(node, list) and len(node) == 2 else node
    return str(found.get("value", "?")) if isinstance(found, dict) else str(found)


def _calls(syntax: Any) -> Iterator[str]:
    for key, value in _walk(syntax):
        if key == "Call":
            yield _name(value["fcn"])


def _function_names(syntax: Any) -> Iterator[str]:
    for key, value in _walk(syntax):
        if key == "Func" and isinstance(value, dict) and "refr" in value:
            yield _name(value["refr"])
