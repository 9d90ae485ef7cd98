"""CloudEvents 1.0 as they come in: from a request's bytes to events, or to what is wrong with them. No I/O.

Structured (``application/cloudevents+json``), batched (``application/cloudevents-batch+json``) and binary mode (the
attributes in ``ce-`` headers, the data as the body). What is accepted is bounded in every direction, and only what is
understood is accepted: an attribute that we would have to ignore is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import orjson

from authz import FieldError, InvalidInput, Refusal
from billing.usage.model import SOURCE, UsageEvent

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
JSON = "application/json"

BATCH_MAX = 5_000
"""Events of one request."""
ID_MAX, SOURCE_MAX, TYPE_MAX, DATA_BYTES_MAX, DEPTH_MAX = 200, 300, 200, 8_000, 8
COUNT_MAX = 10**12
"""The most rows, calls or bytes one event may state."""
INTEGER_MAX = 2**53
CORRECTED = "cn.govopen.usage.corrected"
CANCELLED = "cn.govopen.usage.cancelled"

_NAME = re.compile(r"[\x21-\x7e\u00a1-\ud7ff\uf900-\uffef]+")
_SOURCE = re.compile(r"[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]+")
_TIME = re.compile(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_SUSPECT = re.compile(rb"\\u0000|\d{16}|\d[eE][+-]?\d")
"""What a text must hold for one of its strings or numbers to be unfit; a cheap look before a thorough one."""
_SEQUENCE = re.compile(r"[0-9]{1,18}")
_KNOWN = frozenset({
    "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data", "sequence", "sequencetype",
    "traceparent", "tracestate",
})
COUNTED = ("rows", "calls", "bytes")


class MediaTypeUnknown(Refusal):
    code = "media_type_unknown"
    status = 415
    zh = "不支持该内容类型。"
    en = "This content type is not supported."
    next_zh = f"请使用 {SINGLE}、{BATCH}，或二进制模式（请求头 ce-id、ce-source 等）。"
    next_en = f"Use {SINGLE}, {BATCH} or binary mode (headers ce-id, ce-source and so on)."


class BatchTooLarge(Refusal):
    code = "batch_too_large"
    status = 413
    zh = "一次最多报送 {limit} 条事件，本次为 {count} 条。"
    en = "At most {limit} events in one request; these are {count}."
    next_zh = "请分批报送；重复报送同一事件不会重复计量。"
    next_en = "Send them in several requests; an event sent twice is counted once."


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one event is not accepted; ``field`` is the attribute at fault."""

    field: str
    code: str
    zh: str
    en: str

    def as_error(self) -> FieldError:
        return FieldError(self.field, self.code, self.zh, self.en)


class _Wrong(Exception):
    def __init__(self, field: str, code: str, zh: str, en: str) -> None:
        self.fault = Fault(field, code, zh, en)


def read(content_type: str, headers: Mapping[str, str], body: bytes) -> tuple[list[Any], bool]:
    """The events of a request as they stand, and whether they are a batch.

    Raises MediaTypeUnknown, BatchTooLarge, or InvalidInput when the body is no JSON of the kind it says to be.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == BATCH:
        found = _json(body)
        if not isinstance(found, list):
            raise _malformed("应为事件数组", "must be an array of events")
        if len(found) > BATCH_MAX:
            raise BatchTooLarge(limit=BATCH_MAX, count=len(found))
        return found, True
    if kind == SINGLE:
        return [_json(body)], False
    if "ce-specversion" in headers and kind in ("", JSON):
        return [_binary(headers, body, kind)], False
    raise MediaTypeUnknown


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise _malformed("不是有效的 JSON", "is not valid JSON") from fault


def _malformed(zh: str, en: str) -> InvalidInput:
    return InvalidInput([FieldError("body", "malformed", zh, en)])


def _binary(headers: Mapping[str, str], body: bytes, kind: str) -> dict[str, Any]:
    event: dict[str, Any] = {
        name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")
    }
    if kind:
        event["datacontenttype"] = kind
    if body:
        event["data"] = _json(body)
    return event


Pair = tuple[str, str]
"""(source, subject)."""


def pairs(given: Iterable[Any]) -> set[Pair]:
    """Which sources speak of which grants, as far as can be told before the events are read."""
    return {
        (source, subject) for one in given
        if isinstance(one, dict) and isinstance(source := one.get("source"), str) and len(source) <= SOURCE_MAX
        and isinstance(subject := one.get("subject"), str) and len(subject) <= ID_MAX
    }


def parse(given: Any, resources: Mapping[Pair, str] = MappingProxyType({})) -> UsageEvent | Fault:
    """The event that a decoded JSON value is, or what is wrong with it; ``resources`` are the grants' data objects."""
    try:
        return _event(given, resources)
    except _Wrong as wrong:
        return wrong.fault


def _event(given: Any, resources: Mapping[Pair, str]) -> UsageEvent:
    if not isinstance(given, dict):
        raise _Wrong("event", "dict_type", "应为对象", "must be an object")
    if not given.keys() <= _KNOWN:
        name = str(sorted(given.keys() - _KNOWN)[0])[:40]
        raise _Wrong(name, "attribute_unknown", "未知的事件属性", "is not an attribute that is accepted")
    if given.get("specversion") != "1.0":
        raise _Wrong("specversion", "specversion_unknown", "应为 1.0", "must be 1.0")
    if given.get("datacontenttype", JSON) != JSON:
        raise _Wrong("datacontenttype", "media_type_unknown", f"应为 {JSON}", f"must be {JSON}")
    event_id: Any = given.get("id")
    if not _is_plain_name(event_id):
        event_id = _text(given, "id", ID_MAX)
    kind, subject, source = given.get("type"), given.get("subject"), given.get("source")
    if not (isinstance(kind, str) and isinstance(subject, str) and isinstance(source, str)):
        kind, subject, source = (_text(given, name, 1) for name in ("type", "subject", "source"))
    fault = _context_fault(kind, subject, source)
    if fault is not None:
        raise _Wrong(fault.field, fault.code, fault.zh, fault.en)
    at, data = _time(given.get("time")), given.get("data")
    if not isinstance(data, dict):
        raise _Wrong("data", "dict_type", "应为对象", "must be an object")
    text = _canonical(data)
    if kind in (CORRECTED, CANCELLED):
        return _correction(source, event_id, kind, subject, at, data, text)
    return UsageEvent.made({
        "source": source, "id": event_id, "type": kind, "subject": subject, "time": at,
        "resource_id": resources.get((source, subject), ""), "rows": _count(data, "rows"),
        "calls": _count(data, "calls"), "bytes": _count(data, "bytes"), "details": data, "body": data,
        "source_sequence": _sequence(given) if "sequence" in given else None, "body_json": text,
    })


def _is_plain_name(value: Any) -> bool:
    """Whether ``_text`` would surely take it for an id; cheaper to tell."""
    return (
        type(value) is str and 0 < len(value) <= ID_MAX and value.isascii() and value.isprintable()
        and " " not in value
    )


@lru_cache(4096)
def _context_fault(kind: str, subject: str, source: str) -> Fault | None:
    """What is wrong with the attributes that all events of a product share; looked at once for all of them."""
    try:
        given = {"type": kind, "subject": subject, "source": source}
        for name, longest in (("type", TYPE_MAX), ("subject", ID_MAX), ("source", SOURCE_MAX)):
            _text(given, name, longest)
    except _Wrong as wrong:
        return wrong.fault
    if not _SOURCE.fullmatch(source):
        return Fault("source", "source_malformed", "应为 URI 引用", "must be a URI reference")
    if source == SOURCE:
        return Fault("source", "source_reserved", "该来源由平台自身使用", "is used by the platform itself")
    return None


def _correction(
    source: str, event_id: str, kind: str, subject: str, at: datetime, data: dict[str, Any], text: bytes
) -> UsageEvent:
    allowed = {"source", "id", "reason", "data"} if kind == CORRECTED else {"source", "id", "reason"}
    if data.keys() != allowed:
        names = "、".join(sorted(allowed))
        raise _Wrong("data", "correction_malformed", f"更正事件的 data 应恰有 {names}",
                     f"of a correction must have exactly {', '.join(sorted(allowed))}")
    target = (_text(data, "source", SOURCE_MAX, "data."), _text(data, "id", ID_MAX, "data."))
    _text(data, "reason", 2_000, "data.", words=True)
    if kind == CORRECTED:
        if not isinstance(data["data"], dict):
            raise _Wrong("data.data", "dict_type", "应为对象", "must be an object")
        for name in COUNTED:
            _count(data["data"], name, "data.data.")
    return UsageEvent(
        source, event_id, subject, at, "", 0, 0, 0, data, kind, body=data, corrects=target, issued_at=at,
        body_json=text,
    )


def _text(given: Mapping[str, Any], name: str, longest: int, under: str = "", *, words: bool = False) -> str:
    value = given.get(name)
    field = under + name
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(field, "missing", "必填项", "is required")
    if len(value) > longest:
        raise _Wrong(field, "string_too_long", f"不能超过 {longest} 个字符", f"must have at most {longest} characters")
    if not words and not _NAME.fullmatch(value):
        raise _Wrong(field, "control_characters", "含有不允许的字符", "holds characters that are not allowed")
    return value


def _time(value: Any) -> datetime:
    """An instant with its zone. Required: a time that we made up would make each sending another content."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise _Wrong("time", "time_malformed", "应为带时区的时间，例如 2026-11-21T09:30:00+08:00",
                     "must be an instant with its zone such as 2026-11-21T09:30:00+08:00")
    try:
        at = datetime.fromisoformat(value)
        return at if at.tzinfo is UTC else at.astimezone(UTC)
    except (ValueError, OverflowError) as fault:
        raise _Wrong("time", "time_malformed", "不是有效的时间", "is not a possible time") from fault


def _sequence(given: Mapping[str, Any]) -> int | None:
    value = given.get("sequence")
    if value is None:
        return None
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _SEQUENCE.fullmatch(text) or given.get("sequencetype", "Integer") != "Integer":
        raise _Wrong("sequence", "sequence_malformed", "应为从 1 起的整数", "must be a whole number from 1")
    if int(text) < 1:
        raise _Wrong("sequence", "sequence_malformed", "应为从 1 起的整数", "must be a whole number from 1")
    return int(text)


def _count(data: Mapping[str, Any], name: str, under: str = "data.") -> int:
    value = data.get(name, 0)
    if type(value) is int and 0 <= value <= COUNT_MAX:
        return value
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= COUNT_MAX:
        raise _Wrong(under + name, "count_malformed", f"应为 0 至 {COUNT_MAX} 的整数",
                     f"must be a whole number from 0 to {COUNT_MAX}")
    return value


def _canonical(data: dict[str, Any]) -> bytes:
    """The data as JSON with sorted keys, bounded, and sure to survive storing and reading unchanged."""
    text = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    if len(text) > DATA_BYTES_MAX:
        raise _Wrong("data", "data_too_large", f"不能超过 {DATA_BYTES_MAX} 字节",
                     f"must have at most {DATA_BYTES_MAX} bytes")
    if _is_flat(data, text):
        return text
    if (_SUSPECT.search(text) or text.count(b"{") + text.count(b"[") > DEPTH_MAX) and not _plain(data, 0):
        raise _Wrong("data", "data_malformed", "含有无法保存的字符、数值或过深的嵌套",
                     "holds characters or numbers that cannot be kept, or nests too deeply")
    return text


def _is_flat(data: dict[str, Any], text: bytes) -> bool:
    """Whether the data are texts and small whole numbers only, none of them with U+0000: what nearly all send."""
    for value in data.values():
        kind = type(value)
        if kind is not str and (kind is not int or not -INTEGER_MAX < value < INTEGER_MAX):
            return False
    return b"\\u0000" not in text


def _plain(value: Any, depth: int) -> bool:
    """Whether a value survives storing and reading unchanged: no U+0000, no number beyond what JSON keeps exactly."""
    kind = type(value)
    if kind is str:
        return "\0" not in value
    if kind is int or kind is float:
        return bool(-INTEGER_MAX < value < INTEGER_MAX)
    if kind is dict:
        return depth < DEPTH_MAX and all(_plain(k, depth) and _plain(v, depth + 1) for k, v in value.items())
    if kind is list:
        return depth < DEPTH_MAX and all(_plain(item, depth + 1) for item in value)
    return True
