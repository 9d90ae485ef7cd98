"""Home, ports, front, doctor and the command line, without a running stack."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.cli.main import main
from ops.stack import StackError, ckan_ini, front, postgres, up
from ops.stack.doctor import examine
from ops.stack.home import PORT_NAMES, Home, choose_ports
from ops.stack.parts import Plan, base_env, build, ckan_env
from ops.stack.process import is_alive

PORTS = dict(zip(PORT_NAMES, range(21000, 21000 + len(PORT_NAMES)), strict=True))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "city")
    made.prepare()
    return made


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_secrets_are_made_once_and_are_private(home: Home) -> None:
    password, key = home.secret("ckan"), home.token_private_key.read_bytes()
    home.prepare()
    assert home.secret("ckan") == password
    assert home.token_private_key.read_bytes() == key
    assert stat.S_IMODE(home.secrets_folder.stat().st_mode) == 0o700
    for file in home.secrets_folder.iterdir():
        if not file.name.endswith("public.pem"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_server_has_a_socket_beside_its_data_where_there_can_be_one(home: Home) -> None:
    deep = Home(home.path / ("x" * 100))
    deep.prepare()
    short = len(str(home.postgres / ".s.PGSQL.21000")) <= postgres.SOCKET_PATH_MAX
    for place, there in ((home, short), (deep, False)):
        folder = postgres.socket_folder(place, 21000)
        assert folder == (place.postgres if there else None)
        told = f"--unix_socket_directories={folder or ''}"
        assert told in postgres.command(place, 21000)
        at = f"@/govopen?host={folder}&port=21000" if there else "@127.0.0.1:21000/govopen"
        assert postgres.url_within(place, 21000, "govopen", "govopen").endswith(at)
    assert list(home.path.glob(".socket")) == []


def test_ports_are_kept_and_a_taken_one_is_replaced() -> None:
    first = choose_ports({})
    assert len(set(first.values())) == len(PORT_NAMES)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", first["ckan"]))
        holder.listen()
        second = choose_ports(first)
    assert second["ckan"] != first["ckan"]
    assert {n: p for n, p in second.items() if n != "ckan"} == {n: p for n, p in first.items() if n != "ckan"}


def test_the_front_reads_its_configuration(home: Home) -> None:
    home.caddyfile.write_text(front.caddyfile(home, "127.0.0.1", 8600, PORTS), encoding="utf-8")
    caddy = Path(sys.executable).parent / "caddy"
    checked = subprocess.run(
        [caddy, "validate", "--config", home.caddyfile, "--adapter", "caddyfile"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def test_operators_lines_win_in_ckans_ini(home: Home) -> None:
    home.ckan_local_ini.write_text("# ours\nckan.site_title = 某市 100%\n", encoding="utf-8")
    ckan_ini.write(home, "http://127.0.0.1:8600", 8600, PORTS)
    text = home.ckan_ini.read_text(encoding="utf-8")
    assert "ckan.site_title = 某市 100%%\n" in text
    assert stat.S_IMODE(home.ckan_ini.stat().st_mode) == 0o600


def test_ckan_is_told_nothing_of_the_services_database(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOVOPEN_STRIPE_KEY", "sk_live_x")
    monkeypatch.setenv("SOME_TOKEN", "x")
    plan = Plan(home, 8600, PORTS, "http://127.0.0.1:8600")
    ckan_ini.write(home, plan.site_url, plan.port, PORTS)
    told = json.dumps(ckan_env(plan, "ckan")) + home.ckan_ini.read_text(encoding="utf-8")
    assert home.secret("govopen") not in told
    assert "sk_live_x" not in told
    assert "SOME_TOKEN" not in base_env(home, "service")


def test_every_part_names_what_it_needs(home: Home) -> None:
    parts = {part.name: part for part in build(Plan(home, 8600, PORTS, "http://127.0.0.1:8600", keeper=True))}
    assert {"postgres", "redis", "ckan", "ckan-background", "service", "worker", "front", "keeper"} <= set(parts)
    assert "govopen" not in {word for word in parts["postgres"].command if "secret" in word}


def test_a_stack_needs_its_port(home: Home, taken_port: int) -> None:
    with pytest.raises(StackError) as refused:
        up(home, taken_port)
    assert refused.value.code == "port_taken"
    assert f"pid {os.getpid()}" in refused.value.zh
    assert "GOVOPEN_PORT" in refused.value.next_zh


def test_doctor_says_who_has_the_port(home: Home, taken_port: int) -> None:
    found = {finding.code: finding for finding in examine(home, taken_port)}
    assert found["port_taken"].level == "wrong"
    assert f"pid {os.getpid()}" in found["port_taken"].zh
    assert "GOVOPEN_PORT" in found["port_taken"].next_en


def test_a_cluster_stays_with_the_release_that_made_it(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    newest = postgres.release(home)
    assert newest == postgres.release() == max(postgres.RELEASES)
    assert any("io_method" in word for word in postgres.command(home, 5432))
    home.prepare()
    home.postgres.mkdir()
    (home.postgres / "PG_VERSION").write_text("16\n", encoding="ascii")
    assert postgres.release(home) == 16
    command = postgres.command(home, 5432)
    assert command[0] != str(postgres.binaries() / "postgres")
    assert not any("io_method" in word for word in command)  # an older server would not start with it



@pytest.mark.parametrize(
    ("options", "prefix", "is_quick"),
    [
        ("'--enable-optimizations' '--with-lto'", "/usr/local", True),
        ("'--enable-shared'", "/usr", True),
        (None, "C:\\Python", True),
        ("'--enable-shared'", "/home/anna/.pyenv/versions/3.11.7", False),
        ("", "/usr/local", False),
    ],
    ids=["says so", "a distribution's", "nothing is told", "pyenv's", "built by hand"],
)
def test_doctor_warns_of_a_python_that_was_built_without_optimizations(
    home: Home, monkeypatch: pytest.MonkeyPatch, options: str | None, prefix: str, *, is_quick: bool
) -> None:
    monkeypatch.setattr("sysconfig.get_config_var", {"CONFIG_ARGS": options}.get)
    monkeypatch.setattr("sys.base_prefix", prefix)
    found = {finding.code: finding for finding in examine(home)}
    if is_quick:
        assert "python_slow" not in found
    else:
        assert found["python_slow"].level == "warning"
        assert "make install" in found["python_slow"].next_en


def test_doctor_names_a_crash_and_a_failed_start(home: Home) -> None:
    home.postgres.mkdir()
    (home.postgres / "postmaster.pid").write_text("999999\n", encoding="ascii")
    home.write_state({"state": "failed", "error": {"part": "ckan", "reason": "boom"}, "parts": {}})
    found = {finding.code: finding for finding in examine(home)}
    assert found["stale_pid"].level == "warning"
    assert "ckan" in found["start_failed"].zh


def test_doctor_names_a_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="ascii")
    assert "home_unwritable" in {finding.code for finding in examine(Home(tmp_path / "file" / "city"))}


def test_a_lock_file_of_a_server_that_is_gone_is_removed(home: Home) -> None:
    home.postgres.mkdir()
    lock = home.postgres / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n", encoding="ascii")  # the number belongs to another program now
    postgres.clear_stale(home)
    assert not lock.exists()
    assert is_alive(os.getpid(), None)


def test_the_command_line_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOVOPEN_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main(["status"]) == 3
    assert "没有在运行" in capsys.readouterr().out
    assert main(["down"]) == 0
    assert main(["db", "upgrade"]) == 1
    assert "govopen up" in capsys.readouterr().err
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    assert main(["status"]) == 3
    assert "Not running" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["up", "--port", "notaport"])
    assert main(["bench", "nosuch"]) == 2
