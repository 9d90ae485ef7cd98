"""A whole stack, seen from outside: it answers, heals, recovers, has neighbours and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest

from ops.stack import Home, Stack, down, find, postgres, up
from ops.stack.process import is_alive, remains, wait_until
from ops.stack.testing import free_port, running_stack

PATIENCE_S = 120


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack(env={"GOVOPEN_DEMO": "1"}) as running:
        yield running


@pytest.fixture(scope="module")
def other_home() -> Iterator[Home]:
    """In no folder of pytest's: a second run of pytest would make that unreachable for PostgreSQL's account."""
    home = Home(Path(tempfile.mkdtemp(prefix="govopen-other-")))
    yield home
    down(home)
    shutil.rmtree(home.path, ignore_errors=True)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=20).status_code == 200
    except httpx.HTTPError:
        return False


def govopen(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments], capture_output=True, text=True, timeout=PATIENCE_S,
        env={**os.environ, "GOVOPEN_HOME": str(home.path), "LC_ALL": "zh_CN.UTF-8"},
    )


def connect(stack: Stack, role: str, database: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(postgres.url(stack.home, stack.ports["postgres"], role, database))


def test_one_origin_serves_ckan_and_the_service(stack: Stack) -> None:
    health = httpx.get(f"{stack.site_url}/v1/health")
    assert health.json()["status"] == "ok"
    assert health.json()["demo"] is True
    assert httpx.get(f"{stack.site_url}/api/3/action/status_show").json()["success"]
    home_page = httpx.get(stack.site_url, timeout=60)
    assert home_page.status_code == 200
    assert 'lang="zh' in home_page.text
    assert home_page.headers["x-content-type-options"] == "nosniff"
    assert home_page.headers["content-encoding"] in ("gzip", "zstd")
    assert "server" not in home_page.headers


def test_a_large_body_is_refused_at_the_front(stack: Stack) -> None:
    for _ in range(20):
        answer = httpx.post(f"{stack.site_url}/v1/applications", content=b"x" * 3_000_000, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_only_the_named_roles_reach_the_services_database(stack: Stack) -> None:
    for role in ("ckan", "datastore_ro", "datastore_rw"):
        with pytest.raises(psycopg2.OperationalError):
            connect(stack, role, "govopen")
    connect(stack, "govopen", "govopen").close()
    with pytest.raises(psycopg2.OperationalError):
        connect(stack, "datastore_ro", "ckan")


def test_status_and_doctor_are_content(stack: Stack) -> None:
    status = govopen(stack.home, "status", "--json")
    assert status.returncode == 0, status.stdout
    assert json.loads(status.stdout)["state"] == "ready"
    doctor = govopen(stack.home, "doctor")
    assert doctor.returncode == 0, doctor.stdout


def test_a_ckan_command_runs_beside_the_stack(stack: Stack) -> None:
    assert "govadmin" in stack.ckan("sysadmin", "list").stdout


@pytest.mark.parametrize(
    ("part", "path"), [("service", "/v1/health"), ("ckan", "/api/3/action/status_show"), ("postgres", "/v1/health")]
)
def test_a_killed_part_is_noticed_and_started_again(stack: Stack, part: str, path: str) -> None:
    before = stack.fresh().state["parts"][part]["pid"]
    os.kill(before, signal.SIGKILL)

    def healed() -> bool:
        now = stack.fresh().state["parts"][part]
        return now["pid"] not in (before, None) and now["state"] == "ready" and answers(stack.site_url + path)

    assert wait_until(healed, PATIENCE_S, 0.2)
    assert stack.fresh().state["parts"][part]["restarts"] >= 1


def test_a_second_stack_runs_beside_it(stack: Stack, other_home: Home) -> None:
    with running_stack(other_home.path) as neighbour:
        assert set(neighbour.ports.values()).isdisjoint(stack.ports.values())
        assert neighbour.sysadmin_password != stack.sysadmin_password
        assert answers(f"{neighbour.site_url}/v1/health")
        assert answers(f"{stack.site_url}/v1/health")
    assert remains(other_home.path, other_home.recorded()) == []
    assert answers(f"{stack.site_url}/v1/health")


def test_all_killed_at_once_lose_nothing_and_down_leaves_nothing(stack: Stack) -> None:
    with contextlib.closing(connect(stack, "govopen", "govopen")) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE acknowledged (number integer PRIMARY KEY)")
            cursor.execute("INSERT INTO acknowledged SELECT generate_series(1, 1000)")
        victims = remains(stack.home.path, stack.home.recorded())
        assert len(victims) > 8
        for victim in victims:
            with contextlib.suppress(psutil.Error):
                victim.kill()
    psutil.wait_procs(victims, timeout=10)
    assert find(stack.home) is None
    assert govopen(stack.home, "status").returncode == 3

    again = up(stack.home, stack.state["port"], attached=True)
    with contextlib.closing(connect(again, "govopen", "govopen")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM acknowledged")
        assert cursor.fetchone() == (1000,)
    assert answers(f"{again.site_url}/v1/health")

    everyone = [process.pid for process in remains(again.home.path, again.home.recorded())]
    assert down(again.home) is True
    assert [pid for pid in everyone if is_alive(pid, None)] == []
    assert remains(again.home.path, again.home.recorded()) == []
    assert down(again.home) is False


def test_ctrl_c_ends_a_stack_at_a_terminal(other_home: Home, tmp_path: Path) -> None:
    home, port, shown = other_home, free_port(), tmp_path / "terminal"
    environment = {
        **os.environ, "GOVOPEN_HOME": str(home.path), "GOVOPEN_PORT": str(port), "GOVOPEN_SITE_URL": "",
        "LC_ALL": "zh_CN.UTF-8",
    }
    with shown.open("w") as out:
        terminal = subprocess.Popen([sys.executable, "-m", "ops.cli", "up"], env=environment, stdout=out)
    try:
        # What the terminal shows, not what stack.json says: the terminal reads that file a moment later.
        assert wait_until(lambda: f"127.0.0.1:{port}" in shown.read_text(), PATIENCE_S)
        pids = [process.pid for process in remains(home.path, home.recorded()) if process.pid != terminal.pid]
        terminal.send_signal(signal.SIGINT)
        assert terminal.wait(timeout=60) == 130
        assert [pid for pid in pids if is_alive(pid, None)] == []
    finally:
        terminal.kill()


def test_a_killed_supervisor_in_the_background_is_started_again(other_home: Home) -> None:
    home = other_home
    detached = up(home, free_port())
    killed = detached.pid
    assert killed
    os.kill(killed, signal.SIGKILL)
    assert wait_until(
        lambda: (found := find(home)) is not None and found.pid != killed and found.state["state"] == "ready",
        PATIENCE_S, 0.2,
    )
    assert answers(f"{detached.site_url}/v1/health")
    assert down(home) is True
    assert remains(home.path, home.recorded()) == []
