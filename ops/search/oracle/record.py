"""Solr's answers in a file, so that they judge also where Solr cannot run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ops.search.oracle.judge import Answer
from ops.search.oracle.questions import FAMILIES, Question, common


def line(question: Question, answer: Answer, names: Sequence[str]) -> str:
    """One question with its answer; ``names`` are the corpus's documents in order."""
    kept: dict[str, Any] = {
        "family": question.family,
        "ask": {k: v for k, v in question.parameters.items() if common().get(k) != v},
    }
    if answer.refused:
        kept["refused"] = answer.refused[:3]
        return json.dumps(kept, ensure_ascii=False)
    if question.family == "sorts":
        kept["order"] = [names.index(name) for name in answer.names]
    else:
        found = sum(1 << names.index(name) for name in answer.names)
        kept["found"] = f"{found:x}"
    if question.ordered and question.family != "sorts":
        scores = dict(zip(answer.names, answer.scores, strict=True))
        kept["scores"] = [float(f"{scores[name]:.3g}") for name in names if name in scores]
    if answer.facets:
        kept["facets"] = digest(answer.facets)
    return json.dumps(kept, ensure_ascii=False)


def digest(facets: str) -> str:
    return hashlib.sha256(facets.encode()).hexdigest()[:16]


def read(path: Path, names: Sequence[str]) -> Iterator[tuple[Question, Answer]]:
    """The questions of a file with Solr's answers; ``facets`` of an answer is a digest."""
    for text in path.read_text(encoding="utf-8").splitlines():
        kept = json.loads(text)
        question = Question(kept["family"], {**common(), **kept["ask"]}, FAMILIES[kept["family"]][2])
        if "refused" in kept:
            yield question, Answer(refused=kept["refused"])
            continue
        found = kept.get("order") or [at for at in range(len(names)) if int(kept.get("found", "0"), 16) >> at & 1]
        scores = kept.get("scores", [0.0] * len(found))
        yield question, Answer(tuple(names[at] for at in found), tuple(scores), kept.get("facets", ""))
