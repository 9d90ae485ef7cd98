"""``setup``: how long a stranger waits, and what the whole stack takes of memory."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from ops.bench.framework import Figure, Say, register
from ops.stack import Home, down
from ops.stack.process import memory
from ops.stack.testing import free_port

ROUNDS = 5
SETTLE_S = 3.0
REPOSITORY = Path(__file__).parents[2]


@register("setup", "clone → install → first answer; start; memory of the whole stack")
def measure(say: Say) -> list[Figure]:
    """Clone the repository as committed, install with ``make``, start a new stack; then start that one again.

    ``clone_to_answer_s`` is one round, for it fills pip's cache for the next; ``start_s`` is the median of five
    starts of the installed stack, the first of them on an empty home. ``rss_mb`` adds up the resident memory of
    every process, shared pages counted as often as they are mapped; ``pss_mb`` counts them once.
    """
    folder = Path(tempfile.mkdtemp(prefix="govopen-setup-"))
    home, clone = Home.at(folder / "home"), folder / "clone"
    try:
        begun = time.monotonic()
        say(f"git clone → {clone}")
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
        say("make install")
        subprocess.run(["make", "--quiet", "install"], cwd=clone, check=True, env=_outside(), stdout=2)
        first = _start(clone, home, say)
        total = time.monotonic() - begun
        rss, pss = _memory(home)
        starts = [first]
        for _ in range(ROUNDS - 1):
            _command(clone, home, "down")
            starts.append(_start(clone, home, say))
        _command(clone, home, "down")
    finally:
        down(home)
        shutil.rmtree(folder, ignore_errors=True)
    return [
        Figure("clone_to_answer_s", round(total, 1), "s", "lower", 180),
        Figure("start_s", round(statistics.median(starts), 2), "s", "lower", 20),
        Figure("start_first_s", round(first, 2), "s", "lower", 20),
        Figure("rss_mb", round(rss, 0), "MB", "lower", 1200),
        Figure("pss_mb", round(pss, 0), "MB", "lower"),
    ]


def _outside() -> dict[str, str]:
    """The environment of somebody who has not activated this environment."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("GOVOPEN_", "VIRTUAL_ENV"))}


def _command(clone: Path, home: Home, *arguments: str) -> None:
    environment = {**_outside(), "GOVOPEN_HOME": str(home.path)}
    subprocess.run([str(clone / ".venv/bin/govopen"), *arguments], env=environment, check=True, stdout=2)


def _start(clone: Path, home: Home, say: Say) -> float:
    """Seconds from the command to a stack of which every part answers."""
    port = home.read_state().get("port") or free_port()
    begun = time.monotonic()
    _command(clone, home, "up", "--detach", "--port", str(port))
    seconds = time.monotonic() - begun
    say(f"{seconds:.1f} s")
    return seconds


def _memory(home: Home) -> tuple[float, float]:
    """Resident and proportional megabytes after each page was asked for a few times."""
    site = str(home.read_state()["site_url"])
    for path in ("/", "/dataset/", "/organization/", "/v1/health") * 8:
        httpx.get(site + path, timeout=60)
    time.sleep(SETTLE_S)
    rows = memory(home.path, home.recorded())
    print(json.dumps({f"{name}:{pid}": round(rss / 1e6) for pid, name, rss, _ in rows}), file=sys.stderr)
    return sum(row[2] for row in rows) / 1e6, sum(row[3] for row in rows) / 1e6
