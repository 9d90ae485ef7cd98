"""The jars of Solr in a cache folder of the user's: fetched once by Maven, whose settings say from where."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
FETCH_S = 900
OLDEST_JAVA = 11


class Unavailable(Exception):
    """The peer cannot run here; the text says why."""


def version() -> str:
    """Solr's version, as the list of jars names it."""
    found = re.search(r"<solr\.version>([^<]+)<", POM.read_text(encoding="utf-8"))
    return found[1] if found else ""


def cache() -> Path:
    """Where the jars of this version are kept: below ``GOVOPEN_CACHE``, else the user's cache folder."""
    base = os.environ.get("GOVOPEN_CACHE") or os.environ.get("XDG_CACHE_HOME")
    folder = Path(base).expanduser() if base else Path.home() / ".cache"
    return folder / "govopen" / f"solr-{version()}"


def java_problem() -> str | None:
    """Why Java cannot run the peer, or None."""
    if shutil.which("java") is None:
        return "java is not installed"
    shown = subprocess.run(["java", "--list-modules"], capture_output=True, text=True, check=False).stdout
    modules = dict(line.partition("@")[::2] for line in shown.split())
    if "jdk.compiler" not in modules:
        return "this Java has no compiler (a JDK is needed)"
    number = modules["jdk.compiler"].partition(".")[0]
    return None if int(number) >= OLDEST_JAVA else f"Java {number} is too old for Solr {version()}"


def jars() -> Path:
    """The folder of jars, fetched when it is not there yet."""
    folder = cache()
    if (folder / "complete").exists():
        return folder
    if shutil.which("mvn") is None:
        raise Unavailable(f"the jars of Solr {version()} are not in {folder} and mvn is not installed to fetch them")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    command = [
        "mvn", "--quiet", "--batch-mode", "--strict-checksums", "--file", str(POM),
        "dependency:copy-dependencies", f"-DoutputDirectory={folder}", "-DincludeScope=runtime",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"mvn did not fetch the jars of Solr {version()} in {FETCH_S} s") from error
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise Unavailable(f"mvn cannot fetch the jars of Solr {version()}: {' '.join(lines)[:300]}")
    (folder / "complete").touch()
