"""The supervisor's process: ``python -m ops.stack.main`` with GOVOPEN_STACK naming the home."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sys
import time
from logging.handlers import RotatingFileHandler
from typing import IO

from ops.stack import ckan_ini, front
from ops.stack.home import Home, choose_ports
from ops.stack.parts import Plan, build
from ops.stack.process import MARK, OVERSEERS, end, part_of, remains
from ops.stack.supervisor import StartFailed, Supervisor

EXIT_FAILED = 1
EXIT_RUNNING = 3


def lock(home: Home) -> IO[str] | None:
    """Hold the home for one supervisor; None when another holds it. The kernel lets go when the holder ends."""
    file = (home.path / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def make_plan(home: Home, port: int, site_url: str, bind: str, demo: bool) -> Plan:
    remembered = home.read_state().get("ports", {})
    return Plan(
        home=home, port=port, ports=choose_ports(remembered), site_url=site_url, bind=bind, demo=demo,
        service_workers=int(os.environ.get("GOVOPEN_SERVICE_WORKERS") or 1),
        keeper=os.environ.get("GOVOPEN_KEEPER") == "1",
    )


def configure(plan: Plan) -> None:
    """Write what the parts read: CKAN's ini, the front's file."""
    ckan_ini.write(plan.home, plan.site_url, plan.port, plan.ports)
    plan.home.caddyfile.write_text(
        front.caddyfile(plan.home, plan.bind, plan.port, plan.ports), encoding="utf-8"
    )


def facts(plan: Plan) -> dict[str, object]:
    return {
        "home": str(plan.home.path), "port": plan.port, "ports": plan.ports, "site_url": plan.site_url,
        "bind": plan.bind, "demo": plan.demo, "started_at": time.time(), "start_s": None,
    }


def main() -> int:
    os.umask(0o077)
    home = Home.at(os.environ[MARK])
    home.prepare()
    held = lock(home)
    if held is None:
        return EXIT_RUNNING
    handler = RotatingFileHandler(home.logs / "supervisor.log", maxBytes=5_000_000, backupCount=3, encoding="utf-8")
    logging.basicConfig(
        level=logging.INFO, handlers=[handler], format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    end([process for process in remains(home.path, home.recorded()) if part_of(process) not in OVERSEERS])
    plan = make_plan(
        home, int(os.environ["GOVOPEN_PORT"]), os.environ["GOVOPEN_SITE_URL"], os.environ["GOVOPEN_BIND"],
        os.environ.get("GOVOPEN_DEMO") == "1",
    )
    try:
        configure(plan)
        asyncio.run(_run(plan))
    except StartFailed as failed:
        logging.getLogger("govopen.stack").error("the start failed: %s", failed)
        return EXIT_FAILED
    return 0


async def _run(plan: Plan) -> None:
    await Supervisor(plan.home, build(plan), facts(plan)).run()


if __name__ == "__main__":
    sys.exit(main())
