"""``govopen demo``: start the stack, load the city, play the main job, leave the site up with its accounts listed."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ops.bootstrap import appoint_security_admin
from ops.demo import people
from ops.demo.clients import Person, sign_in
from ops.demo.load import City, Loader
from ops.demo.record import Record
from ops.demo.story import play
from ops.stack import Home, Stack, StackError, down, find, up
from ops.stack.parts import SYSADMIN
from ops.stack.postgres import url

MEMORY = "demo.json"


def _memory(home: Home) -> dict[str, Any]:
    file = home.path / MEMORY
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def _remember(home: Home, memory: dict[str, Any]) -> None:
    file = home.path / MEMORY
    partial = file.with_suffix(".part")
    partial.touch(0o600)
    partial.write_text(json.dumps(memory, ensure_ascii=False, indent=1), encoding="utf-8")
    partial.replace(file)


def _start(home: Home, port: int | None) -> Stack:
    print("启动内嵌平台 / starting the embedded stack …", flush=True)
    began = time.monotonic()
    shown: set[str] = set()

    def progress(state: dict[str, Any]) -> None:
        for name, part in (state.get("parts") or {}).items():
            word = str(part.get("state"))
            if word in ("ready", "done") and name not in shown:
                shown.add(name)
                print(f"  {name} ✓ {time.monotonic() - began:.1f} s", flush=True)

    return up(home, port, env={"GOVOPEN_DEMO": "1"}, on_state=progress)


def _admin(stack: Stack, memory: dict[str, Any]) -> Person:
    """The sysadmin with an API token, made by the ckan command the first time."""
    if "admin_token" not in memory:
        said = stack.ckan("user", "token", "add", SYSADMIN, "demo", "-q").stdout
        memory["admin_token"] = said.strip().splitlines()[-1].strip()
    return Person(stack.site_url, SYSADMIN, memory["admin_token"])


def _load(stack: Stack, memory: dict[str, Any]) -> City:
    city = City(stack.site_url, Person(stack.site_url))
    admin = _admin(stack, memory)
    loader = Loader(city, admin, memory, stack.home.path, lambda line: print(f"  {line}", flush=True))
    print("装载演示城市 / loading the demo city …", flush=True)
    try:
        loader.accounts()
        database = url(stack.home, stack.ports["postgres"], "govopen", "govopen")
        security = people.SECURITY.name
        asyncio.run(appoint_security_admin(database, city.user_ids[security], security))
        loader.institutions()
        loader.entries()
    finally:
        _remember(stack.home, memory)
    return city


def _accounts(city: City) -> None:
    print("\n演示账号 / demo accounts（口令仅用于本机演示）：")
    for account in people.ACCOUNTS:
        print(f"  {account.name:<18} {city.passwords[account.name]:<18} {account.display}")
    print(f"\n站点 / site: {city.site}    停止 / stop: govopen down")


def run(home: Home, port: int | None, once: bool, target: Path | None) -> int:
    """Exit status 0 when every step held. ``once`` stops everything afterwards."""
    record = Record()
    was_running = find(home) is not None
    try:
        stack = _start(home, port)
        record.facts["site"] = stack.site_url
        memory = _memory(home)
        with record.step("启动平台并装载演示城市") as step:
            city = _load(stack, memory)
            step.by(SYSADMIN, *(account.name for account in people.PUBLISHERS))
            step.see(stack.site_url, "首页")
            step.figure("catalogue_entries", len(city.resources))
        if record.held:
            play(city, record, stack, sign_in)
            _accounts(city)
    except StackError as error:
        print(f"{error.zh}\n{error.en}\n{error.next_zh} {error.next_en}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n已中断 / interrupted", file=sys.stderr)
        once = once or not was_running
        return 130
    finally:
        if target:
            record.write(target)
        if once:
            down(home)
    print(f"\n{'全部步骤成立 / every step held' if record.held else '有步骤未成立 / a step did not hold'}")
    return 0 if record.held else 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="govopen demo", description="演示城市与主业务 / the demo city")
    parser.add_argument("--once", action="store_true", help="完成后停止并退出 / stop everything afterwards")
    parser.add_argument("--json", type=Path, metavar="FILE", help="写出机器可读记录 / write a record of every step")
    parser.add_argument("--port", type=int, default=None)
    given = parser.parse_args(arguments)
    target = given.json.absolute() if given.json else None
    return run(Home.at(os.environ.get("GOVOPEN_HOME")), given.port, given.once, target)


if __name__ == "__main__":
    sys.exit(main())
