"""CKAN's work in the background, in one process: queued jobs, scheduled jobs, the outbox of the audit log, figures.

Runs in CKAN's processes; imports nothing of ours. ``ckan jobs worker``, its scheduler and ``ckan govopen drain``
would be three copies of CKAN in memory (some 130 MB each); here they share one. A loop that ends unexpectedly ends
the process, and the supervisor starts it again; jobs and outbox rows are kept in Redis and PostgreSQL meanwhile.
"""

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from logging.config import fileConfig
from typing import Any

if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)

if "pygments" not in sys.modules:
    # Mako, which CKAN has for its migrations, would bring it along to color pages of errors: 5 MB.
    sys.modules["mako.ext.pygmentplugin"] = None  # type: ignore[assignment]

from ckan import model
from ckan.cli import CKANConfigLoader
from ckan.config.middleware import make_app
from ckan.lib import jobs
from ckan.plugins import plugin_loaded
from rq.scheduler import RQScheduler
from rq.worker import SimpleWorker

log = logging.getLogger("govopen.background")
PAUSE_S, PAUSE_S_MAX = 1.0, 30.0


class Worker(jobs.Worker):
    """CKAN's worker without a fork per job: a job that kills the process costs a restart, no other job."""

    def execute_job(self, job: Any, queue: Any) -> None:
        SimpleWorker.execute_job(self, job, queue)


def schedule() -> None:
    """Hand jobs over to their queue when their time has come."""
    scheduler = RQScheduler([jobs.get_queue()], connection=jobs.get_queue().connection)
    while True:
        if scheduler.should_reacquire_locks:
            scheduler.acquire_locks()
        if scheduler.acquired_locks:
            scheduler.enqueue_scheduled_jobs()
            scheduler.heartbeat()
        time.sleep(1)


def drain() -> None:
    """Hand the changes made in CKAN over to the audit log within a second; wait longer while it is away."""
    from ckanext.govopen import outbox

    pause = PAUSE_S
    while True:
        try:
            while outbox.drain() == outbox.BATCH:
                pass
            pause = PAUSE_S
        except Exception as problem:
            pause = min(pause * 2, PAUSE_S_MAX)
            model.Session.rollback()
            log.warning("the outbox waits: %s: %s", type(problem).__name__, problem)
        finally:
            model.Session.remove()
        time.sleep(pause)


def count() -> None:
    """Keep the figures of datasets (rows, downloads) and tell the search index; what failed is tried again."""
    from ckanext.govopen import recount

    rounds, pause = recount.follow(), PAUSE_S
    while True:
        try:
            wait_s = next(rounds)
            let_go()
            time.sleep(wait_s)
            pause = PAUSE_S
        except Exception as problem:
            rounds, pause = recount.follow(), min(pause * 2, PAUSE_S_MAX)
            model.Session.rollback()
            log.warning("figures wait: %s: %s", type(problem).__name__, problem)
            time.sleep(pause)
        finally:
            model.Session.remove()


def follow(app: Any, loop: Callable[[], None]) -> None:
    """Run a loop in a thread; if it ever ends, the process does too."""

    def run() -> None:
        try:
            with app.app_context():
                loop()
        except BaseException:
            log.exception("%s ended", loop.__name__)
        os._exit(1)

    threading.Thread(target=run, name=loop.__name__, daemon=True).start()


def let_go() -> None:
    """Close the connections that the start or a round of counting needed. Each costs some 20 MB; the drain uses one."""
    model.meta.engine.dispose()
    postgres = sys.modules.get("ckanext.datastore.backend.postgres")
    for engine in postgres._engines.values() if postgres else ():
        engine.dispose()


def main() -> None:
    ini = os.environ["CKAN_INI"]
    fileConfig(ini, disable_existing_loggers=False)
    app = make_app(CKANConfigLoader(ini).get_config())._wsgi_app
    let_go()
    follow(app, schedule)
    if plugin_loaded("govopen"):
        follow(app, drain)
        follow(app, count)
    with app.app_context():
        Worker().work()


if __name__ == "__main__":
    main()
