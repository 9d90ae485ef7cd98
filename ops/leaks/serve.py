"""The service with a planted city, for the matrix of CKAN, which is another process.

``python -m ops.leaks.serve --database URL --redis URL --site-url URL --token-key FILE --signing-key FILE --port N``
migrates an empty database and serves. Each line of JSON that it reads is answered by one:
``{"organisation_id", "people": {viewer: [user id, name]}, "resources": {attribute: resource id}}`` plants everything
about these and gives ``{"canaries": [[label, text, [viewer]]], "ids": [[kind, viewer, attribute, id]]}``. It ends when
its input does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import uvicorn

from authz import FixedClock, Runtime, Settings, open_pool
from ops.app import build_app
from ops.database import upgrade
from ops.delivery import close_delivery
from ops.leaks.canaries import Book
from ops.leaks.city import City, publish
from ops.leaks.papers import plant
from ops.runtime import runtime_over

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


async def planted(runtime: Runtime, wanted: dict[str, Any]) -> dict[str, Any]:
    """Plant a city around the people and resources of a CKAN."""
    city = City(Book(), wanted["organisation_id"])
    await publish(runtime, city, wanted["resources"])
    await plant(runtime, city, {viewer: (found[0], found[1]) for viewer, found in wanted["people"].items()})
    return {"canaries": city.book.listed(), "ids": [[*place, found] for place, found in city.ids.items()]}


async def answer_lines(runtime: Runtime) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await planted(runtime, json.loads(line))), flush=True)


@contextlib.asynccontextmanager
async def running(
    pool: asyncpg.Pool, clock: FixedClock, site_url: str, *, database: str, redis_url: str, token_key: str, key: str
) -> AsyncIterator[Runtime]:
    """What the matrix's service runs on: one pool for its own and for open tables, a clock that stands, no CKAN.

    ``token_key`` and ``key`` are files: the public key of CKAN's tokens and the private one that signs.
    """
    settings = Settings(
        database_url=database,
        datastore_url=None,
        redis_url=redis_url,
        site_url=site_url,
        ckan_url="http://127.0.0.1:9",
        token_public_key_file=token_key,
        signing_key_file=key,
        demo=False,
    )
    async with runtime_over(settings, pool, pool, clock) as made:
        try:
            yield made
        finally:
            await close_delivery(made)


async def serve(given: argparse.Namespace) -> None:
    async with contextlib.AsyncExitStack() as stack:
        pool = await open_pool(given.database)
        stack.push_async_callback(pool.close)
        runtime = await stack.enter_async_context(
            running(
                pool,
                FixedClock(NOW),
                given.site_url,
                database=given.database,
                redis_url=given.redis,
                token_key=given.token_key,
                key=given.signing_key,
            )
        )
        server = uvicorn.Server(
            uvicorn.Config(build_app(runtime), host="127.0.0.1", port=given.port, log_level="error", lifespan="off")
        )
        serving = asyncio.create_task(server.serve())
        await answer_lines(runtime)
        server.should_exit = True
        await serving


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ops.leaks.serve", description=(__doc__ or "").split("\n")[0])
    for name in ("database", "redis", "site-url", "token-key", "signing-key"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    upgrade(given.database)
    asyncio.run(serve(given))


if __name__ == "__main__":
    main()
