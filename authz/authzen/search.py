"""AuthZEN's searches: candidates come from SQL in the order of their ids, each is decided on its own.

What a search finds is what an evaluation would permit, because it is the same decision. Of candidates that the caller
may not ask about nothing is told. A page looks at a limited number of candidates: one that finds fewer than it may
give still has a token for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from authz.authzen.domain import MayNotAsk
from authz.authzen.evaluate import Evaluator
from authz.authzen.request import EvaluationRequest, SearchKind, SearchRequest
from authz.decision import Effect

CHUNK = 200
LOOKED_AT_MAX = 2_000

Entity = dict[str, Any]


async def search(evaluator: Evaluator, kind: SearchKind, request: SearchRequest) -> dict[str, Any]:
    """``{page, results}``: subjects, resources or actions for which the question is permitted.

    A type that is not known has no results. ``page.next_token`` is empty on the last page.
    """
    after, found, looked_at, more = request.after, list[str](), 0, request.limit > 0
    while more and looked_at < LOOKED_AT_MAX:
        candidates = await _candidates(evaluator, kind, request.wanted, after)
        for candidate in candidates:
            if len(found) == request.limit:
                return _answer(kind, request, found, after)
            if await _permitted(evaluator, _asked(kind, request.wanted, candidate)):
                found.append(candidate)
            after = candidate
        looked_at += len(candidates)
        more = len(candidates) == CHUNK
    return _answer(kind, request, found, after if more else "")


async def _candidates(
    evaluator: Evaluator, kind: SearchKind, wanted: EvaluationRequest, after: str
) -> Sequence[str]:
    domain = evaluator.domain(wanted.resource_type)
    if domain is None:
        return ()
    if kind == "subject":
        return await domain.subjects(wanted, after, CHUNK)
    if kind == "resource":
        return await domain.resources(wanted, after, CHUNK)
    return [name for name in await domain.actions(wanted) if name > after][:CHUNK]


def _asked(kind: SearchKind, wanted: EvaluationRequest, candidate: str) -> EvaluationRequest:
    if kind == "subject":
        return replace(wanted, subject_id=candidate)
    if kind == "resource":
        return replace(wanted, resource_id=candidate)
    return replace(wanted, action=candidate)


async def _permitted(evaluator: Evaluator, wanted: EvaluationRequest) -> bool:
    try:
        return (await evaluator.decide(wanted)).effect is Effect.PERMIT
    except MayNotAsk:
        return False


ENTITIES: dict[SearchKind, Callable[[EvaluationRequest, str], Entity]] = {
    "subject": lambda wanted, name: {"type": wanted.subject_type, "id": name},
    "resource": lambda wanted, name: {"type": wanted.resource_type, "id": name},
    "action": lambda wanted, name: {"name": name},
}


def _answer(kind: SearchKind, request: SearchRequest, found: list[str], after: str) -> dict[str, Any]:
    return {
        "page": {"next_token": request.token(after) if after else "", "count": len(found)},
        "results": [ENTITIES[kind](request.wanted, name) for name in found],
    }
