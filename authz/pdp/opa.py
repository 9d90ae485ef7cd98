"""The same policies on an OPA server, through opa-python-client."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from opa_client import AsyncOpaClient, OpaClient

from authz.pdp.bundle import in_force, packaged
from authz.pdp.engine import EngineFailure

TIMEOUT_S = 1.5
PUSH_PAUSE_S = 1.0
log = logging.getLogger("govopen.authz")


def _address(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("OPA_URL must look like http://127.0.0.1:8181")
    return {"host": parts.hostname, "port": parts.port or 8181, "ssl": parts.scheme == "https"}


class OpaEngine:
    """Asks an OPA server, to which it pushes the bundle before the first question and after any failure.

    One server holds one policy version: during an upgrade each version of the service has its own beside it.
    Nothing is retried (a late answer is a denial), and after a failed push the next is not tried for a second.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        in_force().check()
        self._options: dict[str, Any] = {**_address(url), "timeout": timeout_s, "retries": 0}
        self._client = OpaClient(**self._options)
        self._lock = threading.Lock()
        self._pushed: str | None = None
        self._push_again_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._async_client: AsyncOpaClient | None = None

    def push(self) -> None:
        """Put the policies on the server; raises EngineFailure when it does not take them."""
        policies = in_force()
        try:
            for policy in packaged().names:
                path = f"{policy}/{policy}.rego"
                text = policies.files.get(path) or packaged().files[path]  # a version older than the policy
                if not self._client.update_policy_from_string(text, f"govopen/{policy}", rego_compat=False):
                    raise EngineFailure(f"OPA did not take {path}")
        except EngineFailure:
            raise
        except Exception as fault:
            raise EngineFailure(f"OPA did not take the policies: {type(fault).__name__}") from fault
        self._pushed = policies.version
        log.info("policies %s are on the OPA server", policies.version)

    def _ready(self) -> None:
        if self._pushed != in_force().version:
            with self._lock:
                if self._pushed != in_force().version:
                    if time.monotonic() < self._push_again_at:
                        raise EngineFailure("OPA did not take the policies a moment ago")
                    self._push_again_at = time.monotonic() + PUSH_PAUSE_S
                    self.push()
                    self._push_again_at = 0.0

    def evaluate(self, policy: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        self._ready()
        try:
            answer = self._client.query_rule(dict(facts), f"govopen.{policy}", "decision")
        except Exception as fault:
            self._pushed = None  # an OPA that was restarted has lost its policies
            raise EngineFailure(f"{policy}: {type(fault).__name__}") from fault
        return self._result(policy, answer)

    async def evaluate_async(self, policy: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._pushed != in_force().version:
            await asyncio.to_thread(self._ready)
        try:
            client = await self._async()
            answer = await client.query_rule(dict(facts), f"govopen.{policy}", "decision")
        except Exception as fault:
            self._pushed = None
            raise EngineFailure(f"{policy}: {type(fault).__name__}") from fault
        return self._result(policy, answer)

    async def _async(self) -> AsyncOpaClient:
        """The client of this event loop, with its session open."""
        loop = asyncio.get_running_loop()
        if self._async_client is None or self._loop is not loop:
            client = AsyncOpaClient(**self._options)
            await client.__aenter__()
            self._async_client, self._loop = client, loop
        return self._async_client

    def _result(self, policy: str, answer: Any) -> Mapping[str, Any]:
        result = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(result, dict):
            self._pushed = None
            raise EngineFailure(f"{policy}: undefined")
        return result

    async def close(self) -> None:
        if self._async_client is not None:
            await self._async_client.close_connection()
            self._async_client = None
