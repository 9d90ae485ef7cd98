"""``python -m ops.search.fuzz [--minutes M | --count N] [--seed S] [--guided] [--replay FILE]``: hostile requests.

``--guided`` lets atheris choose by coverage (``make fuzz-search`` puts it into an environment of its own); without it
requests are made from the grammar and changed at random, the same for the same seed. A finding ends the run with 1
and is written to a file that ``--replay`` takes.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from ops.search.fuzz import guided, parsers
from ops.search.fuzz.properties import Finding, Properties
from ops.search.fuzz.requests import Request, changed, decode, encode, made

POOL = 4000


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.search.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--count", type=int, help="so many requests instead of minutes")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--guided", action="store_true", help="let atheris choose by coverage")
    parser.add_argument("--parsers", action="store_true", help="only the parsers, many times faster")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()), help="folder of findings")
    given = parser.parse_args(arguments)
    if given.guided:
        return guided.elsewhere(given.minutes, given.seed, given.findings, only_parsers=given.parsers)
    with tempfile.TemporaryDirectory(prefix="govopen-fuzz-") as folder:
        return _unguided(Path(folder), given)


def _unguided(home: Path, given: argparse.Namespace) -> int:
    if given.parsers:
        begun, count = time.monotonic(), 0
        chance = random.Random(given.seed)
        while time.monotonic() - begun < given.minutes * 60:
            parsers.check(made(chance))
            count += 1
        print(f"parsers: {count} requests")
        return 0
    properties = Properties(home)
    try:
        if given.replay:
            properties.check(json.loads(given.replay.read_text(encoding="utf-8")), meter=True)
            print("holds")
            return 0
        for number, request in enumerate(stream(given)):
            if not checked(properties, request, number, given.findings):
                return 1
        report(properties, given.seed)
    finally:
        properties.close()
    return 0


def checked(properties: Properties, request: Request, number: int, folder: Path) -> bool:
    """Check one request; a finding is printed and kept in a file."""
    try:
        properties.check(request, compare=number % 2 == 0, meter=number % 8 == 0)
    except Exception as problem:
        file = folder / f"search-finding-{number}.json"
        file.write_text(json.dumps(request), encoding="utf-8")
        shown = str(problem) if isinstance(problem, Finding) else traceback.format_exc()
        print(f"{shown}\nrequest: {json.dumps(request, ensure_ascii=False)}\nkept in {file}")
        return False
    return True


def stream(given: argparse.Namespace) -> _Stream:
    """Requests: ``count`` of them, or for ``minutes``."""
    return _Stream(given.seed, given.count, None if given.count else time.monotonic() + given.minutes * 60)


class _Stream:
    """Made requests and changed ones of a pool that grows with them."""

    def __init__(self, seed: int, count: int | None, deadline: float | None) -> None:
        self.chance = random.Random(seed)
        self.count = count
        self.deadline = deadline
        self.pool: list[bytes] = []
        self.given = 0

    def __iter__(self) -> _Stream:
        return self

    def __next__(self) -> Request:
        if self.count is not None and self.given >= self.count:
            raise StopIteration
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise StopIteration
        self.given += 1
        if len(self.pool) < 50 or self.chance.random() < 0.4:
            data = encode(made(self.chance))
        else:
            data = changed(self.chance.choice(self.pool), self.chance.choice(self.pool), self.chance)
        if len(self.pool) < POOL:
            self.pool.append(data)
        else:
            self.pool[self.chance.randrange(POOL)] = data
        return decode(data)


def report(properties: Properties, seed: int) -> None:
    print(f"seed {seed}: {properties.counts.summary()}")


if __name__ == "__main__":
    sys.exit(main())
