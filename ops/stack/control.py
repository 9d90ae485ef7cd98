"""Starting, finding and stopping a stack from another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ops.stack.home import DEFAULT_PORT, Home, is_free
from ops.stack.parts import ckan_command, ckan_env
from ops.stack.process import MARK, die_with_parent, end, is_alive, remains, wait_until

START_PATIENCE_S = 180.0
STOP_PATIENCE_S = 60.0

OnState = Callable[[dict[str, Any]], None]


class StackError(Exception):
    """Something about the stack that its operator can act on: a code, a sentence and a next step, both languages."""

    def __init__(self, code: str, zh: str, en: str, next_zh: str = "", next_en: str = "") -> None:
        super().__init__(en)
        self.code, self.zh, self.en, self.next_zh, self.next_en = code, zh, en, next_zh, next_en


@dataclass(frozen=True)
class Stack:
    """A stack that was found or started, as its stack.json describes it."""

    home: Home
    state: dict[str, Any]

    @property
    def site_url(self) -> str:
        return str(self.state["site_url"])

    @property
    def ports(self) -> dict[str, int]:
        return dict(self.state["ports"])

    @property
    def pid(self) -> int | None:
        return (self.state.get("supervisor") or {}).get("pid")

    @property
    def is_running(self) -> bool:
        supervisor = self.state.get("supervisor") or {}
        return is_alive(supervisor.get("pid"), supervisor.get("created"))

    @property
    def sysadmin_password(self) -> str:
        return self.home.secret("sysadmin")

    def fresh(self) -> Stack:
        return Stack(self.home, self.home.read_state())

    def ckan(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a ``ckan`` command with this stack's configuration; CalledProcessError carries its words."""
        from ops.stack.main import make_plan

        plan = make_plan(self.home, int(self.state["port"]), self.site_url, "127.0.0.1", False)
        return subprocess.run(
            ckan_command(self.home, *arguments), env=ckan_env(plan, "command"), cwd=self.home.path,
            capture_output=True, text=True, timeout=timeout_s, check=True,
        )


def find(home: Home) -> Stack | None:
    """The stack of ``home`` if its supervisor runs."""
    stack = Stack(home, home.read_state())
    return stack if stack.state and stack.is_running else None


def _environment(home: Home, port: int | None, env: dict[str, str] | None) -> dict[str, str]:
    given = {**os.environ, **(env or {})}
    known = home.read_state()
    chosen = port or int(given.get("GOVOPEN_PORT") or known.get("port") or DEFAULT_PORT)
    demo = given.get("GOVOPEN_DEMO") or ("1" if known.get("demo") else "0")
    site_url = given.get("GOVOPEN_SITE_URL") or f"http://127.0.0.1:{chosen}"
    return {
        **given, MARK: str(home.path), "GOVOPEN_PART": "supervisor", "GOVOPEN_HOME": str(home.path),
        "GOVOPEN_PORT": str(chosen), "GOVOPEN_SITE_URL": site_url.rstrip("/"),
        "GOVOPEN_BIND": given.get("GOVOPEN_BIND") or "127.0.0.1", "GOVOPEN_DEMO": demo,
        "MALLOC_ARENA_MAX": "2",
    }


def up(
    home: Home, port: int | None = None, *, env: dict[str, str] | None = None, attached: bool = False,
    on_state: OnState | None = None, timeout_s: float = START_PATIENCE_S,
) -> Stack:
    """Start the stack and return when every part answers; an already running one is returned as it is.

    ``attached`` ties it to this process: it ends when this process ends, however that ends.
    Raises StackError: port_taken, home_unwritable, start_failed, start_timeout.
    """
    running = find(home)
    environment = _environment(home, port, env)
    if running is None:
        _check(home, int(environment["GOVOPEN_PORT"]))
        home.write_state({**home.read_state(), "state": "starting", "supervisor": None, "parts": {}, "error": None})
        environment["GOVOPEN_KEEPER"] = "0" if attached else "1"
        out = (home.logs / "supervisor.out").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ops.stack.main"], env=environment, cwd=home.path,
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            preexec_fn=(lambda: die_with_parent(signal.SIGTERM)) if attached else None,
        )
        out.close()
        _children.append(process)
    return wait_ready(home, on_state, timeout_s)


_children: list[subprocess.Popen[bytes]] = []
"""Supervisors started by this process, kept so that they are reaped when they end."""


def children() -> list[subprocess.Popen[bytes]]:
    return _children


def wait_ready(home: Home, on_state: OnState | None, timeout_s: float) -> Stack:
    """Follow stack.json until the stack is ready; raises StackError when it fails or takes too long."""
    deadline = time.monotonic() + timeout_s
    born = time.monotonic()
    while time.monotonic() < deadline:
        stack = Stack(home, home.read_state())
        state = stack.state.get("state")
        if on_state:
            on_state(stack.state)
        if state == "ready" and stack.is_running:
            return stack
        gone = not stack.is_running and (stack.pid is not None or time.monotonic() - born > 15)
        for child in _children:
            child.poll()
        if state == "failed" or gone:
            raise _start_failed(home, stack.state)
        time.sleep(0.05)
    raise StackError(
        "start_timeout", f"{timeout_s:.0f} 秒内没有启动完成。", f"Not ready within {timeout_s:.0f} s.",
        f"请查看 {home.logs}，或运行 govopen doctor。", f"See {home.logs}, or run govopen doctor.",
    )


def _start_failed(home: Home, state: dict[str, Any]) -> StackError:
    error = state.get("error") or {}
    part = error.get("part", "supervisor")
    if error:
        reason = str(error.get("reason", ""))
    else:
        out = home.logs / "supervisor.out"
        reason = out.read_text(encoding="utf-8", errors="replace")[-2000:] if out.exists() else ""
    return StackError(
        "start_failed", f"{part} 没有启动成功：\n{reason}", f"{part} did not start:\n{reason}",
        f"请查看 {home.logs / (part + '.log')}，或运行 govopen doctor。",
        f"See {home.logs / (part + '.log')}, or run govopen doctor.",
    )


def _check(home: Home, port: int) -> None:
    try:
        home.prepare()
    except OSError as error:
        raise StackError(
            "home_unwritable", f"无法写入 {home.path}：{error.strerror}。",
            f"Cannot write {home.path}: {error.strerror}.",
            "请用 GOVOPEN_HOME 指定可写的目录。", "Name a writable folder with GOVOPEN_HOME.",
        ) from error
    if not is_free(port):
        from ops.stack.doctor import who_listens

        who = who_listens(port)
        raise StackError(
            "port_taken", f"端口 {port} 已被占用：{who}。", f"Port {port} is taken by {who}.",
            "请停止该程序，或用 GOVOPEN_PORT 指定其他端口。", "Stop it, or choose another port with GOVOPEN_PORT.",
        )


def down(home: Home, timeout_s: float = STOP_PATIENCE_S) -> bool:
    """Stop the stack and whatever it left behind; returns whether anything had been running."""
    stack = find(home)
    if stack is not None and stack.pid:
        os.kill(stack.pid, signal.SIGTERM)
        supervisor = stack.state["supervisor"]
        wait_until(lambda: not _still(supervisor), timeout_s)
    left = [process for process in remains(home.path, home.recorded()) if process.pid not in _ancestors()]
    end(left)
    for child in _children:
        child.poll()
    return stack is not None or bool(left)


def _still(supervisor: dict[str, Any]) -> bool:
    for child in _children:
        child.poll()
    return is_alive(supervisor["pid"], supervisor["created"])


def _ancestors() -> set[int]:
    """This process and those above it: a command run inside a stack must not end itself."""
    import psutil

    return {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
