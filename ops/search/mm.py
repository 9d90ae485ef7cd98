"""The ``mm`` language of dismax: how many optional clauses must match."""

from __future__ import annotations

import re

from ops.search.errors import SearchFault

_CONDITION = re.compile(r"\s*<\s*")
_COUNT = re.compile(r"-?\d{1,6}%?|-?\d{1,6}\.\d+%")


def minimum_should_match(spec: str, optional: int) -> int:
    """``2``, ``-1``, ``75%``, ``-25%`` or conditions ``2<-1 5<80%``; between 0 and the clauses."""
    spec = _CONDITION.sub("<", spec.strip())
    if "<" not in spec:
        return _count(spec, optional)
    result = optional
    for part in spec.split():
        bound, _, rest = part.partition("<")
        if not bound.isdigit():
            raise SearchFault(f"Invalid 'mm' spec: '{spec[:50]}'. Expecting values in the form 'x<y'")
        if optional <= int(bound):
            return result
        result = _count(rest, optional)
    return result


def _count(spec: str, optional: int) -> int:
    if not _COUNT.fullmatch(spec):
        raise SearchFault(f"Invalid 'mm' spec: '{spec[:50]}'. Expecting an integer or a percentage")
    if spec.endswith("%"):
        part = int(optional * float(spec[:-1]) / 100)
        result = optional + part if part < 0 or spec.startswith("-") else part
    else:
        result = int(spec)
        if result < 0:
            result += optional
    return max(0, min(result, optional))
