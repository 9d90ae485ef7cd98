"""Both answers to one question, and what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from ops.search.engine import Engine
from ops.search.errors import SearchFault
from ops.search.oracle.questions import Question
from ops.search.select import Select

ROWS = "1000"
TOLERANCE = 0.35
"""How far apart two of Solr's scores must be before their order is judged: the parts and the whole of ``geo-data``
count in the length of a text here, a text that reaches a field by two ways counts once, and a value of a field with
several counts by its rarity alone."""


@dataclass(frozen=True)
class Answer:
    """Names of the hits in order, their scores, and the counts; or why there is none."""

    names: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    facets: str = ""
    refused: str = ""

    @property
    def found(self) -> frozenset[str]:
        return frozenset(self.names)


def asked(question: Question) -> dict[str, list[str]]:
    """The parameters as they are sent."""
    made = {"fl": ["name,score"], "rows": [ROWS], **question.parameters}
    return {key: [value] if isinstance(value, str) else list(value) for key, value in made.items()}


def _read(body: Mapping[str, Any]) -> Answer:
    documents = body["response"]["docs"]
    counts = body.get("facet_counts", {})
    shown = {key: counts.get(key) for key in ("facet_queries", "facet_fields")} if counts else ""
    return Answer(
        tuple(one["name"] for one in documents),
        tuple(float(one.get("score", 0.0)) for one in documents),
        str(shown or ""),
    )


def ask_solr(client: httpx.Client, url: str, question: Question) -> Answer:
    answer = client.post(f"{url}/select", data=asked(question))
    if answer.status_code != 200:
        return Answer(refused=f"{answer.status_code} {answer.json()['error'].get('msg', '')[:300]}")
    return _read(answer.json())


def ask_ours(engine: Engine, question: Question) -> Answer:
    try:
        return _read(Select(engine, {**asked(question), "forgive": ["false"]}).answer())
    except SearchFault as fault:
        return Answer(refused=f"{fault.code} {fault.message[:300]}")


def difference(question: Question, solr: Answer, ours: Answer) -> str:
    """What differs, in a few words; empty when nothing does."""
    if question.family == "garbage" and "defType" in question.parameters and not solr.refused and not ours.refused:
        return ""
    if bool(solr.refused) != bool(ours.refused):
        return f"status: solr {solr.refused or len(solr.names)} / ours {ours.refused or len(ours.names)}"
    if solr.refused:
        return "" if ours.refused[0] == "4" else f"status: ours {ours.refused}"
    if solr.found != ours.found:
        missing, extra = sorted(solr.found - ours.found), sorted(ours.found - solr.found)
        return f"set: solr {len(solr.names)}, ours {len(ours.names)}; missing {missing[:3]} extra {extra[:3]}"
    if solr.facets != ours.facets:
        return f"facets: solr {solr.facets[:400]} / ours {ours.facets[:400]}"
    if question.ordered:
        return inversion(solr.names, solr.scores, ours.names, exact="sort" in question.parameters)
    return ""


def inversion(names: Sequence[str], scores: Sequence[float], given: Sequence[str], *, exact: bool) -> str:
    """A pair that stands the other way around although Solr's scores are clearly apart."""
    if exact:
        return "" if list(names) == list(given) else f"order: solr {names[:5]}, ours {tuple(given[:5])}"
    score = dict(zip(names, scores, strict=True))
    best_after = 0.0
    worst = ""
    for name in reversed(given):
        if best_after > score[name] * (1 + TOLERANCE) + 1e-6:
            worst = f"order: {name} ({score[name]:.4f}) before one of {best_after:.4f}"
        best_after = max(best_after, score[name])
    return worst
