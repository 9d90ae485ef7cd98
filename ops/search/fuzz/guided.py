"""The same checks with requests that atheris (libFuzzer) chooses by which code they reach.

Run as a file in a process of its own, so that nothing of the search service is loaded before it can be watched.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
ATHERIS = "atheris==3.0.0"
SEEDS = 300
MAX_LEN = 3000


def elsewhere(minutes: float, seed: int, findings: Path, *, only_parsers: bool) -> int:
    """Run in an environment of its own that has atheris besides this one's packages."""
    base = os.environ.get("GOVOPEN_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "govopen" / f"fuzz-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    try:
        if not (folder / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", ATHERIS], check=True)
            (folder / "complete").touch()
    except subprocess.CalledProcessError as problem:
        print(f"{ATHERIS} cannot be installed ({problem}); run without --guided", file=sys.stderr)
        return 3
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    wanted = [str(minutes), str(seed), str(findings), "parsers" if only_parsers else "all"]
    return subprocess.run([str(python), "-P", __file__, *wanted], env=environment, check=False).returncode


def watched() -> tuple[Any, Any, Any]:
    """The checks and the requests, loaded so that libFuzzer sees which lines run."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["ops"]):
        properties = importlib.import_module("ops.search.fuzz.properties")
        parsers = importlib.import_module("ops.search.fuzz.parsers")
    requests = importlib.import_module("ops.search.fuzz.requests")
    return properties, parsers, requests


def main(arguments: list[str]) -> None:
    """Ends the process when the time is over; a finding ends it with libFuzzer's own code."""
    atheris = importlib.import_module("atheris")
    properties, parsers, requests = watched()
    minutes, seed, findings = float(arguments[0]), int(arguments[1]), Path(arguments[2])
    home = Path(tempfile.mkdtemp(prefix="govopen-guided-"))
    checks = None if arguments[3] == "parsers" else properties.Properties(home)
    executions = 0
    begun = time.monotonic()

    def one(data: bytes) -> None:
        nonlocal executions
        executions += 1
        request = requests.decode(data)
        try:
            if checks is None:
                parsers.check(request)
            else:
                checks.check(request, compare=executions % 2 == 0)
        except Exception:
            (findings / f"search-finding-{seed}-{executions}.json").write_text(json.dumps(request), encoding="utf-8")
            raise
        if time.monotonic() - begun > minutes * 60:
            counts = f", {checks.counts.summary()}" if checks is not None else ""
            print(f"guided: {executions} requests in {time.monotonic() - begun:.0f} s{counts}", flush=True)
            os._exit(0)

    def mutate(data: bytes, limit: int, mutation_seed: int) -> bytes:
        own = random.Random(mutation_seed)
        if own.random() < 0.5:
            return bytes(atheris.Mutate(data, limit))
        return bytes(requests.changed(data, requests.encode(requests.made(own)), own)[:limit])

    atheris.Setup(_options(home, minutes, seed, findings, requests), one, custom_mutator=mutate)
    atheris.Fuzz()


def _options(home: Path, minutes: float, seed: int, findings: Path, requests: Any) -> list[str]:
    corpus = home / "corpus"
    corpus.mkdir()
    chance = random.Random(seed)
    for number in range(SEEDS):
        (corpus / f"{number}").write_bytes(requests.encode(requests.made(chance)))
    dictionary = home / "tokens.dict"
    quoted = ("".join(f"\\x{byte:02x}" for byte in token.encode()) for token in requests.TOKENS)
    dictionary.write_text("".join(f'"{token}"\n' for token in quoted), encoding="ascii")
    return [
        sys.argv[0],
        str(corpus),
        f"-seed={seed % 2**31}",
        f"-max_len={MAX_LEN}",
        f"-dict={dictionary}",
        "-timeout=60",
        "-rss_limit_mb=4096",
        f"-max_total_time={int(minutes * 60) + 60}",
        f"-artifact_prefix={findings}/",
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
