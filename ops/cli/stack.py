"""``up``, ``down``, ``status`` and ``doctor``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import time
from typing import Any

from ops.cli.words import complain, say, state_word, tell
from ops.stack import Home, Stack, StackError, control, doctor, find, postgres
from ops.stack.process import is_alive


class Progress:
    """Prints each part once when it answers."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}
        self.begun = time.monotonic()

    def __call__(self, state: dict[str, Any]) -> None:
        for name, part in state.get("parts", {}).items():
            now = part["state"]
            if self.seen.get(name) == now:
                continue
            self.seen[name] = now
            if now in ("ready", "done", "failed", "restarting"):
                print(f"  {time.monotonic() - self.begun:5.1f} s  {name:<15} {state_word(now)}", flush=True)


def run_up(arguments: argparse.Namespace) -> int:
    home = Home.at()
    already = find(home)
    if already is not None and already.state.get("state") == "ready":
        tell(f"已在运行：{already.site_url}", f"Already running: {already.site_url}")
        return 0
    tell(f"正在启动（数据目录 {home.path}）", f"Starting (folder {home.path})")
    attached = not arguments.detach
    with _ending_on_term():
        try:
            stack = control.up(home, arguments.port, attached=attached, on_state=Progress())
            _greet(stack, attached)
            if attached:
                return _follow(stack)
        except KeyboardInterrupt:
            tell("正在停止…", "Stopping…")
            control.down(home)
            return 130
    return 0


@contextlib.contextmanager
def _ending_on_term() -> Any:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that the parts are stopped in order."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _greet(stack: Stack, attached: bool) -> None:
    seconds = stack.state.get("start_s")
    tell(f"已就绪（{seconds} 秒）：{stack.site_url}", f"Ready ({seconds} s): {stack.site_url}")
    file = stack.home.secrets_folder / "sysadmin"
    tell(f"管理员：govadmin，密码见 {file}", f"Administrator: govadmin, password in {file}")
    if attached:
        tell("按 Ctrl-C 停止。", "Press Ctrl-C to stop.")
    else:
        tell("停止：govopen down", "Stop: govopen down")


def _follow(stack: Stack) -> int:
    """Stay until the supervisor ends; returns 0 when it was told to, 1 when it died."""
    while stack.is_running:
        for child in control.children():
            child.poll()
        time.sleep(0.3)
    ended = stack.fresh().state.get("state")
    if ended == "stopped":
        tell("已停止。", "Stopped.")
        return 0
    complain(
        "监管进程意外退出。", "The supervisor ended unexpectedly.", "重新运行 govopen up。", "Run govopen up again."
    )
    return 1


def run_down(_: argparse.Namespace) -> int:
    home = Home.at()
    tell("正在停止…", "Stopping…")
    if control.down(home):
        tell("已停止。", "Stopped.")
    else:
        tell("没有在运行的组件。", "Nothing was running.")
    return 0


def current(home: Home) -> dict[str, Any]:
    """stack.json corrected by what really runs: a part whose process is gone is ``dead``."""
    state = home.read_state()
    running = bool(state) and Stack(home, state).is_running
    for part in state.get("parts", {}).values():
        if part["state"] in ("ready", "silent", "starting") and not is_alive(part["pid"], part["created"]):
            part["state"] = "dead" if running else "stopped"
    if state and not running and state.get("state") not in ("stopped", "failed"):
        state["state"] = "dead"
    return state


def run_status(arguments: argparse.Namespace) -> int:
    """Exit code 0 when every part answers, 1 when one does not, 3 when nothing runs."""
    home = Home.at()
    state = current(home)
    if arguments.json:
        print(json.dumps(state, ensure_ascii=False, indent=1))
    elif not state or state["state"] in ("stopped", "dead", "failed"):
        tell(f"没有在运行（{home.path}）。", f"Not running ({home.path}).")
    else:
        tell(f"{state['site_url']}  {state_word(state['state'])}", f"{state['site_url']}  {state['state']}")
        for name, part in state["parts"].items():
            restarts = say(f"重启 {part['restarts']} 次", f"{part['restarts']} restarts") if part["restarts"] else ""
            port, pid = part["port"] or "", part["pid"] or ""
            print(f"  {name:<15} {state_word(part['state']):<8} pid {pid!s:<8} {port!s:<6} {restarts}".rstrip())
    if not state or state["state"] in ("stopped", "dead", "failed"):
        return 3
    return 0 if state["state"] == "ready" and all(
        part["state"] in ("ready", "done") for part in state["parts"].values()
    ) else 1


def run_doctor(arguments: argparse.Namespace) -> int:
    """Exit code 1 when something is wrong."""
    findings = doctor.examine(Home.at(), int(os.environ.get("GOVOPEN_PORT") or 0) or None)
    if arguments.json:
        print(json.dumps([finding.as_dict() for finding in findings], ensure_ascii=False, indent=1))
    else:
        for finding in findings:
            mark = {"ok": "✓", "warning": "!", "wrong": "✗"}[finding.level]
            print(f"{mark} {say(finding.zh, finding.en)}")
            if following := say(finding.next_zh, finding.next_en):
                print("    → " + following)
    return int(any(finding.level == "wrong" for finding in findings))


def database_url() -> str:
    """The service's database of the running stack; StackError when none runs."""
    stack = find(Home.at())
    if stack is None:
        raise StackError(
            "not_running", "没有在运行的平台。", "No stack is running.", "先运行 govopen up。", "Run govopen up first."
        )
    return postgres.url(stack.home, stack.ports["postgres"], "govopen", "govopen")


