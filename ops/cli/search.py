"""``search status`` and ``search rebuild``."""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ops.cli.words import complain, say, tell
from ops.stack import Home, Stack, StackError, find
from ops.stack.parts import Plan, ckan_command, ckan_env

LOOK_S = 0.5
LINE_S = 10.0
"""Between two lines of progress where the output is no terminal."""
WORKERS_MAX = 8


class Address:
    """The search service of a running stack."""

    def __init__(self, stack: Stack) -> None:
        secret = base64.b64encode(f"ckan:{stack.home.secret('search')}".encode()).decode()
        self._url = f"http://127.0.0.1:{stack.ports['search']}/solr/ckan/rebuild"
        self._headers = {"Authorization": f"Basic {secret}"}

    def state(self) -> dict[str, Any]:
        request = urllib.request.Request(self._url, headers=self._headers)  # noqa: S310 - our own loopback address
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except (OSError, ValueError) as error:
            raise StackError(
                "search_silent", f"检索服务没有应答：{error}", f"The search service does not answer: {error}",
                "运行 govopen status。", "Run govopen status.",
            ) from error


class Progress:
    """One line that is kept up to date on a terminal, a line every ten seconds elsewhere.

    The rate is that since the first documents came: the start of the processes is no part of it.
    """

    def __init__(self, total: int, done: int) -> None:
        self.total = total
        self._from = done
        self._since: float | None = None
        self._line = time.monotonic()
        self._shown = ""

    def show(self, done: int, *, last: bool = False) -> None:
        now = time.monotonic()
        if self._since is None and done > self._from:
            self._since, self._from = now, done
        rate = (done - self._from) / (now - self._since) if self._since is not None and now > self._since else 0.0
        share = done / self.total if self.total else 1.0
        text = say(f"{done} / {self.total} 个数据集（{share:.1%}）", f"{done} / {self.total} datasets ({share:.1%})")
        if rate:
            left = clock((self.total - done) / rate)
            text += say(f"，{rate:.0f} 个/秒，剩余 {left}", f", {rate:.0f}/s, {left} left")
        if sys.stdout.isatty():
            print(f"\r{text.ljust(len(self._shown))}", end="\n" if last else "", flush=True)
            self._shown = text
        elif last or now - self._line >= LINE_S:
            self._line = now
            print(text, flush=True)


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _running() -> Stack:
    stack = find(Home.at())
    if stack is None:
        raise StackError(
            "not_running", "没有在运行的平台。", "No stack is running.", "先运行 govopen up。", "Run govopen up first."
        )
    return stack


def run_status(arguments: argparse.Namespace) -> int:
    """Exit code 0 when everything is there and served, 1 when something is missing or being built."""
    stack = _running()
    state = Address(stack).state()
    size = sum(path.stat().st_size for path in (stack.home.path / "search").rglob("*") if path.is_file())
    if arguments.json:
        print(json.dumps({**state, "disk_bytes": size}, ensure_ascii=False, indent=1))
        return int(bool(state["building"] or state["incomplete"] or state["full"]))
    megabytes = f"{size / 1e6:.0f} MB"
    tell(f"{state['documents']} 个文档，{megabytes}", f"{state['documents']} documents, {megabytes}")
    if state["building"]:
        done, total = state["building"]["done"], state["building"]["total"]
        tell(f"正在由已存文档重建索引：{done} / {total}", f"The index is built from stored documents: {done} / {total}")
    if state["incomplete"]:
        complain(
            "部分文档损坏，检索结果不完整。", "Some documents were damaged: searches find less than there is.",
            "运行 govopen search rebuild。", "Run govopen search rebuild.",
        )
    if state["full"]:
        complain(
            "磁盘空间不足，拒绝写入。", "There is no room on the disk: writes are refused.", "腾出空间。", "Make room."
        )
    if state["rebuild"]:
        done, total = state["rebuild"]["documents"], state["rebuild"]["datasets"]
        tell(f"重建未完成：{done} / {total}", f"A rebuild is unfinished: {done} / {total}")
    return int(bool(state["building"] or state["incomplete"] or state["full"]))


def run_rebuild(arguments: argparse.Namespace) -> int:
    """Build the index anew from CKAN's database while the old one serves; goes on where it was interrupted."""
    begun = time.monotonic()
    stack = _running()
    address = Address(stack)
    unfinished = address.state()["rebuild"]
    may_drop = arguments.restart or arguments.anew
    progress: Progress | None = None
    if unfinished is None or arguments.restart:
        tell("正在统计数据集…", "Counting datasets…")
    elif not arguments.anew:
        tell("继续上次未完成的重建。", "Going on with the rebuild that was interrupted.")
    parts = max(1, min(arguments.workers or os.cpu_count() or 1, WORKERS_MAX))
    options = [f"--{name}" for name in ("full", "anew", "restart") if getattr(arguments, name)]
    process = _start(stack, "--parts", str(parts), *options)
    try:
        while process.poll() is None:
            time.sleep(LOOK_S)
            rebuild = address.state()["rebuild"]
            if rebuild is not None and not (may_drop and rebuild == unfinished):
                progress = progress or Progress(rebuild["datasets"], rebuild["documents"])
                progress.show(rebuild["documents"])
    except KeyboardInterrupt:
        print()
        tell("已中断；再次运行即从中断处继续。", "Interrupted; run it again to go on.")
        return 130
    finally:
        if process.poll() is None:
            process.terminate()
        output, _ = process.communicate()
    if process.returncode:
        said = _last_line(_log(stack))
        complain(
            f"重建中断：{said}", f"The rebuild stopped: {said}", "排除原因后再次运行，将从中断处继续。",
            "Run it again when the cause is gone; it goes on where it stopped.",
        )
        return 1
    if progress is not None:
        progress.show(progress.total, last=True)
    found = json.loads(output.strip().splitlines()[-1])
    count, failed, spent = found["documents"], found["failed"], clock(time.monotonic() - begun)
    tell(f"完成：{count} 个文档已启用，用时 {spent}。", f"Done in {spent}: {count} documents serve now.")
    if failed:
        complain(
            f"{failed} 个数据集无法生成文档，沿用原有文档。", f"{failed} datasets failed; they keep their documents.",
            f"原因见 {_log(stack)}。", f"See {_log(stack)}.",
        )
    return 0


def _log(stack: Stack) -> Path:
    """What CKAN says while it makes documents."""
    return stack.home.logs / "search-rebuild.log"


def _start(stack: Stack, *arguments: str) -> subprocess.Popen[str]:
    plan = Plan(stack.home, int(stack.state["port"]), stack.ports, stack.site_url)
    with _log(stack).open("a", encoding="utf-8") as log:
        return subprocess.Popen(
            ckan_command(stack.home, "govopen", "search-feed", *arguments), env=ckan_env(plan, "search-feed"),
            stdout=subprocess.PIPE, stderr=log, text=True, cwd=stack.home.path,
        )


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
