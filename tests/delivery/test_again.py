"""What is spared a caller who calls again and again changes no answer: queries, and calls counted ahead."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from starlette.datastructures import QueryParams

from authz import InvalidInput, Refusal, Runtime, new_id
from ops.delivery.limits import AHEAD_MAX, Limiter, Rate
from ops.delivery.query import read_page, read_page_again


@pytest.mark.parametrize("text", [
    "", "limit=5", "limit=5&cursor=abc-_9", "cursor=abc", "cursor=abc&limit=5", "limit=5&cursor=a&columns=x",
    "limit=5&cursor=", "&cursor=abc", "filter[cursor]=1&cursor=abc", "columns=a,b&filter[n][in]=1,2&cursor=Zz",
])
def test_a_query_reads_the_same_twice(text: str) -> None:
    for _ in range(2):
        query, cursor = read_page_again(text.encode(), None)
        assert replace(query, cursor=cursor) == read_page(QueryParams(text), None)


@pytest.mark.parametrize("text", [
    "limit=5&cursor=a&cursor=b", "cursor=a&cursor=b", "%63ursor=a&cursor=b", "limit=0&cursor=a", "key=1&cursor=a",
    "columns=gok_abc&cursor=a", "limit=5&limit=6&cursor=a",
])
def test_what_is_refused_is_refused_every_time(text: str) -> None:
    told = []
    for read in (lambda: read_page(QueryParams(text), None), *[lambda: read_page_again(text.encode(), None)] * 2):
        with pytest.raises(Refusal) as refused:
            read()
        told.append((refused.value.code, refused.value.errors if isinstance(refused.value, InvalidInput) else None))
    assert told[0] == told[1] == told[2]


async def test_no_more_calls_pass_than_the_rate_allows(runtime: Runtime) -> None:
    rate = Rate(new_id("t"), 600_000, 400)
    assert rate.ahead == AHEAD_MAX
    limiters, passed = [Limiter(runtime.redis) for _ in range(2)], 0
    begun = time.monotonic()
    for number in range(3_000):
        verdict = await limiters[number % 2].check("caller", rate)
        passed += verdict.allowed
        assert int(verdict.headers()["RateLimit-Remaining"]) <= rate.burst - 1
    took = time.monotonic() - begun
    for limiter in limiters:
        await limiter.close()
    assert min(3_000, rate.burst) <= passed <= rate.burst + took * 1e6 / rate.interval_us + 1


async def test_slow_rates_are_counted_call_by_call(runtime: Runtime) -> None:
    rate, limiter = Rate(new_id("t"), 600, 5), Limiter(runtime.redis)
    assert rate.ahead == 1
    verdicts = [await limiter.check("caller", rate) for _ in range(5)]
    await limiter.close()
    assert verdicts[0].headers()["RateLimit-Remaining"] == "4"
    assert verdicts[0].allowed
