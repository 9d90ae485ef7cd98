"""Starting processes that cannot outlive their parent, and finding those that did."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

MARK = "GOVOPEN_STACK"
"""Environment variable that every process of a stack carries; its value is the stack's home."""
PR_SET_PDEATHSIG = 1
OVERSEERS = ("supervisor", "keeper")

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel to send this process ``number`` when its parent ends (Linux; elsewhere nothing happens)."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def child_setup(
    parent: int, uid: int | None = None, gid: int | None = None, *, survives: bool = False
) -> Callable[[], None]:
    """What a child does between fork and exec: own group, other user if asked, death with the parent."""

    def prepare() -> None:
        os.setpgid(0, 0)
        if survives:
            return
        if uid is not None and gid is not None:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        die_with_parent()  # after setuid: the kernel forgets it when credentials change
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def is_alive(pid: int | None, created: float | None) -> bool:
    """Whether the process that was recorded is still that process and running."""
    if not pid:
        return False
    try:
        process = psutil.Process(pid)
        same = created is None or abs(process.create_time() - created) < 2
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def created_at(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def marked(home: Path, *, except_for: Iterable[int] = ()) -> list[psutil.Process]:
    """Every running process that carries the mark of the stack at ``home``."""
    spared = {os.getpid(), *except_for}
    found = []
    for process in psutil.process_iter():
        if process.pid in spared:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def remains(home: Path, recorded: Iterable[tuple[int | None, float | None]]) -> list[psutil.Process]:
    """Every process of the stack: marked ones, recorded ones and all below them.

    PostgreSQL and Redis write their titles over their environment, so the mark alone does not find them.
    """
    found = {process.pid: process for process in marked(home)}
    for pid, created in recorded:
        if pid and created is not None and is_alive(pid, created):  # without its birth it may be another's
            found[pid] = psutil.Process(pid)
    for process in list(found.values()):
        with contextlib.suppress(psutil.Error):
            found |= {child.pid: child for child in process.children(recursive=True)}
    found.pop(os.getpid(), None)
    return list(found.values())


def end(processes: list[psutil.Process], patience_s: float = 3.0) -> None:
    """Ask to end, wait, then kill. Returns when none of them is left."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=patience_s)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=5)


def signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def memory(
    home: Path, recorded: Iterable[tuple[int | None, float | None]] = ()
) -> list[tuple[int, str, int, int]]:
    """(pid, part, resident bytes, proportional bytes) of each process of the stack."""
    rows = []
    for process in remains(home, recorded):
        with contextlib.suppress(psutil.Error):
            full = process.memory_full_info()
            rows.append((process.pid, part_of(process), int(full.rss), int(getattr(full, "pss", full.rss))))
    return rows


def part_of(process: psutil.Process) -> str:
    """The part a marked process belongs to."""
    with contextlib.suppress(psutil.Error, OSError):
        return str(process.environ().get("GOVOPEN_PART", process.name()))
    return "?"


def wait_until(condition: Callable[[], bool], timeout_s: float, interval_s: float = 0.05) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(interval_s)
    return condition()
