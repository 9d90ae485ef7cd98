"""A Solr node with one core ``ckan``: CKAN's own schema, a small configuration of ours, on loopback only."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from ops.bench.peers.solr.jars import HERE, Unavailable, jars, java_problem, version

CORE = "ckan"
START_S = 180.0
STOP_S = 30.0
HEAP = "1g"


def available() -> str | None:
    """Why the peer cannot run here, or None. Fetches the jars when they are not in the cache."""
    problem = java_problem()
    if problem is not None:
        return problem
    try:
        schema()
        jars()
    except Unavailable as reason:
        return str(reason)
    return None


def schema() -> Path:
    """CKAN's schema, from its installed wheel."""
    spec = importlib.util.find_spec("ckan")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "config" / "solr" / "schema.xml"
        if path.is_file():
            return path
    raise Unavailable("CKAN, whose schema the peer uses, is not installed")


def address(port: int) -> str:
    """What CKAN would have as ``solr_url``."""
    return f"http://127.0.0.1:{port}/solr/{CORE}"


def start(home: Path, port: int, heap: str = HEAP) -> str:
    """Start a node in the background and wait until it answers; its address. Raises ``Unavailable``."""
    problem = available()
    if problem is not None:
        raise Unavailable(problem)
    stop(home)
    _lay_out(home)
    classes = f"{jars()}/*"
    command = [
        "java", f"-Xms{heap}", f"-Xmx{heap}", "-Djava.awt.headless=true", "-Duser.timezone=UTC",
        f"-Dlog4j2.configurationFile={home}/log4j2.xml", "-Dsolr.log.muteconsole=", "-cp", classes,
        str(HERE / "SolrPeer.java"), str(home), str(port),
    ]
    with (home / "node.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (home / "node.pid").write_text(f"{process.pid} {psutil.Process(process.pid).create_time()}", encoding="ascii")
    url = address(port)
    deadline = time.monotonic() + START_S
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(home)
            tail = (home / "node.log").read_text(encoding="utf-8", errors="replace")[-600:]
            raise Unavailable(f"Solr {version()} did not start: {tail}")
        time.sleep(0.1)
    return url


def stop(home: Path) -> None:
    """End the node that was started on this folder; nothing when there is none."""
    process = running(home)
    if process is not None:
        process.send_signal(signal.SIGTERM)
        if not _gone(process, STOP_S):
            process.kill()
            _gone(process, STOP_S)
    (home / "node.pid").unlink(missing_ok=True)


def _gone(process: psutil.Process, seconds: float) -> bool:
    """Wait for the end of a process, which may be a child of this one or of another."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(0.2)
            return True
        if not process.is_running() or _ended(process):
            return True
    return False


def _ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def running(home: Path) -> psutil.Process | None:
    """The node's process, for its memory and its end."""
    try:
        pid, created = (home / "node.pid").read_text(encoding="ascii").split()
        process = psutil.Process(int(pid))
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None
    return process if abs(process.create_time() - float(created)) < 1 and not _ended(process) else None


def _lay_out(home: Path) -> None:
    conf = home / CORE / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / "solr.xml", home / "solr.xml")
    shutil.copyfile(HERE / "log4j2.xml", home / "log4j2.xml")
    shutil.copyfile(HERE / "solrconfig.xml", conf / "solrconfig.xml")
    shutil.copyfile(schema(), conf / "schema.xml")
    for name in ("synonyms.txt", "protwords.txt"):
        (conf / name).write_text("", encoding="utf-8")
    (home / CORE / "core.properties").write_text(f"name={CORE}\n", encoding="ascii")
    os.chmod(home, 0o700)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/select?q=*:*&rows=0", timeout=5) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
