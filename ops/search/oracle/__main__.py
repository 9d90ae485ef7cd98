"""``python -m ops.search.oracle [--count N] [--seed N] [--only FAMILY …]``: ask Solr and ourselves the same."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import httpx

from ops.bench.peers import solr
from ops.search.documents import prepare
from ops.search.engine import Change, Engine
from ops.search.oracle import corpus, judge, questions
from ops.stack.testing import free_port


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.search.oracle", description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], choices=[*questions.FAMILIES, []])
    parser.add_argument("--url", help="a running Solr with an empty core of CKAN's schema")
    parser.add_argument("--show", type=int, default=5, help="differences shown of each family")
    given = parser.parse_args(arguments)
    reason = None if given.url else solr.available()
    if reason is not None:
        print(f"Solr cannot be asked: {reason}", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="govopen-oracle-") as folder:
        home = Path(folder)
        url = given.url or solr.start(home / "solr", free_port())
        try:
            return compare(home, url, given)
        finally:
            if not given.url:
                solr.stop(home / "solr")


def compare(home: Path, url: str, given: argparse.Namespace) -> int:
    engine = Engine(home / "ours", clock=lambda: corpus.NOW)
    documents = corpus.documents()
    engine.submit([Change(puts=[prepare(one, corpus.NOW) for one in documents])], commit=True).result(60)
    asked: Counter[str] = Counter()
    differ: Counter[str] = Counter()
    with httpx.Client(timeout=60) as client:
        client.post(f"{url}/update?commit=true", json={"delete": {"query": "*:*"}}).raise_for_status()
        client.post(f"{url}/update?commit=true", json=documents).raise_for_status()
        for question in questions.questions(given.count, given.seed, tuple(given.only)):
            asked[question.family] += 1
            theirs, ours = judge.ask_solr(client, url, question), judge.ask_ours(engine, question)
            problem = judge.difference(question, theirs, ours)
            if problem:
                differ[question.family] += 1
                if differ[question.family] <= given.show:
                    shown = {k: v for k, v in question.parameters.items() if k not in ("df", "NOW", "wt")}
                    print(f"{question.family}: {shown}\n    {problem}")
    engine.close()
    for family, count in asked.items():
        print(f"{family:<12} {count - differ[family]:>5} of {count:>5}")
    print(f"{sum(asked.values()) - sum(differ.values())} of {sum(asked.values())} alike")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
