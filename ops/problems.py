"""Refusals, validation faults and crashes as RFC 9457 problems in the caller's language."""

from __future__ import annotations

import logging
from typing import Any

import asyncpg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from authz import FieldError, InvalidInput, Language, NotFound, Refusal, Unavailable

log = logging.getLogger("govopen.app")


class MethodNotAllowed(Refusal):
    code = "method_not_allowed"
    status = 405
    zh = "该地址不支持 {method} 方法。"
    en = "This address does not support {method}."
    next_zh = "请查阅接口描述 /v1/openapi.json。"
    next_en = "See the description of the API at /v1/openapi.json."


class BadRequest(Refusal):
    code = "bad_request"
    status = 400
    zh = "请求格式不正确：{what}。"
    en = "The request is malformed: {what}."


class Crash(Refusal):
    code = "internal_error"
    status = 500
    zh = "处理请求时发生意外，操作没有生效。"
    en = "Something unexpected happened; nothing has been done."
    next_zh = "请稍后重试；如仍出现，请把请求编号 {request_id} 告诉运维人员。"
    next_en = "Try again; if it persists give the request id {request_id} to the operators."


def language_of(request: Request) -> Language:
    """Chinese unless the caller prefers English, by the first supported tag of Accept-Language."""
    for part in request.headers.get("accept-language", "").split(","):
        tag = part.split(";")[0].strip().lower()
        if tag.startswith("zh"):
            return "zh"
        if tag.startswith("en"):
            return "en"
    return "zh"


def problem(request: Request, refusal: Refusal) -> JSONResponse:
    language = language_of(request)
    body: dict[str, Any] = {
        "type": refusal.type or f"/v1/errors#{refusal.code}",
        "title": refusal.detail(language),
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail(language),
        "next": refusal.next(language),
        "request_id": getattr(request.state, "request_id", None),
    }
    if refusal.errors:
        body["errors"] = [error.as_dict(language) for error in refusal.errors]
    if refusal.reasons:
        body["reasons"] = [reason.as_dict(language) for reason in refusal.reasons]
    return JSONResponse(
        body,
        status_code=refusal.status,
        headers={**refusal.headers(), "Content-Language": "zh-CN" if language == "zh" else "en"},
        media_type="application/problem+json",
    )


SENTENCES: dict[str, tuple[str, str]] = {
    "missing": ("必填项", "is required"),
    "extra_forbidden": ("未知字段", "is not a known field"),
    "json_invalid": ("不是有效的 JSON", "is not valid JSON"),
    "int_parsing": ("应为整数", "must be an integer"),
    "int_type": ("应为整数", "must be an integer"),
    "int_from_float": ("应为整数，不能有小数", "must be an integer without a fraction"),
    "string_type": ("应为文本", "must be text"),
    "bool_parsing": ("应为 true 或 false", "must be true or false"),
    "bool_type": ("应为 true 或 false", "must be true or false"),
    "date_from_datetime_parsing": ("应为日期，例如 2026-11-21", "must be a date such as 2026-11-21"),
    "date_parsing": ("应为日期，例如 2026-11-21", "must be a date such as 2026-11-21"),
    "list_type": ("应为列表", "must be a list"),
    "dict_type": ("应为对象", "must be an object"),
    "model_attributes_type": ("应为对象", "must be an object"),
    "enum": ("不在允许的取值中：{expected}", "must be one of {expected}"),
    "literal_error": ("不在允许的取值中：{expected}", "must be one of {expected}"),
    "string_too_long": ("不能超过 {max_length} 个字符", "must have at most {max_length} characters"),
    "string_too_short": ("至少需要 {min_length} 个字符", "must have at least {min_length} characters"),
    "too_long": ("最多 {max_length} 项", "must have at most {max_length} items"),
    "too_short": ("至少 {min_length} 项", "must have at least {min_length} items"),
    "greater_than": ("应大于 {gt}", "must be greater than {gt}"),
    "greater_than_equal": ("不能小于 {ge}", "must be at least {ge}"),
    "less_than": ("应小于 {lt}", "must be less than {lt}"),
    "less_than_equal": ("不能大于 {le}", "must be at most {le}"),
    "string_pattern_mismatch": ("格式不正确", "has the wrong form"),
    "control_characters": ("含有不允许的控制字符", "contains control characters"),
}


def field_errors(faults: list[dict[str, Any]]) -> list[FieldError]:
    """Pydantic's faults as ours: a path, a code, a sentence in both languages; never the offending value."""
    found = []
    for fault in faults:
        kind = str(fault.get("type", "invalid"))
        zh, en = SENTENCES.get(kind, ("取值不正确", "has an unacceptable value"))
        facts = {k: v for k, v in (fault.get("ctx") or {}).items() if isinstance(v, int | float | str)}
        if kind == "value_error":
            zh = en = str(fault.get("msg", "")).removeprefix("Value error, ") or zh
        try:
            zh, en = zh.format(**facts), en.format(**facts)
        except (KeyError, IndexError, ValueError):
            zh, en = SENTENCES.get(kind, ("取值不正确", "has an unacceptable value"))
        where = ".".join(str(part) for part in fault.get("loc", ()) if part not in ("body", "query", "path"))
        found.append(FieldError(where or "body", kind, zh, en))
    return found


AWAY = (
    asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.PostgresIOError,
)
"""The database is not there at this moment, or not for one more."""


def _database_refusal(error: asyncpg.PostgresError) -> Refusal | None:
    """What the database refuses because of what the caller sent; None for faults of our own."""
    if isinstance(error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError):
        return BadRequest(what="U+0000 / invalid text")
    if isinstance(error, AWAY):
        return Unavailable(part="PostgreSQL")
    return None


def install(app: FastAPI) -> None:
    """Make the app answer every exception with a problem."""

    @app.exception_handler(Refusal)
    async def _refusal(request: Request, refusal: Refusal) -> JSONResponse:
        return problem(request, refusal)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        refusal = InvalidInput(field_errors(list(error.errors())))
        answer = problem(request, refusal)
        if request.url.path.startswith("/access/"):
            answer.status_code = 400
        return answer

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 404:
            return problem(request, NotFound())
        if error.status_code == 405:
            answer = problem(request, MethodNotAllowed(method=request.method))
            answer.headers.update(error.headers or {})
            return answer
        answer = problem(request, BadRequest(what=str(error.detail)[:200]))
        answer.status_code = error.status_code
        return answer

    @app.exception_handler(UnicodeEncodeError)
    async def _text(request: Request, error: UnicodeEncodeError) -> JSONResponse:
        return problem(request, BadRequest(what="invalid Unicode text"))

    @app.exception_handler(RecursionError)
    async def _deep(request: Request, error: RecursionError) -> JSONResponse:
        return problem(request, BadRequest(what="nested too deeply"))

    @app.exception_handler(OSError)
    async def _away(request: Request, error: OSError) -> JSONResponse:
        if error.filename is not None:  # a file, and no connection: a fault of our own
            log.error("a file cannot be used", exc_info=error, extra={"request_id": request.state.request_id})
            return problem(request, Crash(request_id=request.state.request_id))
        log.exception("a part is away", extra={"request_id": request.state.request_id})
        return problem(request, Unavailable(part="PostgreSQL"))

    @app.exception_handler(asyncpg.PostgresError)
    async def _database(request: Request, error: asyncpg.PostgresError) -> JSONResponse:
        refusal = _database_refusal(error)
        if refusal is None:
            log.error("database error %s", error.sqlstate, exc_info=error)
            refusal = Crash(request_id=request.state.request_id)
        return problem(request, refusal)

    @app.exception_handler(asyncpg.InternalClientError)
    async def _lost(request: Request, error: asyncpg.InternalClientError) -> JSONResponse:
        """The connection was cut in the middle of a word: the driver no longer knows where it is."""
        log.warning("a connection was lost: %s", error)
        return problem(request, Unavailable(part="PostgreSQL"))

    @app.exception_handler(asyncpg.DataError)
    async def _data(request: Request, error: asyncpg.DataError) -> JSONResponse:
        return await _database(request, error)

    @app.exception_handler(Exception)
    async def _crash(request: Request, error: Exception) -> JSONResponse:
        log.exception("unexpected error", exc_info=error)
        answer = problem(request, Crash(request_id=getattr(request.state, "request_id", "-")))
        answer.headers["X-Request-ID"] = getattr(request.state, "request_id", "-")
        return answer
