"""How many of CKAN's tests that judge a search engine pass with the search service: x of those in ``judging.txt``.

    python tests/search_ckan/score.py              score the service
    python tests/search_ckan/score.py --find       make judging.txt anew: what fails against an index that finds nothing

The code is the installed CKAN's. What its wheel leaves out (tests' data, templates, styles) comes from its repository:
the folder ``GOVOPEN_CKAN_SOURCE`` or a clone of ``ckan-2.12.0`` in the user's cache, with its own configuration of
tests; only the addresses of PostgreSQL, Redis and the index are ours. Exit code 1 when a test fails that
``missed.txt`` gives no reason for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from importlib.metadata import distribution
from pathlib import Path

from run import HERE, environment, services

JUDGING, MISSED = HERE / "judging.txt", HERE / "missed.txt"
TAG, REPOSITORY = "ckan-2.12.0", "https://github.com/ckan/ckan.git"
FILES = (
    "ckan/tests/logic/action/test_get.py", "ckan/tests/logic/action/test_create.py",
    "ckan/tests/logic/action/test_delete.py", "ckan/tests/logic/action/test_patch.py",
    "ckan/tests/logic/action/test_init.py", "ckan/tests/lib/dictization/test_model_dictize.py",
    "ckan/tests/lib/search/test_index.py", "ckan/tests/lib/search/test_query.py",
    "ckan/tests/lib/search/test_search.py", "ckan/tests/cli/test_search_index.py", "ckan/tests/cli/test_db.py",
    "ckan/tests/controllers/test_package.py", "ckan/tests/controllers/test_feed.py",
    "ckan/tests/controllers/test_admin.py", "ckan/tests/controllers/test_api.py",
    "ckan/tests/controllers/test_organization.py", "ckan/tests/controllers/test_group.py",
    "ckan/tests/controllers/test_pagination.py", "ckan/tests/controllers/test_user.py",
    "ckanext/example_ipermissionlabels", "ckanext/example_idatasetform", "ckanext/example_igroupform",
    "ckanext/multilingual",
)
"""The files that hold them: nothing else in CKAN's suite fails against an index that finds nothing."""
CONFIGURATION = """[app:main]
use = config:{root}/test-core.ini
sqlalchemy.url = {database}
ckan.datastore.write_url = {datastore}
ckan.datastore.read_url = {datastore}
ckan.redis.url = {redis}
solr_url = {solr}
solr_user = ckan
solr_password = {solr_password}
ckan.storage_path = {folder}/storage
"""
NAME_SPACE = """import ckanext
ckanext.__path__ = ["{root}/ckanext", *ckanext.__path__]
"""
"""The name space of extensions has CKAN's own first, whatever else is installed."""
PYTEST = """[pytest]
filterwarnings =
    ignore
markers =
    ckan_config: configuration of a test
    provide_plugin: a plugin made in the test
    with_plugins: plugins of the test
"""


def source() -> Path:
    """CKAN's repository."""
    given = os.environ.get("GOVOPEN_CKAN_SOURCE")
    if given:
        return Path(given).resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "govopen" / TAG
    if not (cache / "test-core.ini").exists():
        print(f"git clone {REPOSITORY} {TAG} …", flush=True)
        shutil.rmtree(cache, ignore_errors=True)
        cache.parent.mkdir(parents=True, exist_ok=True)
        clone = ["git", "clone", "--quiet", "--depth", "1", "--branch", TAG, REPOSITORY, str(cache)]
        if subprocess.run(clone, check=False).returncode:
            raise SystemExit(f"{REPOSITORY} cannot be reached: set GOVOPEN_CKAN_SOURCE to a copy of {TAG}")
    return cache


def lay_out(root: Path) -> None:
    """CKAN whole: what is installed, and beside it what only the repository has."""
    repository, installed = source(), distribution("ckan")
    for file in installed.files or ():
        if file.parts[0] in ("ckan", "ckanext") and file.suffix != ".pyc":
            _link(Path(str(installed.locate_file(file))), root / file)
    for top in ("ckan", "ckanext"):
        for path in (repository / top).rglob("*"):
            if path.is_file():
                _link(path, root / path.relative_to(repository))
    shutil.copy(repository / "test-core.ini", root / "test-core.ini")


def _link(path: Path, place: Path) -> None:
    if not place.exists() and path.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(path)


def listed(path: Path) -> dict[str, str]:
    """Test id to what is said of it, from lines ``id  # words``."""
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, words = line.partition("  # ")
        if name.strip() and not name.startswith("#"):
            found[name.strip()] = words.strip()
    return found


def run(tests: list[str], command: list[str] | None, log: Path) -> dict[str, tuple[str, str]]:
    """Run tests of CKAN's repository; test id to outcome and the first line of the error."""
    folder = Path(tempfile.mkdtemp(prefix="govopen-search-score-"))
    root = folder / "whole"
    try:
        lay_out(root)
        with services(folder, command) as values:
            ini, report = folder / "test.ini", folder / "report.xml"
            safe = {name: value.replace("%", "%%") for name, value in values.items()}
            ini.write_text(CONFIGURATION.format(root=root, **safe), encoding="utf-8")
            (folder / "pytest.ini").write_text(PYTEST, encoding="utf-8")
            (folder / "sitecustomize.py").write_text(NAME_SPACE.format(root=root), encoding="utf-8")
            env = {**environment(), "PYTHONPATH": f"{folder}{os.pathsep}{root}"}
            with_activity = folder / "activity.ini"
            with_activity.write_text(f"{ini.read_text(encoding='utf-8')}ckan.plugins = activity\n", encoding="utf-8")
            for one, rest in ((ini, ["db", "init"]), (with_activity, ["db", "upgrade", "-p", "activity"])):
                ckan = [sys.executable, "-c", "from ckan.cli.cli import ckan; ckan()", "-c", str(one)]
                subprocess.run([*ckan, *rest], env=env, cwd=root, check=True, stdout=subprocess.DEVNULL)
            chosen = folder / "tests.txt"
            chosen.write_text("\n".join(tests), encoding="utf-8")
            with log.open("w", encoding="utf-8") as output:
                subprocess.run(
                    [
                        sys.executable, "-m", "pytest", "-q", f"@{chosen}", "-c", str(folder / "pytest.ini"),
                        f"--rootdir={root}", f"--ckan-ini={ini}", f"--junit-xml={report}", "-o", "junit_family=xunit1",
                        "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=short", "-rf",
                    ],
                    env=env, cwd=root, check=False, stdout=output, stderr=subprocess.STDOUT,
                )
            if not report.exists():
                raise SystemExit(f"pytest did not run: see {log}")
            return _outcomes(report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _outcomes(report: Path) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - written by our own pytest run
        path = str(case.get("file", ""))
        group = str(case.get("classname", "")).partition(Path(path).stem)[2].lstrip(".")
        name = "::".join(filter(None, [path, group, case.get("name")]))
        problem = next((part for kind in ("failure", "error") if (part := case.find(kind)) is not None), None)
        if problem is not None:
            words = (problem.get("message") or "").strip().splitlines()
            found[name] = ("failed", words[0][:160] if words else "")
        elif found.get(name, ("", ""))[0] != "failed":
            found[name] = ("skipped" if case.find("skipped") is not None else "passed", "")
    return found


def find(log: Path) -> int:
    """Write down what fails against an index that finds nothing and passes with one that finds."""
    port_free = [sys.executable, str(HERE / "empty_index.py")]
    begun = time.monotonic()
    outcomes = run(list(FILES), port_free, log)
    failed = sorted(name for name, (outcome, _) in outcomes.items() if outcome == "failed")
    head = (
        f"# CKAN's tests that fail against an index that finds nothing (empty_index.py): {len(failed)} of the\n"
        f"# {len(outcomes)} in the files that score.py names. Made by: python tests/search_ckan/score.py --find\n"
    )
    JUDGING.write_text(head + "\n".join(failed) + "\n", encoding="utf-8")
    print(f"{len(failed)} of {len(outcomes)} judge the index; {time.monotonic() - begun:.0f} s")
    return 0


def score(log: Path) -> int:
    judging, missed = listed(JUDGING), listed(MISSED)
    begun = time.monotonic()
    outcomes = run(list(judging), None, log)
    passed = [name for name in judging if outcomes.get(name, ("", ""))[0] == "passed"]
    unknown = 0
    for name in judging:
        outcome, words = outcomes.get(name, ("not found", ""))
        if outcome != "passed":
            reason = missed.get(name)
            unknown += reason is None
            print(f"MISSED {name}: {reason or f'NO REASON GIVEN ({outcome}: {words})'}")
    for name in sorted(missed.keys() & set(passed)):
        print(f"{name} passes: take it out of {MISSED.name}")
        unknown += 1
    print(f"score: {len(passed)} of {len(judging)} in {time.monotonic() - begun:.0f} s; log: {log}")
    return int(bool(unknown))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--find", action="store_true", help="make judging.txt anew")
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / "govopen-search-score.log")
    given = parser.parse_args(arguments)
    return find(given.log) if given.find else score(given.log)


if __name__ == "__main__":
    sys.exit(main())
