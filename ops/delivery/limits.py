"""Rate limits by GCRA: one key in Redis per caller; when Redis is away each process limits by itself."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import redis.asyncio

from ops.delivery.redis_line import RedisAway, RedisLine
from ops.delivery.refusals import TooManyRequests

REDIS_PAUSE_S = 2.0
"""After a failure Redis is left alone for so long, so that a slow Redis slows nobody down."""
LOCAL_KEYS_MAX = 50_000

GCRA = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or now)
if arrival < now then arrival = now end
local next_arrival = arrival + interval
local early = next_arrival - interval * burst - now
if early > 0 then return {0, early, next_arrival - now} end
redis.call('SET', KEYS[1], string.format('%.0f', next_arrival), 'PX', math.ceil((next_arrival - now) / 1000) + 1)
return {1, 0, next_arrival - now}
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_minute`` calls evenly spread, ``burst`` of them at once."""

    name: str
    per_minute: int
    burst: int

    @property
    def interval_us(self) -> float:
        return 60_000_000 / self.per_minute


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the limiter says of one call; ``headers`` go with every answer."""

    rate: Rate
    allowed: bool
    wait_us: float
    used_us: float

    def headers(self) -> dict[str, str]:
        left = max(0, math.floor(self.rate.burst - self.used_us / self.rate.interval_us + 1e-9))
        return {
            "RateLimit-Limit": str(self.rate.burst),
            "RateLimit-Remaining": str(left if self.allowed else 0),
            "RateLimit-Reset": str(math.ceil(self.used_us / 1e6)),
            "RateLimit-Policy": f"{self.rate.per_minute};w=60;burst={self.rate.burst}",
        }

    def require(self) -> None:
        """Raise TooManyRequests with the seconds to wait unless the call is allowed."""
        if not self.allowed:
            raise TooManyRequests(wait_s=max(1, math.ceil(self.wait_us / 1e6)), limits=self.headers())


@dataclass(frozen=True)
class Rates:
    """Generous defaults; ``GOVOPEN_RATE_PUBLIC`` and ``GOVOPEN_RATE_KEY`` are calls a minute."""

    public: Rate = Rate("public", 3_000, 600)
    key: Rate = Rate("key", 300_000, 5_000)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Rates:
        found = cls()
        made = {}
        for rate in (found.public, found.key):
            given = env.get(f"GOVOPEN_RATE_{rate.name.upper()}")
            if given:
                per_minute = max(1, int(given))
                rate = Rate(rate.name, per_minute, max(1, per_minute // 5))
            made[rate.name] = rate
        return cls(**made)


@dataclass
class Limiter:
    """Asks Redis; asks itself while Redis is away. The doors never stand open."""

    redis: redis.asyncio.Redis
    _line: RedisLine | None = None
    _away_until: float = 0.0
    _local: dict[str, float] = field(default_factory=dict)

    async def check(self, caller: str, rate: Rate) -> Verdict:
        """Count one call of the caller; refuses nothing itself."""
        key = f"govopen:rate:{rate.name}:{caller}"
        if time.monotonic() >= self._away_until:
            try:
                if self._line is None:
                    self._line = RedisLine(self.redis, GCRA)
                answer = await self._line.run(key, str(rate.interval_us), str(rate.burst))
                return Verdict(rate, bool(answer[0]), float(answer[1]), float(answer[2]))
            except RedisAway:
                self._away_until = time.monotonic() + REDIS_PAUSE_S
        return self._check_here(key, rate)

    async def close(self) -> None:
        if self._line is not None:
            await self._line.close()

    def _check_here(self, key: str, rate: Rate) -> Verdict:
        now = time.monotonic() * 1e6
        if len(self._local) > LOCAL_KEYS_MAX:
            self._local = {k: at for k, at in self._local.items() if at > now}
        arrival = max(now, self._local.get(key, now)) + rate.interval_us
        early = arrival - rate.interval_us * rate.burst - now
        if early > 0:
            return Verdict(rate, False, early, arrival - now)
        self._local[key] = arrival
        return Verdict(rate, True, 0.0, arrival - now)
