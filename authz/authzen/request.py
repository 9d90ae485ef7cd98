"""Reading AuthZEN requests: required members present and of the right type, the rest ignored."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson

from authz.foundation.errors import Refusal

TEXT_LENGTH_MAX = 1_000
EVALUATIONS_MAX = 1_000
FIELDS_MAX = 500
PAGE_LIMIT = 50
PAGE_LIMIT_MAX = 500

SearchKind = Literal["subject", "resource", "action"]
ANY = "*"
"""Stands for the id that a search looks for."""

STOP_AT: Mapping[str, bool | None] = {
    "execute_all": None, "deny_on_first_deny": False, "permit_on_first_permit": True,
}


class Malformed(Refusal):
    """The request is not what AuthZEN 1.0 describes."""

    code = "bad_request"
    status = 400
    zh = "请求不符合 AuthZEN 1.0：{what}。"
    en = "The request is not as AuthZEN 1.0 describes: {what}."
    next_zh = "请对照接口文档修改请求。"
    next_en = "Correct the request by the API documentation."

    def __init__(self, what: str) -> None:
        super().__init__(what=what)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LENGTH_MAX or "\0" in value:
        raise Malformed(where)
    return value


def _optional_text(found: Mapping[str, Any], name: str) -> str | None:
    return None if found.get(name) is None else _text(found[name], f"context.{name}")


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(where)
    return value


@dataclass(frozen=True)
class EvaluationRequest:
    """One question. ``properties`` are the subject's; of the context only what this decision point knows is read."""

    subject_type: str
    subject_id: str
    subject_properties: Mapping[str, Any]
    action: str
    resource_type: str
    resource_id: str
    action_properties: Mapping[str, Any]
    resource_properties: Mapping[str, Any]
    purpose: str | None
    purpose_class: str | None
    scenario: str | None
    channel: str
    fields: tuple[str, ...] | None
    address: str | None
    time: datetime | None
    approval: str | None
    asked: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The four members as they were sent."""

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> EvaluationRequest:
        """Raises Malformed naming the first member that is missing or wrong."""
        subject = _object(body.get("subject"), "subject")
        action = _object(body.get("action"), "action")
        resource = _object(body.get("resource"), "resource")
        for whose, one in (("subject", subject), ("action", action), ("resource", resource)):
            if one.get("properties") is not None:
                _object(one["properties"], f"{whose}.properties")
        context = _object(body["context"], "context") if body.get("context") is not None else {}
        properties = {**(action.get("properties") or {}), **(resource.get("properties") or {}), **context}
        return cls(
            subject_type=_text(subject.get("type"), "subject.type"),
            subject_id=_text(subject.get("id"), "subject.id"),
            subject_properties=subject.get("properties") or {},
            action=_text(action.get("name"), "action.name"),
            resource_type=_text(resource.get("type"), "resource.type"),
            resource_id=_text(resource.get("id"), "resource.id"),
            action_properties=action.get("properties") or {},
            resource_properties=resource.get("properties") or {},
            purpose=_optional_text(properties, "purpose"),
            purpose_class=_optional_text(properties, "purpose_class"),
            scenario=_optional_text(properties, "scenario"),
            channel=_optional_text(properties, "channel") or "api",
            fields=_fields(properties.get("fields")),
            address=_optional_text(properties, "ip_address"),
            time=_time(context.get("time")),
            approval=_approval(context.get("approval")),
            asked={name: body[name] for name in ("subject", "action", "resource", "context") if name in body},
        )


@dataclass(frozen=True)
class SearchRequest:
    """Which subjects, resources or actions would be permitted: a question with one member left open.

    ``wanted`` has ``ANY`` in place of what is looked for; an id given there is ignored, as AuthZEN says. ``digest``
    names everything but the page's token: a token goes with the request that it came from.
    """

    wanted: EvaluationRequest
    limit: int
    after: str
    digest: str

    @classmethod
    def read(cls, kind: SearchKind, body: Mapping[str, Any]) -> SearchRequest:
        """Raises Malformed naming the first member that is missing or wrong."""
        open_member = "name" if kind == "action" else "id"
        asked = dict(body)
        if kind == "action":
            asked["action"] = {"name": ANY}
        else:
            asked[kind] = {**_object(body.get(kind), kind), open_member: ANY}
        wanted = EvaluationRequest.read(asked)
        page = _object(body["page"], "page") if body.get("page") is not None else {}
        limit = page.get("limit", PAGE_LIMIT)
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise Malformed("page.limit")
        if page.get("properties") is not None:
            _object(page["properties"], "page.properties")
        digest = _digest(kind, asked, limit)
        return cls(wanted, min(limit, PAGE_LIMIT_MAX), _after(page.get("token"), digest), digest)

    def token(self, after: str) -> str:
        """The opaque token of the page that starts after this id."""
        return base64.urlsafe_b64encode(orjson.dumps([self.digest, after])).decode().rstrip("=")


def _digest(kind: str, asked: Mapping[str, Any], limit: int) -> str:
    names = ("subject", "action", "resource", "context")
    text = orjson.dumps([kind, limit, [asked.get(name) for name in names]], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:16]


def _after(token: Any, digest: str) -> str:
    """Where the page begins; raises Malformed for a token that is no token or belongs to another request."""
    if token is None or token == "":
        return ""
    try:
        text = _text(token, "page.token")
        made_for, after = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError) as fault:
        raise Malformed("page.token") from fault
    if made_for != digest or not isinstance(after, str) or "\0" in after:
        raise Malformed("page.token")
    return after


def _fields(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > FIELDS_MAX:
        raise Malformed("context.fields")
    return tuple(_text(one, "context.fields") for one in value)


def _approval(value: Any) -> str | None:
    """The id of the approval that a request to evaluate again refers to: a grant's."""
    return None if value is None else _text(_object(value, "context.approval").get("id"), "context.approval.id")


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(_text(value, "context.time"))
    except ValueError as fault:
        raise Malformed("context.time") from fault
    if at.tzinfo is None:
        raise Malformed("context.time")
    return at


def members(body: Mapping[str, Any]) -> list[Any]:
    """The items of ``evaluations``; empty when there are none."""
    found = body.get("evaluations")
    if found is None:
        return []
    if not isinstance(found, list) or len(found) > EVALUATIONS_MAX:
        raise Malformed("evaluations")
    return found


def semantics(body: Mapping[str, Any]) -> bool | None:
    """The decision at which a batch stops, or None to run all of it."""
    options = body.get("options")
    if options is None:
        return None
    wanted = _object(options, "options").get("evaluations_semantic", "execute_all")
    if not isinstance(wanted, str) or wanted not in STOP_AT:
        raise Malformed("options.evaluations_semantic")
    return STOP_AT[wanted]


def merged(defaults: Mapping[str, Any], item: Any) -> dict[str, Any]:
    """An item of a batch over the defaults of its request; raises Malformed when it is no object."""
    found = _object(item, "evaluations")
    names = ("subject", "action", "resource", "context")
    return {name: found.get(name, defaults.get(name)) for name in names}
