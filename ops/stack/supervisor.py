"""The supervisor: starts parts in order of need, watches them, restarts what ends, stops everything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.stack.home import Home
from ops.stack.parts import Part
from ops.stack.process import OVERSEERS, child_setup, created_at, end, marked, part_of, signal_group

log = logging.getLogger("govopen.stack")

PROBE_EVERY_S = 5.0
HUNG_AFTER_S = 90.0
"""A part that is alive and has not answered for this long is ended and started again."""
BACKOFF_S = (0.2, 0.5, 1, 2, 5, 10, 30)
STEADY_AFTER_S = 30.0
"""A part that ran this long starts again with the shortest pause."""
FAILURES_BEFORE_READY = 5
"""A part that ends this often before its first answer makes the start a failure."""
LOG_BYTES_MAX = 10_000_000
LOGS_KEPT = 3


class StartFailed(Exception):
    """A part could not be started; the message names it and where its words are."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part, self.reason = part, reason


@dataclass
class Running:
    """What is known of a part now; written to stack.json."""

    part: Part
    state: str = "waiting"
    pid: int | None = None
    created: float | None = None
    restarts: int = 0
    last_exit: int | None = None
    ready_after_s: float | None = None
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def facts(self) -> dict[str, Any]:
        return {
            "state": self.state, "pid": self.pid, "created": self.created, "port": self.part.port,
            "restarts": self.restarts, "last_exit": self.last_exit, "ready_after_s": self.ready_after_s,
        }


class Supervisor:
    """Runs ``parts`` until told to stop; ``facts`` are written beside their states to ``home``'s stack.json."""

    def __init__(self, home: Home, parts: list[Part], facts: dict[str, Any]) -> None:
        self.home, self.facts = home, facts
        self.running = {part.name: Running(part) for part in parts}
        self.stopping = asyncio.Event()
        self.failure: StartFailed | None = None
        self.started = time.monotonic()
        self.state = "starting"
        self._writing_end: int | None = None

    async def run(self) -> None:
        """Returns after an orderly stop; raises StartFailed (after stopping everything) when the start failed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self.stopping.set)
        self._write()
        keepers = [asyncio.create_task(self._keep(one)) for one in self.running.values()]
        helpers = [asyncio.create_task(self._announce()), asyncio.create_task(self._rotate())]
        try:
            await self.stopping.wait()
        finally:
            self.state = "stopping"
            self._write()
            for task in (*keepers, *helpers):
                task.cancel()
            await asyncio.gather(*keepers, *helpers, return_exceptions=True)
            await self._stop_all()
            self.state = "failed" if self.failure else "stopped"
            self._write()
        if self.failure:
            raise self.failure

    async def all_ready(self) -> None:
        """Returns when every part has answered and every step is done."""
        for one in self.running.values():
            await one.ready.wait()

    async def _announce(self) -> None:
        await self.all_ready()
        self.state = "ready"
        self.facts["start_s"] = round(time.monotonic() - self.started, 2)
        self._write()

    async def _keep(self, one: Running) -> None:
        try:
            for need in one.part.needs:
                await self.running[need].ready.wait()
            if one.part.once:
                await self._do_once(one)
            else:
                await self._keep_alive(one)
        except StartFailed as failure:
            one.state = "failed"
            self.failure = self.failure or failure
            self.stopping.set()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("%s", one.part.name)
            one.state = "failed"
            self.failure = self.failure or StartFailed(one.part.name, _words(error))
            self.stopping.set()

    async def _do_once(self, one: Running) -> None:
        part, begun = one.part, time.monotonic()
        self._set(one, "running")
        if not (part.fingerprint and self._stamps().get(part.name) == part.fingerprint):
            if part.action:
                await asyncio.to_thread(part.action)
            if part.command:
                code = await (await self._spawn(one)).wait()
                one.last_exit, one.process = code, None
                one.pid = one.created = None
                if code != 0:
                    raise StartFailed(part.name, f"exit {code}\n{self._tail(part.name)}")
            self._stamp(part)
        one.ready_after_s = round(time.monotonic() - begun, 2)
        one.ready.set()
        self._set(one, "done")

    async def _keep_alive(self, one: Running) -> None:
        failures = pause = 0
        while not self.stopping.is_set():
            begun = time.monotonic()
            self._set(one, "starting")
            if one.part.before:
                await asyncio.to_thread(one.part.before)
            process = await self._spawn(one)
            watch = asyncio.create_task(self._watch(one, process, begun))
            try:
                one.last_exit = await process.wait()
            finally:
                watch.cancel()
            signal_group(process.pid, signal.SIGKILL)
            was_ready = one.ready.is_set() or one.ready_after_s is not None
            one.ready.clear()
            one.process = None
            if not was_ready:
                failures += 1
                if failures >= FAILURES_BEFORE_READY:
                    raise StartFailed(one.part.name, f"exit {one.last_exit}\n{self._tail(one.part.name)}")
            one.restarts += 1
            pause = 0 if time.monotonic() - begun > STEADY_AFTER_S else min(pause + 1, len(BACKOFF_S) - 1)
            log.warning("%s ended (%s), starting again in %s s", one.part.name, one.last_exit, BACKOFF_S[pause])
            self._set(one, "restarting")
            await asyncio.sleep(BACKOFF_S[pause])

    async def _watch(self, one: Running, process: asyncio.subprocess.Process, begun: float) -> None:
        """Mark the part ready when it answers; end it when it hangs."""
        part = one.part
        if part.probe is None:
            await asyncio.sleep(0.3)
            self._mark_ready(one, begun)
            return
        answered = time.monotonic()
        while True:
            good = await asyncio.to_thread(part.probe)
            now = time.monotonic()
            if good:
                answered = now
                if not one.ready.is_set():
                    self._mark_ready(one, begun)
                elif one.state != "ready":
                    self._set(one, "ready")
            elif one.ready.is_set() and one.state == "ready":
                self._set(one, "silent")
            patience = HUNG_AFTER_S if one.ready.is_set() else part.start_patience_s
            if now - answered > patience:
                log.error("%s has not answered for %d s, ending it", part.name, patience)
                signal_group(process.pid, signal.SIGKILL)
                return
            await asyncio.sleep(PROBE_EVERY_S if one.ready.is_set() else 0.1)

    def _mark_ready(self, one: Running, begun: float) -> None:
        one.ready_after_s = round(time.monotonic() - begun, 2)
        one.ready.set()
        self._set(one, "ready")

    async def _spawn(self, one: Running) -> asyncio.subprocess.Process:
        part = one.part
        uid, gid = part.account or (None, None)
        read_end = self._lifeline(part)
        with (self.home.logs / f"{part.name}.log").open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *part.command, env=part.env, cwd="/" if part.account else str(self.home.path),
                stdin=read_end or subprocess.DEVNULL, stdout=out, stderr=out,
                preexec_fn=child_setup(os.getpid(), uid, gid, survives=part.lifeline),
            )
        if read_end:
            os.close(read_end)
        one.process, one.pid, one.created = process, process.pid, created_at(process.pid)
        self._write()
        return process

    def _lifeline(self, part: Part) -> int | None:
        """For a part that watches us: a pipe of which we keep the writing end as long as we live."""
        if not part.lifeline:
            return None
        if self._writing_end is not None:
            os.close(self._writing_end)
        read_end, self._writing_end = os.pipe()
        return read_end

    async def _stop_all(self) -> None:
        """Everything that uses a store first, all at once; then the stores."""
        for stores in (False, True):
            await asyncio.gather(
                *(self._stop(one) for one in self.running.values() if one.part.store is stores),
                return_exceptions=True,
            )
        await asyncio.to_thread(self._end_the_rest)

    async def _stop(self, one: Running) -> None:
        process = one.process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(one.part.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), one.part.stop_patience_s)
            except TimeoutError:
                signal_group(process.pid, signal.SIGKILL)
                await process.wait()
            signal_group(process.pid, signal.SIGKILL)
        one.pid = one.created = one.process = None
        if one.state != "failed":
            self._set(one, "stopped")

    def _end_the_rest(self) -> None:
        """What a part started and left behind, for example a job of CKAN's worker."""
        end([process for process in marked(self.home.path) if part_of(process) not in OVERSEERS])

    async def _rotate(self) -> None:
        while True:
            for file in self.home.logs.glob("*.log"):
                await asyncio.to_thread(rotate, file)
            await asyncio.sleep(30)

    def _set(self, one: Running, state: str) -> None:
        one.state = state
        log.info("%s %s", one.part.name, state)
        self._write()

    def _write(self) -> None:
        self.home.write_state(
            {
                **self.facts, "state": self.state,
                "supervisor": {"pid": os.getpid(), "created": created_at(os.getpid())},
                "error": {"part": self.failure.part, "reason": self.failure.reason} if self.failure else None,
                "parts": {name: one.facts() for name, one in self.running.items()},
            }
        )

    def _tail(self, name: str) -> str:
        return tail(self.home.logs / f"{name}.log")

    def _stamps(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads((self.home.path / "setup.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def _stamp(self, part: Part) -> None:
        if part.fingerprint:
            stamps = {**self._stamps(), part.name: part.fingerprint}
            (self.home.path / "setup.json").write_text(json.dumps(stamps), encoding="utf-8")


def _words(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{error}\n{error.stderr or ''}".strip()
    return f"{type(error).__name__}: {error}"


def tail(file: Path, lines: int = 15) -> str:
    """The last lines of a log, for messages; empty when there is none."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - 8000))
            return "\n".join(opened.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""


def rotate(file: Path, limit: int = LOG_BYTES_MAX, kept: int = LOGS_KEPT) -> None:
    """Copy a log that has grown past ``limit`` aside and empty it: its writers keep their descriptor (O_APPEND)."""
    try:
        if file.stat().st_size <= limit:
            return
        for number in range(kept - 1, 0, -1):
            older = file.with_name(f"{file.name}.{number}")
            if older.exists():
                older.replace(file.with_name(f"{file.name}.{number + 1}"))
        shutil.copyfile(file, file.with_name(f"{file.name}.1"))
        os.truncate(file, 0)
    except OSError:
        log.exception("rotating %s", file)


