"""PostgreSQL servers of one machine, each with its own data and port, made for a measurement and removed after it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg2

from ops.stack import postgres
from ops.stack.process import wait_until
from ops.stack.testing import free_port

VARIABLE = "GOVOPEN_CITUS_BIN"
DATABASE = "govopen"
START_S, STOP_S = 60, 60
SETTINGS = {
    "max_prepared_transactions": "300",  # one for every transaction that may wait for its second phase
    "wal_level": "logical",  # shards move by logical replication
    "max_worker_processes": "24",
    "max_logical_replication_workers": "8",
    "max_connections": "300",
    "idle_in_transaction_session_timeout": "0",
}
"""What differs from the stack's settings, on every server alike, with Citus or without."""
CITUS = {
    "shared_preload_libraries": "citus",
    "citus.node_conninfo": "sslmode=disable",
    "citus.enable_statistics_collection": "off",
    "citus.local_hostname": "127.0.0.1",
    "citus.override_table_visibility": "off",
}
"""The last one spares every look into the catalog a search for shards to hide; a driver looks there for types."""


class Missing(RuntimeError):
    """There are no programs to run."""


def programs() -> Path:
    """The folder of the programs of a PostgreSQL into which Citus has been installed. Raises Missing."""
    given = os.environ.get(VARIABLE, "")
    if not given:
        raise Missing(
            f"请将 {VARIABLE} 设为已装入 Citus 的 PostgreSQL 的 bin 目录 /"
            f" set {VARIABLE} to the bin folder of a PostgreSQL into which Citus has been installed"
        )
    folder = Path(given)
    for name in ("postgres", "initdb", "pg_config"):
        if not (folder / name).is_file():
            raise Missing(f"{folder} 中没有 {name} / there is no {name} in {folder}")
    library = Path(_output(folder / "pg_config", "--pkglibdir"), "citus.so")
    if not library.is_file():
        raise Missing(f"该 PostgreSQL 未装入 Citus / Citus is not installed into this PostgreSQL: {library}")
    return folder


def _output(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Node:
    """One server. ``citus`` tells whether the library is loaded; the settings are the same otherwise."""

    name: str
    folder: Path
    bin: Path
    citus: bool
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{postgres.SUPERUSER}@127.0.0.1:{self.port}/{DATABASE}"

    def make(self) -> None:
        """A cluster and an empty database, with the extension where there is to be one."""
        self.folder.mkdir()
        account = postgres.unprivileged()
        if account:
            os.chown(self.folder, *account)
        self._run("initdb", "-D", str(self.folder), "-U", postgres.SUPERUSER, "-E", "UTF8", "--lc-collate=C",
                  "--lc-ctype=C.UTF-8", "--lc-messages=C", "--auth=trust", "--data-checksums", "--no-instructions")
        self.start()
        self.ask(f"CREATE DATABASE {DATABASE}", database="postgres")
        if self.citus:
            self.ask("CREATE EXTENSION citus")

    def _run(self, program: str, *arguments: str) -> None:
        account = postgres.unprivileged()
        subprocess.run(
            [str(self.bin / program), *arguments], check=True, capture_output=True, cwd="/",
            user=account[0] if account else None, group=account[1] if account else None,
            extra_groups=[] if account else None,
        )

    def start(self) -> None:
        """Run the server until it answers, after a crash too."""
        settings = {**postgres.SETTINGS, **SETTINGS, "port": str(self.port), "unix_socket_directories": ""}
        if int((self.folder / "PG_VERSION").read_text(encoding="ascii")) >= 18:
            settings |= postgres.SETTINGS_SINCE_18
        if self.citus:
            settings |= CITUS
        account = postgres.unprivileged()
        with (self.folder.parent / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.folder), *(f"--{k}={v}" for k, v in settings.items())],
                stdout=log, stderr=log, cwd="/", start_new_session=True,
                user=account[0] if account else None, group=account[1] if account else None,
                extra_groups=[] if account else None,
            )
        if not wait_until(self._answers, START_S):
            raise RuntimeError(f"{self.name} does not answer, see {self.folder.parent / self.name}.log")

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.url.rsplit("/", 1)[0] + "/postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """End every process of the server at once, as a lost machine would; ``start`` brings it back."""
        if self.process is None:
            return
        victims = [self.process.pid, *(one.pid for one in psutil.Process(self.process.pid).children())]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        wait_until(lambda: not any(_runs(pid) for pid in victims), STOP_S)
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(STOP_S)
            self.process = None

    def cpu_s(self) -> float:
        """Processor seconds of all of its processes so far, those that have ended included."""
        if self.process is None:
            raise RuntimeError(f"{self.name} does not run")
        server = psutil.Process(self.process.pid)
        spent = server.cpu_times()
        total: float = spent.user + spent.system + spent.children_user + spent.children_system
        for one in server.children():
            try:
                own = one.cpu_times()
            except psutil.Error:
                continue
            total += own.user + own.system
        return total

    def ask(self, sql: str, *parameters: object, database: str = DATABASE) -> list[tuple[object, ...]]:
        """Run one statement outside of a transaction; its rows, if it has any."""
        connection = psycopg2.connect(self.url.rsplit("/", 1)[0] + f"/{database}")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


class Cluster:
    """A coordinator and workers. With no worker the coordinator holds the shards itself, else it holds none."""

    def __init__(self, folder: Path, binaries: Path, *, citus: bool = True) -> None:
        self._folder, self._bin, self._citus = folder, binaries, citus
        self.coordinator = Node("coordinator", folder / "coordinator", binaries, citus)
        self.workers: list[Node] = []

    @property
    def nodes(self) -> list[Node]:
        return [self.coordinator, *self.workers]

    def make(self, workers: int) -> None:
        self.coordinator.make()
        if not self._citus:
            return
        self.coordinator.ask(f"SELECT citus_set_coordinator_host('127.0.0.1', {self.coordinator.port})")
        for _ in range(workers):
            self.add_worker()
        if not workers:
            self.hold_shards(True)

    def add_worker(self) -> Node:
        name = f"worker-{len(self.workers) + 1}"
        node = Node(name, self._folder / name, self._bin, True)
        node.make()
        self.workers.append(node)
        self.coordinator.ask(f"SELECT citus_add_node('127.0.0.1', {node.port})")
        return node

    def hold_shards(self, holds: bool) -> None:
        """Whether the coordinator may hold shards."""
        self.coordinator.ask(
            f"SELECT citus_set_node_property('127.0.0.1', {self.coordinator.port}, 'shouldhaveshards', {holds})"
        )

    def cpu_s(self) -> list[float]:
        return [node.cpu_s() for node in self.nodes]


@contextmanager
def cluster(workers: int, *, citus: bool = True) -> Iterator[Cluster]:
    """A running cluster in a folder of its own, gone afterwards. Raises Missing."""
    binaries = programs()
    folder = Path(tempfile.mkdtemp(prefix="govopen-citus-"))
    account = postgres.unprivileged()
    if account:
        os.chown(folder, *account)
        postgres.let_through(binaries)
    made = Cluster(folder, binaries, citus=citus)
    try:
        made.make(workers)
        yield made
    finally:
        for node in reversed(made.nodes):
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)
