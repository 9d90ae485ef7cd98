"""The supervisor with small parts of its own: order, restarts, failure, and nothing that outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from ops.stack.home import Home
from ops.stack.parts import Part
from ops.stack.process import MARK, marked, wait_until
from ops.stack.supervisor import StartFailed, Supervisor, rotate

PYTHON = sys.executable


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path)
    made.logs.mkdir()
    return made


def sleeper(home: Home, name: str, *, needs: tuple[str, ...] = (), code: str = "") -> Part:
    """A part that runs ``code`` and then sleeps."""
    program = f"{code}\nimport time; time.sleep(600)"
    return Part(name, [PYTHON, "-c", program], {**os.environ, MARK: str(home.path), "GOVOPEN_PART": name}, needs=needs)


@asynccontextmanager
async def supervised(home: Home, *parts: Part) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(home, list(parts), {})
    task = asyncio.create_task(supervisor.run())
    try:
        await asyncio.wait_for(supervisor.all_ready(), 20)
        yield supervisor
    finally:
        supervisor.stopping.set()
        await task


async def eventually(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.05)


async def test_parts_start_after_what_they_need(home: Home) -> None:
    order: list[str] = []
    first = Part("first", once=True, action=lambda: order.append("first"))
    second = Part("second", once=True, action=lambda: order.append("second"), needs=("first",))
    third = sleeper(home, "third", needs=("second",))
    async with supervised(home, third, second, first) as supervisor:
        assert order == ["first", "second"]
        assert supervisor.running["third"].state == "ready"
        assert home.read_state()["parts"]["first"]["state"] == "done"


async def test_a_step_with_a_fingerprint_runs_once(home: Home) -> None:
    runs: list[str] = []
    for fingerprint in ("a", "a", "b"):
        step = Part("step", once=True, action=lambda: runs.append("x"), fingerprint=fingerprint)
        async with supervised(home, step):
            pass
    assert len(runs) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_an_ended_part_is_started_again(home: Home, number: int) -> None:
    async with supervised(home, sleeper(home, "one")) as supervisor:
        one = supervisor.running["one"]
        before = one.pid
        assert before
        os.kill(before, number)
        await eventually(lambda: one.pid != before and one.state == "ready")
        assert one.restarts == 1
        assert home.read_state()["parts"]["one"]["restarts"] == 1


async def test_a_part_that_never_comes_up_fails_the_start_and_says_why(home: Home) -> None:
    broken = Part("broken", [PYTHON, "-c", "raise SystemExit('no such table')"], dict(os.environ), probe=lambda: False)
    other = sleeper(home, "other")
    supervisor = Supervisor(home, [broken, other], {})
    with pytest.raises(StartFailed) as failed:
        await asyncio.wait_for(supervisor.run(), 60)
    assert failed.value.part == "broken"
    assert "no such table" in failed.value.reason
    assert home.read_state()["state"] == "failed"
    assert home.read_state()["error"]["part"] == "broken"
    assert not marked(home.path)


async def test_a_failing_step_fails_the_start_at_once(home: Home) -> None:
    step = Part("migrate", [PYTHON, "-c", "import sys; print('locked'); sys.exit(3)"], dict(os.environ), once=True)
    with pytest.raises(StartFailed, match="exit 3"):
        await asyncio.wait_for(Supervisor(home, [step], {}).run(), 30)


async def test_what_a_part_left_behind_ends_with_the_stack(home: Home) -> None:
    """CKAN's worker runs each job in a process group of its own."""
    code = "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(600)"
    async with supervised(home, sleeper(home, "parent", code=code)):
        await eventually(lambda: len(marked(home.path)) == 2)
    assert not marked(home.path)


async def test_a_part_that_ignores_the_request_to_end_is_killed(home: Home) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    part = sleeper(home, "stubborn", code=code)
    object.__setattr__(part, "stop_patience_s", 0.5)
    async with supervised(home, part) as supervisor:
        await asyncio.sleep(0.3)
        pid = supervisor.running["stubborn"].pid
        assert pid
    assert not psutil.pid_exists(pid)


def test_nothing_outlives_a_killed_supervisor(home: Home) -> None:
    program = f"""
import asyncio, os
from pathlib import Path
from ops.stack.home import Home
from ops.stack.parts import Part
from ops.stack.supervisor import Supervisor
parts = [Part(n, [{PYTHON!r}, "-c", "import time; time.sleep(600)"], dict(os.environ)) for n in ("a", "b")]
asyncio.run(Supervisor(Home(Path({str(home.path)!r})), parts, {{}}).run())
"""
    process = subprocess.Popen([PYTHON, "-c", program], env={**os.environ, MARK: str(home.path)})
    try:
        assert wait_until(lambda: home.read_state().get("state") == "ready", 30)
        pids = [part["pid"] for part in home.read_state()["parts"].values()]
        assert all(psutil.pid_exists(pid) for pid in pids)
    finally:
        process.kill()
        process.wait()
    assert wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 5)


def test_a_log_is_put_aside_when_it_has_grown(tmp_path: Path) -> None:
    file = tmp_path / "part.log"
    with file.open("ab", buffering=0) as writer:
        for number in range(5):
            writer.write(b"%d" % number * 100)
            rotate(file, limit=50, kept=2)
            writer.write(b"after")
    assert file.read_bytes() == b"after"
    assert (tmp_path / "part.log.1").read_bytes().startswith(b"after444")
    assert (tmp_path / "part.log.2").exists()
    assert not (tmp_path / "part.log.3").exists()
