"""All tests: the service's run without CKAN's pytest plugins, then the runs inside CKAN with them.

``python -m ops.stack.testrun [--slow] [PATHS and options of pytest]``. Ends with each run's closing line and what
failed in it; fails when one of them fails. Where there are two cores, the service's run goes beside the others, each
line under the name of its run; ``GOVOPEN_TEST_LANES=1`` makes one after the other.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
ELSEWHERE = ("tests/ckanext", "tests/search_ckan", "tests/pages")
"""Folders with a process of their own: CKAN's plugins, CKAN's own tests, a browser whose event loop stays open."""
NOTHING_COLLECTED = 5
FAILED = re.compile(r"^(?:FAILED|ERROR) \S+::.*$")
CLOSING = re.compile(r"^=*\s*(.*\b(?:passed|failed|errors?|skipped|deselected|no tests ran)\b.* in [\d.]+s.*?)\s*=*$")


@dataclass(frozen=True)
class Result:
    """How a run ended: pytest's exit code, its closing line, its lines for tests that failed."""

    code: int
    closing: str
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One pytest process: what it is called, how it is started, and the folders it covers."""

    title: str
    command: list[str]
    folders: tuple[str, ...]
    whole: bool = False
    """Not pytest itself: started without markers, paths and options, for all of its folder or not at all."""


def runs() -> list[Run]:
    """The runs, in the order in which they are made."""
    pytest = [sys.executable, "-m", "pytest"]
    testenv = [sys.executable, "-m", "ops.stack.testenv"]
    outside = tuple(
        str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").iterdir())
        if (path.is_dir() or path.name.startswith("test_")) and not path.name.startswith(("_", "."))
        and str(path.relative_to(ROOT)) not in ELSEWHERE
    )
    without_ckan = [*pytest, "-p", "no:ckan", "-p", "no:ckan_fixtures"]
    found = [Run("service", without_ckan, outside), Run("pages", without_ckan, ("tests/pages",))]
    inside = [*pytest, "--ckan-ini={ini}"]
    chinese = ["--set", "ckan.locale_default=zh_Hans_CN", "--set", "ckan.locales_offered=zh_Hans_CN en"]
    found.append(Run("extension", [*testenv, *chinese, "--", *inside], ("tests/ckanext",)))
    judge = [sys.executable, str(ROOT / "tests" / "search_ckan" / "run.py")]
    found.append(Run("CKAN's own search tests", judge, ("tests/search_ckan",), whole=True))
    return found


def main(argv: list[str] | None = None) -> int:
    given = list(sys.argv[1:] if argv is None else argv)
    slow = "--slow" in given
    given = [word for word in given if word != "--slow"]
    wanted = [word for word in given if not word.startswith("-") and (ROOT / word.split("::")[0]).exists()]
    options = [word for word in given if word not in wanted]
    chosen: list[tuple[Run, list[str]]] = []
    for run in runs():
        paths = [word for word in wanted if _covers(run, word)] if wanted else list(run.folders)
        if not paths or (run.whole and slow):
            continue
        chosen.append((run, [] if run.whole else ["-m", "slow" if slow else "not slow", *paths, *options]))
    results: dict[str, Result] = {}
    begun = time.monotonic()
    lanes = _lanes(chosen)

    def drive(lane: list[tuple[Run, list[str]]]) -> None:
        for run, marked in lane:
            title = run.title if len(lanes) > 1 else ""
            print(f"\n── {run.title} ──", flush=True)
            result = _execute([*run.command, *marked], title)
            nothing = result.code == NOTHING_COLLECTED and bool(options or slow)
            results[run.title] = replace(result, code=0) if nothing else result

    threads = [threading.Thread(target=drive, args=(lane,)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"\n── {time.monotonic() - begun:.0f} s ──")
    for run, _ in chosen:
        result = results.setdefault(run.title, Result(1, "did not end"))
        print(f"{'✓' if result.code == 0 else '✗'} {run.title}: {result.closing or f'exit code {result.code}'}")
        for line in result.failed:
            print(f"    {line}")
    return int(not chosen or any(result.code for result in results.values()))


def _lanes(chosen: list[tuple[Run, list[str]]]) -> list[list[tuple[Run, list[str]]]]:
    """The first run takes as long as all others together, so it goes beside them where there is a core for it."""
    wished = int(os.environ.get("GOVOPEN_TEST_LANES", "2"))
    if min(wished, os.cpu_count() or 1) < 2 or len(chosen) < 2:
        return [chosen] if chosen else []
    return [chosen[:1], chosen[1:]]


def _covers(run: Run, word: str) -> bool:
    path = word.split("::")[0].rstrip("/")
    return any(path == folder or path.startswith(f"{folder}/") for folder in run.folders) or path == "tests"


def _execute(command: list[str], title: str) -> Result:
    """Run pytest, pass its output on as it comes (under a title, if any), and pick out how it ended."""
    closing = ""
    failed: list[str] = []
    before = f"{title} │ " if title else ""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None  # noqa: S101 (asked for above)
        for line in process.stdout:
            sys.stdout.write(before + line)
            sys.stdout.flush()
            if found := CLOSING.match(line.strip()):
                closing = found[1].strip()
            elif FAILED.match(line):
                failed.append(line.rstrip())
    return Result(process.returncode, closing, tuple(failed))


if __name__ == "__main__":
    sys.exit(main())
