"""Conditional and partial requests (RFC 9110, sections 13 and 14) for a file that is known to its last byte."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from starlette.datastructures import Headers

from authz import Refusal

ONE_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE)
MANY_RANGES = re.compile(r"bytes\s*=[\d\s,-]*,[\d\s,-]*", re.IGNORECASE)


class RangeNotSatisfiable(Refusal):
    code = "range_not_satisfiable"
    status = 416
    zh = "请求的范围超出文件大小（{size} 字节）。"
    en = "The range is beyond the file's {size} bytes."
    next_zh = "请以 HEAD 请求核对 Content-Length，再请求其中的范围。"
    next_en = "Compare with Content-Length of a HEAD request, then ask for a range within."

    def headers(self) -> dict[str, str]:
        return {"Content-Range": f"bytes */{self.facts['size']}", "Accept-Ranges": "bytes"}


class ManyRanges(RangeNotSatisfiable):
    code = "many_ranges"
    zh = "一次请求只支持一个范围。"
    en = "One range a request is supported."
    next_zh = "请分成多个请求，每个只含一个范围。"
    next_en = "Make several requests with one range each."


@dataclass(frozen=True)
class Representation:
    """What conditions are compared with: a strong validator, a date in whole seconds, a size."""

    etag: str
    modified_at: datetime
    size: int


@dataclass(frozen=True)
class Part:
    """Bytes ``first`` to ``last``, both included; ``partial`` for a 206."""

    first: int
    last: int
    partial: bool

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def http_date(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC), usegmt=True)


def is_unchanged(headers: Headers, found: Representation) -> bool:
    """Whether the caller's copy is still good: If-None-Match, else If-Modified-Since."""
    given = headers.getlist("if-none-match")
    if given:
        tags = [tag.strip() for line in given for tag in line.split(",")]
        return "*" in tags or found.etag in [tag.removeprefix("W/") for tag in tags]
    since = _date(headers.get("if-modified-since"))
    return since is not None and found.modified_at <= since


def part_of(headers: Headers, found: Representation) -> Part:
    """Which bytes to send. Raises RangeNotSatisfiable, ManyRanges; a range that cannot be read is no range.

    With If-Range a range holds only for the very copy it was begun with; else everything is sent.
    """
    whole = Part(0, found.size - 1, partial=False)
    wanted = headers.get("range")
    if wanted is None or not _is_same(headers.get("if-range"), found):
        return whole
    if MANY_RANGES.fullmatch(wanted.strip()):
        raise ManyRanges(size=found.size)
    match = ONE_RANGE.fullmatch(wanted.strip())
    if match is None or not (match[1] or match[2]):
        return whole
    if not match[1]:
        length = int(match[2])
        if length == 0 or found.size == 0:
            raise RangeNotSatisfiable(size=found.size)
        return Part(max(0, found.size - length), found.size - 1, partial=True)
    first, last = int(match[1]), int(match[2]) if match[2] else found.size - 1
    if match[2] and last < first:
        return whole
    if first >= found.size:
        raise RangeNotSatisfiable(size=found.size)
    return Part(first, min(last, found.size - 1), partial=True)


def _is_same(condition: str | None, found: Representation) -> bool:
    if condition is None:
        return True
    text = condition.strip()
    if text.startswith(('"', "W/")):
        return text == found.etag
    return _date(text) == found.modified_at


def _date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def coding_of(headers: Headers, available: tuple[str, ...]) -> str | None:
    """The content coding to send, of those that are available: what the caller rates highest, else none."""
    rated: dict[str, float] = {}
    for item in headers.get("accept-encoding", "").lower().split(","):
        name, _, parameter = item.strip().partition(";")
        quality = parameter.strip().removeprefix("q=") if parameter else "1"
        try:
            rated[name.strip()] = float(quality)
        except ValueError:
            rated[name.strip()] = 0.0
    known = [(rated.get(name, rated.get("*", 0.0)), -place, name) for place, name in enumerate(available)]
    best = max(known, default=(0.0, 0, ""))
    return best[2] if best[0] > 0 and best[0] >= rated.get("identity", 0.0) else None
