"""What OpenAPI says of AuthZEN's addresses: what is sent and what is answered, as the standard describes them."""

from __future__ import annotations

from typing import Any

from authz.authzen.request import EVALUATIONS_MAX, FIELDS_MAX, STOP_AT, TEXT_LENGTH_MAX

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": TEXT_LENGTH_MAX, "pattern": r"^[^\x00]*$"}
ANYTHING: Schema = {"type": "object"}


def _entity(names: tuple[str, ...], *required: str) -> Schema:
    members = dict.fromkeys(names, TEXT) | {"properties": ANYTHING}
    return {"type": "object", "properties": members, "required": list(required)}


SUBJECT, SUBJECT_SOUGHT = (_entity(("type", "id"), *needed) for needed in (("type", "id"), ("type",)))
RESOURCE, RESOURCE_SOUGHT = (_entity(("type", "id"), *needed) for needed in (("type", "id"), ("type",)))
ACTION = _entity(("name",), "name")
OPTIONAL_TEXT: Schema = {"anyOf": [TEXT, {"type": "null"}]}
CONTEXT: Schema = {
    "type": "object",
    "description": "其余成员不读取 (other members are not read)",
    "properties": {
        **dict.fromkeys(("purpose", "purpose_class", "scenario", "channel", "ip_address"), OPTIONAL_TEXT),
        "fields": {"anyOf": [{"type": "array", "maxItems": FIELDS_MAX, "items": TEXT}, {"type": "null"}]},
        "time": {"type": "string", "format": "date-time"},
        "approval": {"type": "object", "properties": {"id": TEXT}, "required": ["id"]},
    },
}
QUESTION: Schema = {
    "type": "object",
    "properties": {"subject": SUBJECT, "action": ACTION, "resource": RESOURCE, "context": CONTEXT},
    "required": ["subject", "action", "resource"],
}
DECISION: Schema = {
    "type": "object",
    "properties": {"decision": {"type": "boolean"}, "context": ANYTHING},
    "required": ["decision"],
}
EXAMPLE: dict[str, dict[str, Any]] = {
    "subject": {"type": "grant", "id": "gra_01m7"}, "action": {"name": "read"},
    "resource": {"type": "data_object", "id": "0b5c"}, "context": {"fields": ["name"]},
}
BATCH: Schema = {
    "type": "object",
    "properties": {
        **QUESTION["properties"],
        "evaluations": {"type": "array", "maxItems": EVALUATIONS_MAX, "items": {
            "type": "object", "properties": QUESTION["properties"],
        }},
        "options": {"type": "object", "properties": {
            "evaluations_semantic": {"type": "string", "enum": list(STOP_AT)},
        }},
    },
}
PAGE: Schema = {"type": "object", "properties": {
    "token": {"type": "string"}, "limit": {"type": "integer", "minimum": 0}, "properties": ANYTHING,
}}


def _document(sent: Schema, answered: Schema, example: Any) -> dict[str, Any]:
    """Additions to an operation."""
    return {
        "requestBody": {
            "required": True, "content": {"application/json": {"schema": sent, "example": example}},
        },
        "responses": {"200": {
            "description": "判定 (decided)", "content": {"application/json": {"schema": answered}},
        }},
    }


def _search(**members: Schema) -> dict[str, Any]:
    required = [name for name in members if name != "context"]
    results: Schema = {
        "type": "object",
        "properties": {"page": ANYTHING, "results": {"type": "array", "items": {"type": "object"}}},
        "required": ["results"],
    }
    example = {
        name: {"type": EXAMPLE[name].get("type", "")} if name != "action" else EXAMPLE[name] for name in required
    }
    sent: Schema = {"type": "object", "properties": {**members, "page": PAGE}, "required": required}
    return _document(sent, results, example)


EVALUATION = _document(QUESTION, DECISION, EXAMPLE)
EVALUATIONS = _document(
    BATCH, {"anyOf": [DECISION, {"type": "object", "properties": {"evaluations": {"type": "array", "items": DECISION}},
                                 "required": ["evaluations"]}]},
    {**{name: EXAMPLE[name] for name in ("subject", "action")}, "evaluations": [{"resource": EXAMPLE["resource"]}]},
)
SEARCH_SUBJECT = _search(subject=SUBJECT_SOUGHT, action=ACTION, resource=RESOURCE, context=CONTEXT)
SEARCH_RESOURCE = _search(subject=SUBJECT, action=ACTION, resource=RESOURCE_SOUGHT, context=CONTEXT)
SEARCH_ACTION = _search(subject=SUBJECT, resource=RESOURCE, context=CONTEXT)
