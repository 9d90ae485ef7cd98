"""Rate limits by GCRA: one key in Redis per caller; when Redis is away each process limits by itself."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ops.delivery.redis_line import RedisAway, RedisLine
from ops.delivery.refusals import TooManyRequests

if TYPE_CHECKING:
    import redis.asyncio

REDIS_PAUSE_S = 2.0
"""After a failure Redis is left alone for so long, so that a slow Redis slows nobody down."""
LOCAL_KEYS_MAX = 50_000
AHEAD_S = 0.005
AHEAD_MAX = 32
AHEAD_KEPT_S = 0.25
"""Who is far from the limit has a few calls counted at once, as many as the rate lets through in five milliseconds: a
busy caller asks Redis for one call in thirty-two. What is not used within a moment stays counted, so never more is let
through than the rate allows; slower rates are counted call by call."""

GCRA = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or now)
if arrival < now then arrival = now end
local next_arrival = arrival + interval * tonumber(ARGV[3])
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

    @property
    def ahead(self) -> int:
        """Calls that may be counted at once."""
        return max(1, min(AHEAD_MAX, int(self.per_minute / 60 * AHEAD_S)))


@dataclass(slots=True)
class Verdict:
    """What the limiter says of one call; ``headers`` go with every answer."""

    rate: Rate
    allowed: bool
    wait_us: float
    used_us: float
    _headers: dict[str, str] | None = field(default=None, compare=False, repr=False)

    def headers(self) -> dict[str, str]:
        """Not to be changed: the next call that was counted with this one has the same."""
        if self._headers is None:
            self._headers = self._made()
        return self._headers

    def _made(self) -> dict[str, str]:
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


@dataclass(slots=True)
class _Ahead:
    """Calls of one caller that are counted and not yet made."""

    verdict: Verdict
    left: int
    until: float

    def take(self, now: float) -> bool:
        if self.left <= 0 or now >= self.until:
            return False
        self.left -= 1
        return True

    @property
    def more(self) -> int:
        """How many to count next time: one by one in the second half of the burst."""
        rate = self.verdict.rate
        far = self.verdict.allowed and self.verdict.used_us < rate.interval_us * rate.burst / 2
        return rate.ahead if far else 1


@dataclass
class Limiter:
    """Asks Redis; asks itself while Redis is away. The doors never stand open."""

    redis: redis.asyncio.Redis
    _line: RedisLine | None = None
    _away_until: float = 0.0
    _local: dict[str, float] = field(default_factory=dict)
    _ahead: dict[tuple[str, str], _Ahead] = field(default_factory=dict)

    def ahead(self, caller: str, rate: Rate) -> Verdict | None:
        """The verdict on a call that has been counted before it came; None when there is none left."""
        known, now = self._ahead.get((rate.name, caller)), time.monotonic()
        if known is not None and now >= self._away_until and known.verdict.rate == rate and known.take(now):
            return known.verdict
        return None

    async def check(self, caller: str, rate: Rate) -> Verdict:
        """Count one call of the caller; refuses nothing itself."""
        key, now = f"govopen:rate:{rate.name}:{caller}", time.monotonic()
        if now < self._away_until:
            return self._check_here(key, rate)
        found = self.ahead(caller, rate)
        if found is not None:
            return found
        known = self._ahead.get((rate.name, caller))
        try:
            count = known.more if known is not None and known.verdict.rate == rate else 1
            verdict = await self._ask(key, rate, count)
            if not verdict.allowed and count > 1:
                count, verdict = 1, await self._ask(key, rate, 1)
        except RedisAway:
            self._away_until = time.monotonic() + REDIS_PAUSE_S
            return self._check_here(key, rate)
        if rate.ahead > 1:
            if len(self._ahead) >= LOCAL_KEYS_MAX:
                self._ahead.clear()
            self._ahead[rate.name, caller] = _Ahead(verdict, count - 1, time.monotonic() + AHEAD_KEPT_S)
        return verdict

    async def _ask(self, key: str, rate: Rate, count: int) -> Verdict:
        if self._line is None:
            self._line = RedisLine(self.redis, GCRA)
        answer = await self._line.run(key, str(rate.interval_us), str(rate.burst), str(count))
        return Verdict(rate, bool(answer[0]), float(answer[1]), float(answer[2]))

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
