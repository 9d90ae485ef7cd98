"""The service behind a real port in a thread of its own, and the SDK as its users have it."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import uvicorn

from authz import Runtime, Settings, SystemClock, open_pool
from ops.app import build_app
from ops.delivery import close_delivery
from ops.runtime import runtime_over

sys.path.insert(0, str(Path(__file__).parents[2] / "ops" / "sdk"))


class Site:
    """The application under uvicorn; its runtime belongs to the thread's loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._server: uvicorn.Server | None = None

    async def _run(self) -> None:
        pool = await open_pool(self.settings.database_url)
        async with runtime_over(self.settings, pool, pool, SystemClock()) as runtime:
            config = uvicorn.Config(build_app(runtime), log_level="warning", timeout_graceful_shutdown=3)
            self._server = uvicorn.Server(config)
            await self._server.serve(sockets=[self.socket])
            await close_delivery(runtime)
        await pool.close()

    def start(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + 60
        while self._server is None or not self._server.started:
            assert time.monotonic() < deadline, "the service did not start"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(30)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """GOVOPEN_HOME of the service and of the worker."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOVOPEN_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def site(database_url: str, redis_url: str, keys: dict[str, Path], home: Path) -> Iterator[Site]:
    made = Site(
        Settings(
            database_url=database_url,
            datastore_url=database_url,
            redis_url=redis_url,
            site_url="http://govopen.test",
            ckan_url="http://127.0.0.1:9",
            token_public_key_file=str(keys["token_public"]),
            signing_key_file=str(keys["signing"]),
            demo=False,
        )
    )
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def runtime(runtime: Runtime, pool: asyncpg.Pool) -> AsyncIterator[Runtime]:
    """For building data and grants, and as the worker: at the present instant, like the service."""
    made = replace(runtime, clock=SystemClock(), datastore=pool, extras={})
    yield made
    await close_delivery(made)
