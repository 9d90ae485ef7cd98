"""Refusals: every error a caller can meet has a stable code, a sentence in Chinese and English, a next step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

Language = Literal["zh", "en"]


@dataclass(frozen=True)
class FieldError:
    """One fault in one field of what the caller sent; ``field`` is a dotted path such as ``fields.0.name``."""

    field: str
    code: str
    zh: str
    en: str

    def as_dict(self, language: Language) -> dict[str, str]:
        return {"field": self.field, "code": self.code, "detail": self.zh if language == "zh" else self.en}


@dataclass(frozen=True)
class Reason:
    """One reason behind a refusal or a denial; codes are stable, sentences may be reworded."""

    code: str
    zh: str
    en: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self, language: Language) -> dict[str, Any]:
        out: dict[str, Any] = {"code": self.code, "detail": self.zh if language == "zh" else self.en}
        if self.facts:
            out["facts"] = dict(self.facts)
        return out


class Refusal(Exception):
    """Base of every error that is an answer.

    Subclasses set ``code``, ``status`` and the sentences, and ``type`` where a standard names the problem's URI;
    ``{placeholders}`` are filled from ``facts``. A value given as a fact appears in the answer, so it must be no
    secret and nothing personal.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400
    type: ClassVar[str | None] = None
    zh: ClassVar[str] = "请求未被接受。"
    en: ClassVar[str] = "The request was not accepted."
    next_zh: ClassVar[str] = "请按说明修改后重试。"
    next_en: ClassVar[str] = "Correct it as described and try again."

    def __init__(
        self, *, errors: Iterable[FieldError] = (), reasons: Iterable[Reason] = (), **facts: object
    ) -> None:
        self.errors = tuple(errors)
        self.reasons = tuple(reasons)
        self.facts = facts
        super().__init__(f"{self.code}: {self.detail('en')}")

    def detail(self, language: Language) -> str:
        return (self.zh if language == "zh" else self.en).format(**self.facts)

    def next(self, language: Language) -> str:
        return (self.next_zh if language == "zh" else self.next_en).format(**self.facts)

    def headers(self) -> dict[str, str]:
        """Extra response headers, such as ``Retry-After`` or ``WWW-Authenticate``."""
        return {}


class InvalidInput(Refusal):
    code = "invalid_input"
    status = 422
    zh = "提交的内容有 {count} 处需要修改。"
    en = "{count} part(s) of what was sent need correction."
    next_zh = "请修改列出的字段后重新提交，已填写的内容不会丢失。"
    next_en = "Correct the listed fields and send it again."

    def __init__(self, errors: Iterable[FieldError]) -> None:
        found = tuple(errors)
        super().__init__(errors=found, count=len(found))


class NotSignedIn(Refusal):
    code = "not_signed_in"
    status = 401
    zh = "此操作需要登录。"
    en = "This needs you to be signed in."
    next_zh = "请登录，或在请求头 Authorization 中提供有效的令牌。"
    next_en = "Sign in, or send a valid token in the Authorization header."

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class TokenInvalid(NotSignedIn):
    code = "token_invalid"
    zh = "令牌无效或已过期。"
    en = "The token is invalid or has expired."
    next_zh = "请重新登录，或换用有效的令牌。"
    next_en = "Sign in again, or use a valid token."


class Forbidden(Refusal):
    code = "forbidden"
    status = 403
    zh = "您没有执行此操作的权限。"
    en = "You are not allowed to do this."
    next_zh = "如确需办理，请联系本单位管理员分配相应角色。"
    next_en = "If you need to, ask your organisation's administrator for the role."


class NotFound(Refusal):
    code = "not_found"
    status = 404
    zh = "没有找到您请求的内容，或您无权查看。"
    en = "It was not found, or you may not see it."
    next_zh = "请检查地址或编号。"
    next_en = "Check the address or the number."


class Conflict(Refusal):
    code = "conflict"
    status = 409
    zh = "与当前状态冲突。"
    en = "This conflicts with the current state."
    next_zh = "请刷新后查看最新状态。"
    next_en = "Reload to see the current state."


class VersionConflict(Conflict):
    code = "version_conflict"
    zh = "该事项已被他人处理（当前版本 {current}，您提交的是版本 {given}）。"
    en = "Somebody else has changed this meanwhile (now version {current}, yours was {given})."
    next_zh = "请刷新查看最新结果后再决定，您填写的内容仍保留。"
    next_en = "Reload, look at the new state and decide again."


class TransitionRefused(Conflict):
    code = "transition_refused"
    zh = "当前状态“{state}”下不能执行“{event}”。"
    en = "'{event}' is not possible in state '{state}'."


class IdempotencyMismatch(Conflict):
    code = "idempotency_mismatch"
    zh = "同一 Idempotency-Key 已用于内容不同的请求。"
    en = "This Idempotency-Key was already used with other content."
    next_zh = "请为新的请求使用新的 Idempotency-Key。"
    next_en = "Use a new Idempotency-Key for a new request."


class TooLarge(Refusal):
    code = "too_large"
    status = 413
    zh = "提交的内容超过上限 {limit}。"
    en = "What was sent is larger than the limit of {limit}."
    next_zh = "请减小内容或分批提交。"
    next_en = "Send less, or in several parts."


class Unavailable(Refusal):
    code = "unavailable"
    status = 503
    zh = "依赖的服务“{part}”暂时不可用。"
    en = "The part '{part}' is not available right now."
    next_zh = "请稍后重试；您提交的内容没有生效。"
    next_en = "Try again shortly; nothing has been done."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": "5"}
