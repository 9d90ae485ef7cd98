"""The service with two worker processes at one port, as the stack starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psycopg2

from ops.stack.parts import HTTP, LOOP

WORKERS = 2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Workers:
    """The service with two workers, as the stack starts it."""

    def __init__(self, env: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "ops.app:create_app", "--factory", "--port", str(self.port),
             "--no-access-log", "--log-level", "warning", "--loop", LOOP, "--http", HTTP,
             "--workers", str(WORKERS), "--timeout-graceful-shutdown", "3"],
            env={**os.environ, **env}, start_new_session=True,
        )
        self._wait(env["GOVOPEN_DATABASE_URL"])

    def _wait(self, database_url: str) -> None:
        """Every worker opens what it needs for delivery, and says so in the database, with its first request."""
        connection = psycopg2.connect(database_url)
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT array_agg(id) FROM billing.usage_process")
        before = set((cursor.fetchone() or [None])[0] or ())
        deadline = time.monotonic() + 120
        started: set[str] = set()
        while len(started) < WORKERS:
            assert time.monotonic() < deadline, "the service did not start"
            assert self.process.poll() is None, "the service ended"
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{self.url}/data/v1/nothing/rows", timeout=10)
            cursor.execute("SELECT id FROM billing.usage_process")
            started = {row[0] for row in cursor.fetchall()} - before
            time.sleep(0.05)
        connection.close()

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


def environment(database_url: str, redis_url: str, keys: dict[str, Path]) -> dict[str, str]:
    return {
        "GOVOPEN_DATABASE_URL": database_url, "GOVOPEN_DATASTORE_URL": database_url, "GOVOPEN_REDIS_URL": redis_url,
        "GOVOPEN_SITE_URL": "http://govopen.test", "GOVOPEN_CKAN_URL": "http://127.0.0.1:9",
        "GOVOPEN_TOKEN_PUBLIC_KEY_FILE": str(keys["token_public"]),
        "GOVOPEN_SIGNING_KEY_FILE": str(keys["signing"]),
        "GOVOPEN_RATE_PUBLIC": "1000000", "GOVOPEN_RATE_KEY": "1000000",  # hundreds of callers at one address
    }


@contextlib.asynccontextmanager
async def callers(workers: Workers, count: int) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a connection for each of the callers, so that the system spreads them over the workers."""
    limits = httpx.Limits(max_connections=count, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=workers.url, limits=limits, timeout=90) as client:
        yield client
