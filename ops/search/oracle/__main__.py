"""``python -m ops.search.oracle [--count N] [--seed N] [--only FAMILY …] [--record FILE]``: ask Solr and ourselves.

Ends with the number of answers alike, of differences that are meant and of others; fails when there are others.
"""

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
from ops.search.oracle import corpus, judge, questions, record
from ops.search.oracle.purposes import purpose_of
from ops.stack.testing import free_port


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.search.oracle", description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], choices=list(questions.FAMILIES), metavar="FAMILY")
    parser.add_argument("--record", type=Path, help="write Solr's answers to this file")
    parser.add_argument("--url", help="a running Solr with a core of CKAN's schema; its documents are replaced")
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


def filled(home: Path) -> Engine:
    """Our engine with the corpus."""
    engine = Engine(home, clock=lambda: corpus.NOW)
    puts = [prepare(one, corpus.NOW) for one in corpus.documents()]
    engine.submit([Change(puts=puts)], commit=True).result(60)
    return engine


def compare(home: Path, url: str, given: argparse.Namespace) -> int:
    engine = filled(home / "ours")
    documents = corpus.documents()
    asked: Counter[str] = Counter()
    differ: Counter[str] = Counter()
    meant: Counter[str] = Counter()
    lines: list[str] = []
    with httpx.Client(timeout=60) as client:
        client.post(f"{url}/update?commit=true", json={"delete": {"query": "*:*"}}).raise_for_status()
        client.post(f"{url}/update?commit=true", json=documents).raise_for_status()
        for question in questions.questions(given.count, given.seed, tuple(given.only)):
            asked[question.family] += 1
            theirs, ours = judge.ask_solr(client, url, question), judge.ask_ours(engine, question)
            lines.append(record.line(question, theirs, [one["name"] for one in documents]))
            problem = judge.difference(question, theirs, ours)
            purpose = purpose_of(question, ours.refused) if problem else None
            if purpose is not None:
                meant[purpose.name] += 1
            elif problem:
                differ[question.family] += 1
                if differ[question.family] <= given.show:
                    shown = {key: value for key, value in question.parameters.items() if key not in ("df", "NOW", "wt")}
                    print(f"{question.family}: {shown}\n    {problem}")
    engine.close()
    if given.record:
        given.record.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for family, count in asked.items():
        print(f"{family:<12} {count - differ[family]:>5} of {count:>5}")
    total, wrong = sum(asked.values()), sum(differ.values())
    print(f"{total - wrong - sum(meant.values())} of {total} alike, {wrong} different, meant: {dict(meant)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
