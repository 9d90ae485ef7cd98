"""The description of the interface, completed: every refusal is a problem (RFC 9457), whatever the address."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

METHODS = frozenset({"get", "put", "post", "delete", "patch", "head"})
PART: dict[str, Any] = {
    "type": "object", "required": ["code", "detail"],
    "properties": {"code": {"type": "string"}, "detail": {"type": "string"}, "facts": {"type": "object"}},
}
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "拒绝或差错：为什么、怎么办 (why it was refused, and what to do next), RFC 9457",
    "required": ["type", "title", "status", "code", "detail", "next", "request_id"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "code", "detail", "next")},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "request_id": {"type": ["string", "null"]},
        "errors": {"type": "array", "items": {
            **PART, "required": ["field", *PART["required"]],
            "properties": {**PART["properties"], "field": {"type": "string"}},
        }},
        "reasons": {"type": "array", "items": PART},
    },
}
EXAMPLE = {
    "type": "/v1/errors#not_found", "title": "没有找到您请求的内容，或您无权查看。", "status": 404, "code": "not_found",
    "detail": "没有找到您请求的内容，或您无权查看。", "next": "请检查地址或编号。", "request_id": "req_01m7zk3c",
}
REFUSED = {
    "description": "被拒绝，或请求有误 (refused, or faulty)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": EXAMPLE}},
}


def complete(app: FastAPI) -> None:
    """Let the app describe its refusals too: ``default`` of every operation, and 422 as it really is."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = described()
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = PROBLEM
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for item in found["paths"].values():
                for method, operation in item.items():
                    if method in METHODS:
                        _refusals(operation["responses"])
        assert app.openapi_schema is not None  # noqa: S101 - made above
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _refusals(responses: dict[str, Any]) -> None:
    told = responses.get("422", {}).get("content", {})
    if "application/json" in told:
        responses["422"] = {**REFUSED, "description": "内容需要修改 (what was sent needs correction)"}
    responses.setdefault("default", REFUSED)
