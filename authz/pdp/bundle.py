"""The policy files as one bundle: what is in it, its version, and what its rules may call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
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


@lru_cache(maxsize=1)
def rego_files() -> tuple[Path, ...]:
    """Policies in name order, without their tests."""
    return tuple(sorted(p for p in POLICIES.glob("*/*.rego") if not p.name.endswith("_test.rego")))


@lru_cache(maxsize=1)
def policy_version() -> str:
    """Version of the policy in force: the first 16 hex digits of the digest of every policy file."""
    digest = hashlib.sha256()
    for path in [*rego_files(), POLICIES / "roles.conf", POLICIES / "roles.csv"]:
        digest.update(path.relative_to(POLICIES).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def rule_path(policy: str) -> str:
    """The entry point of a policy folder."""
    return f"data.govopen.{policy}.decision"


def load_engine(paths: tuple[Path, ...] | None = None) -> regorus.Engine:
    """A regorus engine with the bundle. It belongs to the thread that made it (it panics in another)."""
    engine = regorus.Engine()
    for path in paths if paths is not None else rego_files():
        try:
            engine.add_policy(path.relative_to(POLICIES).as_posix(), path.read_text(encoding="utf-8"))
        except RuntimeError as fault:
            raise PolicyInvalid(f"{path.name}: {str(fault).splitlines()[0]}") from fault
    return engine


@lru_cache(maxsize=1)
def check_bundle() -> None:
    """Raise PolicyInvalid unless every call in every policy is to an allowed built-in or a rule of its file."""
    for path in rego_files():
        syntax = json.loads(load_engine((path,)).get_ast_as_json())
        own = set(_function_names(syntax))
        for called in _calls(syntax):
            if called not in ALLOWED_BUILTINS and called not in own:
                raise PolicyInvalid(f"{path.name} calls {called}, which the bundle does not allow")


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
