"""Size limits and request ids hold for every kind of body, and nothing is cut off that is within them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx


async def pieces(total: int) -> AsyncIterator[bytes]:
    for _ in range(total // 10_000):
        yield b"x" * 10_000


async def test_a_body_that_does_not_tell_its_length_is_refused_beyond_the_limit(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/demo/clock", content=pieces(1_200_000), headers={"X-Request-ID": "r-1"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "r-1"


async def test_a_body_that_tells_its_length_is_refused_before_it_is_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/demo/clock", content=b"x" * 1_000_001)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_ids_that_could_forge_log_lines_are_replaced(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/health", headers={"X-Request-ID": "a b\tc"})
    assert answer.headers["x-request-id"].startswith("req_")
