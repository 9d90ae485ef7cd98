"""Engines that evaluate a policy on an input. Whatever goes wrong is EngineFailure, and that is a denial."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

import orjson
import regorus

from authz.pdp.bundle import PolicySet, in_force, packaged

UNDEFINED = "<undefined>"
"""What the embedded engine gives for a rule without a value."""


ANSWERS_KEPT = 4_096


@lru_cache(maxsize=ANSWERS_KEPT)
def _answer(text: str) -> Any:
    """An answer from its text. Few differ, and reading them costs more than finding them; nobody writes to one."""
    return orjson.loads(text)


class EngineFailure(Exception):
    """The policy gave no usable answer: engine away, too slow, undefined, or not an object. Deny."""


class PolicyEngine(Protocol):
    """Evaluates ``data.govopen.<policy>.decision`` on an input."""

    def evaluate(self, policy: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """The policy's answer; raises EngineFailure for anything but an object."""

    async def evaluate_async(self, policy: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same without blocking the event loop."""


class EmbeddedEngine:
    """Rego in process, compiled to a program for regorus's virtual machine.

    Machines and engines are bound to the thread that made them, so each thread has its own. It makes new ones when
    another version of the policies has come into force, unless this engine was made for one version. Input and answer
    cross as JSON text.
    """

    def __init__(self, policies: PolicySet | None = None) -> None:
        (policies or in_force()).check()
        self._policies = policies
        self._local = threading.local()

    def _machine(self, policy: str) -> regorus.Rvm:
        policies, local = self._policies or in_force(), self._local.__dict__
        if local.get("policies") is not policies:
            self._local.machines, self._local.policies = {}, policies
        machine = local["machines"].get(policy)
        if machine is None:
            holder = policies if policy in policies.names else packaged()  # a version older than the policy
            machine = local["machines"][policy] = holder.machine(policy)
        return machine

    def _engine(self) -> regorus.Engine:
        """The interpreter, which can also be asked for a rule by itself."""
        policies = self._policies or in_force()
        if getattr(self._local, "interpreted", None) is not policies:
            self._local.interpreter, self._local.interpreted = policies.engine(), policies
        engine: regorus.Engine = self._local.interpreter
        return engine

    def evaluate(self, policy: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            machine = self._machine(policy)
            machine.set_input_json(orjson.dumps(facts).decode())
            answer = _answer(machine.execute())
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
