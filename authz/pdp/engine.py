"""Engines that evaluate a policy on an input. Whatever goes wrong is EngineFailure, and that is a denial."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

import orjson
import regorus

from authz.pdp.bundle import PolicySet, in_force, rule_path

UNDEFINED = "<undefined>"
"""What the embedded engine gives for a rule without a value."""


class EngineFailure(Exception):
    """The policy gave no usable answer: engine away, too slow, undefined, or not an object. Deny."""


class PolicyEngine(Protocol):
    """Evaluates ``data.govopen.<policy>.decision`` on an input."""

    def evaluate(self, policy: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """The policy's answer; raises EngineFailure for anything but an object."""

    async def evaluate_async(self, policy: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same without blocking the event loop."""


class EmbeddedEngine:
    """Rego in process. Each thread has its own engine, because a regorus engine is bound to its thread.

    A thread makes a new engine when another version of the policies has come into force, unless the engine was made
    for one version. Input and answer cross as JSON text: given Python objects, regorus 0.9 reads True and False as
    numbers, and it cannot return a set of arrays.
    """

    def __init__(self, policies: PolicySet | None = None) -> None:
        (policies or in_force()).check()
        self._policies = policies
        self._local = threading.local()

    def _engine(self) -> regorus.Engine:
        policies = self._policies or in_force()
        if getattr(self._local, "policies", None) is not policies:
            self._local.engine, self._local.policies = policies.engine(), policies
        engine: regorus.Engine = self._local.engine
        return engine

    def evaluate(self, policy: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            engine = self._engine()
            engine.set_input_json(orjson.dumps(facts).decode())
            answer = orjson.loads(engine.eval_rule_as_json(rule_path(policy)))
        except Exception as fault:  # the engine raises bare RuntimeError; whatever it is, it is no answer
            raise EngineFailure(f"{policy}: {str(fault).strip().splitlines()[-1:]}") from fault
        if not isinstance(answer, dict):
            raise EngineFailure(f"{policy}: undefined")
        return answer

    def rule(self, path: str, facts: Mapping[str, Any]) -> Any:
        """The value of any rule on an input, None when it is undefined; raises EngineFailure for no such rule."""
        try:
            engine = self._engine()
            engine.set_input_json(orjson.dumps(facts).decode())
            found = engine.eval_rule_as_json(path)
        except Exception as fault:
            raise EngineFailure(f"{path}: {str(fault).strip().splitlines()[-1:]}") from fault
        value = orjson.loads(found)
        return None if value == UNDEFINED else value

    async def evaluate_async(self, policy: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.evaluate(policy, facts)
