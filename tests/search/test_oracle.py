"""Our answers against Solr's: recorded ones always, fresh ones where Solr runs (``make test-oracle``)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ops.search.engine import Engine
from ops.search.oracle import corpus, judge, record
from ops.search.oracle.__main__ import filled
from ops.search.oracle.purposes import purpose_of
from ops.search.oracle.questions import FAMILIES

ANSWERS = Path(__file__).parent / "solr_answers.jsonl"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    opened = filled(tmp_path_factory.mktemp("oracle"))
    yield opened
    opened.close()


def test_answers_are_those_that_solr_gave(engine: Engine) -> None:
    names = [document["name"] for document in corpus.documents()]
    asked: Counter[str] = Counter()
    problems = []
    for question, theirs in record.read(ANSWERS, names):
        ours = judge.ask_ours(engine, question)
        ours = replace(ours, facets=record.digest(ours.facets) if ours.facets else "")
        asked[question.family] += 1
        problem = judge.difference(question, theirs, ours)
        if problem and purpose_of(question, ours.refused) is None:
            problems.append(f"{question.family} {question.parameters}: {problem}")
    assert not problems, "\n".join(problems[:20])
    assert set(asked) == set(FAMILIES)
    assert sum(asked.values()) >= 1000


@pytest.mark.skipif("GOVOPEN_TEST_ORACLE" not in os.environ, reason="make test-oracle asks a Solr of its own")
def test_fresh_questions_to_solr() -> None:
    """``GOVOPEN_TEST_ORACLE`` is the number of questions, ``GOVOPEN_TEST_ORACLE_SEED`` chooses them."""
    command = [
        sys.executable, "-m", "ops.search.oracle", "--count", os.environ["GOVOPEN_TEST_ORACLE"],
        "--seed", os.environ.get("GOVOPEN_TEST_ORACLE_SEED", "1"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
