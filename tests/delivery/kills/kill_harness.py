"""Kills of service, database and clients at random points under load, and the account that must add up afterwards.

``python tests/delivery/kills/kill_harness.py --kills 300 [--seed N]`` runs PostgreSQL, Redis, the service with two
workers and the background worker under the stack's own supervisor, loads them with pages, streams and lookups, kills
one of them again and again, and holds what clients received against what is recorded:

* served ≤ recorded, per grant, at any time and at the end;
* nothing twice: one event per delivery, and exactly the rows of every answer that arrived whole;
* nothing stays open: what a lost process had reserved is settled by rule; counters are the sums of the events.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import psutil

from authz import DataObject, Settings, new_id
from ops import testing
from ops.runtime import open_runtime
from ops.stack import postgres, supervisor
from ops.stack.home import Home, choose_ports
from ops.stack.parts import Part, Plan, build
from ops.stack.supervisor import Supervisor
from ops.stack.testing import free_port

PARTS = ("postgres", "redis", "postgres-setup", "service-setup", "service", "worker")
WORKERS = 2
ROWS = 20_000
FIELDS = [{"name": "code", "title": "代码", "type": "text"}, {"name": "text", "title": "内容", "type": "text"}]
TEXT = "数" * 40
CALLERS = 14
SETTLED_WITHIN_S = 120.0
PATIENCE_S = 240.0
KINDS = ("client", "worker", "service", "backend", "database")
WEIGHTS = (4, 4, 1, 2, 1)


@dataclass
class Seen:
    """What the clients of one grant received, by the usage id that came with it, and whether it came whole."""

    rows: Counter[str] = field(default_factory=Counter)
    whole: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


@dataclass
class Report:
    """The account. ``faults`` is empty when it adds up."""

    kills: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    whole: int = 0
    broken: int = 0
    served: int = 0
    recorded: int = 0
    events: int = 0
    by_rule: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return json.dumps({
            "kills": dict(self.kills), "kills_in_all": self.kills.total(), "answers": dict(self.answers),
            "whole": self.whole, "broken": self.broken, "served_rows": self.served, "recorded_rows": self.recorded,
            "events": self.events, "settled_by_rule": self.by_rule, "seconds": round(self.seconds),
            "faults": self.faults,
        }, ensure_ascii=False, indent=1)


class Scene:
    """The stack's parts that a delivery needs, supervised, with data and grants."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.home = Home.at(folder)
        self.home.prepare()
        self.plan = Plan(
            self.home, free_port(), choose_ports({}), "http://govopen.test", service_workers=WORKERS
        )
        parts = [self._steady(one) for one in build(self.plan) if one.name in PARTS]
        self.supervisor = Supervisor(self.home, parts, {"home": str(self.home.path), "ports": self.plan.ports})
        self.port = self.plan.ports["service"]
        self.seeded = random.Random(seed)
        self.report = Report()
        self.seen: dict[str, Seen] = {}
        self.stop = asyncio.Event()

    @staticmethod
    def _steady(part: Part) -> Part:
        supervisor.BACKOFF_S = (0.1,) * 7  # parts that are killed on purpose come back at once
        supervisor.FAILURES_BEFORE_READY = 50
        return part

    @property
    def database_url(self) -> str:
        return postgres.url(self.home, self.plan.ports["postgres"], "govopen", "govopen")

    def settings(self) -> Settings:
        redis = f"redis://:{self.home.secret('redis')}@127.0.0.1:{self.plan.ports['redis']}/1"
        return Settings(
            database_url=self.database_url, datastore_url=None, redis_url=redis, site_url="http://govopen.test",
            ckan_url="http://127.0.0.1:9", token_public_key_file=str(self.home.token_public_key),
            signing_key_file=str(self.home.signing_key),
        )

    async def prepare(self) -> tuple[DataObject, list[testing.Granted]]:
        async with open_runtime(self.settings()) as runtime:
            rows = ((f"{number:06d}", TEXT) for number in range(ROWS))
            data = await testing.load_restricted(
                runtime, testing.data_object(new_id("res"), FIELDS), {"code": "text", "text": "text"}, rows
            )
            quotas = [{"rows_month": 10**12}, {"bytes_month": 10**14, "rows_life": 10**12}, {"keys_month": 10**9}]
            return data, [
                await testing.issue_grant(runtime, data, ["code", "text"], quota=quota, party_id=f"pty_{number}")
                for number, quota in enumerate(quotas)
            ]

    async def service_answers(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                status, _, _ = await self.ask("GET", "/v1/health", "", None)
                if status == 200:
                    return
            await asyncio.sleep(0.05)

    # --- clients ---------------------------------------------------------------------------------------------

    async def ask(
        self, method: str, path: str, key: str, body: object | None, seen: Seen | None = None, pace_s: float = 0.0
    ) -> tuple[int, bytes, bool]:
        """One request on a connection of its own; what came is noted piece by piece: (status, body, came whole)."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            content = json.dumps(body).encode() if body is not None else b""
            writer.write(
                f"{method} {path} HTTP/1.1\r\nHost: govopen.test\r\nConnection: close\r\n"
                f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(content)}\r\n\r\n".encode() + content
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = int(head.split(" ", 2)[1])
            names = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            usage_id = names.get("x-govopen-usage-id", "")
            note = seen if status == 200 else None
            if "content-length" in names:
                answer = await reader.readexactly(int(names["content-length"]))
                if note is not None:
                    self._note(note, usage_id, answer, whole=True)
                return status, answer, True
            whole = await self._chunks(reader, note, usage_id, pace_s)
            return status, b"", whole
        finally:
            writer.transport.abort()

    async def _chunks(self, reader: asyncio.StreamReader, seen: Seen | None, usage_id: str, pace_s: float) -> bool:
        while True:
            size = int((await reader.readuntil(b"\r\n")).strip(), 16)
            piece = (await reader.readexactly(size + 2))[:-2]
            if seen is not None:
                seen.rows[usage_id] += piece.count(b"\n")
            if size == 0:
                if seen is not None:
                    seen.whole.add(usage_id)
                return True
            await asyncio.sleep(pace_s)

    @staticmethod
    def _note(seen: Seen, usage_id: str, answer: bytes, *, whole: bool) -> None:
        seen.rows[usage_id] += len(json.loads(answer)["items"])
        if whole:
            seen.whole.add(usage_id)

    async def caller(self, number: int, data: DataObject, grants: list[testing.Granted]) -> None:
        """Ask without end; whoever is killed is followed by another client."""
        seeded = random.Random(self.seeded.random())
        address = f"/data/v1/{data.resource_id}"
        while not self.stop.is_set():
            granted = grants[seeded.randrange(len(grants))]
            seen = self.seen.setdefault(granted.id, Seen())
            try:
                async with asyncio.timeout(30):
                    status, whole = await self._one(seeded, address, granted, seen, number)
            except ConnectionRefusedError:  # the service is not there at this moment
                await asyncio.sleep(0.1)
                continue
            except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
                self.report.broken += 1
                await asyncio.sleep(0.02)
                continue
            self.report.answers[status] += 1
            self.report.whole += whole and status == 200
            if status != 200:
                await asyncio.sleep(0.05)

    async def _one(
        self, seeded: random.Random, address: str, granted: testing.Granted, seen: Seen, number: int
    ) -> tuple[int, bool]:
        match number % 4:
            case 0:
                path = f"{address}?format=jsonl&limit={seeded.randrange(1, ROWS)}"
                status, _, whole = await self.ask("GET", path, granted.key, None, seen, seeded.random() * 0.02)
            case 1:
                values = [f"{seeded.randrange(2 * ROWS):06d}" for _ in range(seeded.randrange(1, 20))]
                seen.keys.update(values)
                body = {"key": "code", "values": values}
                status, _, whole = await self.ask("POST", f"{address}/lookup", granted.key, body, seen)
            case _:
                path = f"{address}/rows?limit={seeded.randrange(1, 200)}"
                status, _, whole = await self.ask("GET", path, granted.key, None, seen)
        return status, whole

    # --- kills -----------------------------------------------------------------------------------------------

    def _process(self, part: str) -> psutil.Process | None:
        pid = self.supervisor.running[part].pid
        with contextlib.suppress(psutil.Error):
            return psutil.Process(pid) if pid else None
        return None

    def _children(self, part: str, word: str) -> list[psutil.Process]:
        process = self._process(part)
        found = []
        with contextlib.suppress(psutil.Error):
            for one in process.children(recursive=True) if process else []:
                if word in " ".join(one.cmdline()):
                    found.append(one)
        return found

    def kill(self, kind: str, callers: list[asyncio.Task[None]], restart: object) -> bool:
        """End one of that kind without warning; False when there is none at this moment."""
        match kind:
            case "client":
                place = self.seeded.randrange(len(callers))
                callers[place].cancel()  # its connection is cut with whatever was on its way
                callers[place] = restart(place)  # type: ignore[operator]
                return True
            case "worker":
                victims = self._children("service", "spawn_main")
            case "service":
                found = self._process("service")
                victims = [*self._children("service", ""), *([found] if found else [])]
                for victim in victims:
                    with contextlib.suppress(psutil.Error):
                        victim.send_signal(signal.SIGKILL)
                return bool(victims)
            case "backend":
                victims = self._children("postgres", "govopen")
            case _:
                found = self._process("postgres")
                victims = [found] if found else []
        if not victims:
            return False
        with contextlib.suppress(psutil.Error):
            self.seeded.choice(victims).send_signal(signal.SIGKILL)
        return True

    async def run(self, kills: int) -> None:
        data, grants = await self.prepare()
        await self.service_answers()

        def start(place: int) -> asyncio.Task[None]:
            return asyncio.create_task(self.caller(place, data, grants))

        callers = [start(place) for place in range(CALLERS)]
        while self.report.kills.total() < kills:
            before = self.report.whole
            await asyncio.sleep(self.seeded.uniform(0.02, 0.6))
            kind = self.seeded.choices(KINDS, WEIGHTS)[0]
            if not self.kill(kind, callers, start):
                continue
            self.report.kills[kind] += 1
            if self.report.kills.total() % 20 == 0:
                print(f"{self.report.kills.total()} kills, {self.report.whole} whole answers", file=sys.stderr)
            if kind != "client":  # the next one falls on a service that works, not on one that is coming back
                try:
                    await asyncio.wait_for(self._goes_on(before), PATIENCE_S)
                except TimeoutError:
                    self.report.faults.append(f"nothing was answered for {PATIENCE_S:.0f} s after a kill of {kind}")
                    break
        self.stop.set()
        await asyncio.wait(callers, timeout=40)
        for task in callers:
            task.cancel()
        await self.account(grants)

    async def _goes_on(self, before: int) -> None:
        await self.service_answers()
        while self.report.whole <= before:
            await asyncio.sleep(0.02)

    # --- the account -----------------------------------------------------------------------------------------

    async def account(self, grants: list[testing.Granted]) -> None:
        connection = await self._settled()
        try:
            for granted in grants:
                await self._account_of(connection, granted.id, self.seen.get(granted.id, Seen()))
        finally:
            await connection.close()

    async def _settled(self) -> asyncpg.Connection:
        """Wait until the rule has settled what lost processes left open; a connection to look with."""
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                connection = await asyncpg.connect(self.database_url, timeout=5)
                still = await connection.fetchval(
                    "SELECT count(*) FROM billing.usage_reservation WHERE state = 'open'"
                )
                if still == 0:
                    return connection
                if time.monotonic() > deadline:
                    self.report.faults.append(f"{still} reservations are still open")
                    return connection
                await connection.close()
            await asyncio.sleep(0.5)

    async def _account_of(self, connection: asyncpg.Connection, grant_id: str, seen: Seen) -> None:
        rows = await connection.fetch(
            "SELECT id, rows, bytes, calls, data::text AS data FROM billing.usage_event WHERE subject = $1", grant_id
        )
        events = {row["id"]: row for row in rows}
        faults = self.report.faults
        if len(events) != len(rows):
            faults.append(f"{grant_id}: {len(rows) - len(events)} deliveries were counted twice")
        for usage_id, served in seen.rows.items():
            event = events.get(usage_id)
            if event is None:
                faults.append(f"{usage_id}: {served} rows were served and nothing is recorded")
            elif served > event["rows"]:
                faults.append(f"{usage_id}: {served} rows were served, {event['rows']} recorded")
            elif usage_id in seen.whole and served != event["rows"] and not _by_rule(event):
                faults.append(f"{usage_id}: {served} rows came whole, {event['rows']} are recorded")
        recorded = sum(row["rows"] for row in rows)
        self.report.served += seen.rows.total()
        self.report.recorded += recorded
        self.report.events += len(rows)
        self.report.by_rule += sum(_by_rule(row) for row in rows)
        for counter in await connection.fetch(
            "SELECT span, sum(calls) AS calls, sum(rows) AS rows, sum(bytes) AS bytes,"
            " sum(open_calls + open_rows + open_bytes) AS open, sum(keys) AS keys"
            " FROM billing.usage_counter WHERE grant_id = $1 GROUP BY span", grant_id,
        ):
            found = (counter["calls"], counter["rows"], counter["bytes"], counter["open"])
            if found != (len(rows), recorded, sum(row["bytes"] for row in rows), 0):
                faults.append(f"{grant_id}: the counters of its {counter['span']}s are not the sums of its events")
        asked = await connection.fetchval(
            "SELECT count(*) FROM billing.usage_key WHERE grant_id = $1 AND span = 'month'", grant_id
        )
        kept = await connection.fetchval(
            "SELECT coalesce(sum(keys), 0) FROM billing.usage_counter WHERE grant_id = $1 AND span = 'month'", grant_id
        )
        if asked != kept or asked > len(seen.keys):
            faults.append(f"{grant_id}: {kept} keys counted, {asked} kept, {len(seen.keys)} asked for")


def _by_rule(event: asyncpg.Record) -> bool:
    return bool(json.loads(event["data"])["settled_by_rule"])


async def run(kills: int, seed: int) -> Report:
    """The whole scene in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="govopen-kills-"))
    folder.chmod(0o755)
    scene = Scene(folder, seed)
    begun = time.monotonic()
    running = asyncio.create_task(scene.supervisor.run())
    ready = asyncio.create_task(scene.supervisor.all_ready())
    try:
        await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        await scene.run(kills)
    finally:
        ready.cancel()
        scene.supervisor.stopping.set()
        with contextlib.suppress(Exception):
            await running
        if scene.report.faults:
            print(f"the scene is kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    scene.report.seconds = time.monotonic() - begun
    return scene.report


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=int(os.environ.get("GOVOPEN_KILLS") or 300))
    parser.add_argument("--seed", type=int, default=int(datetime.now(UTC).timestamp()))
    given = parser.parse_args()
    print(f"seed {given.seed}", file=sys.stderr)
    report = asyncio.run(run(given.kills, given.seed))
    print(report)
    return int(bool(report.faults))


if __name__ == "__main__":
    sys.exit(main())
