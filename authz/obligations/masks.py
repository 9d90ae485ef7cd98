"""Masks as SQL expressions. Every one of them is NULL for NULL."""

from __future__ import annotations

from authz.foundation.errors import Forbidden
from authz.model import Mask
from authz.obligations.text import Parameters

SALT_LENGTH_MIN = 16
BLOCK_BYTES = 64
"""Block size of SHA-256, for HMAC (RFC 2104)."""

PERIODS = {"year": "'YYYY'", "quarter": "'YYYY-\"Q\"Q'", "month": "'YYYY-MM'"}


class ObligationUnfulfillable(Forbidden):
    """A duty of the permit cannot be carried out here, so the permit is none."""

    code = "obligation_unfulfillable"
    zh = "无法落实授权附带的义务（{duty}），按拒绝处理。"
    en = "A duty attached to the permit cannot be fulfilled ({duty}), so it is denied."
    next_zh = "请联系数据提供部门核对字段类型和脱敏规则。"
    next_en = "Ask the department to check the field's type and mask."


def masked(column: str, kind: str, mask: Mask, salt: str, parameters: Parameters) -> tuple[str, str]:
    """The expression of a masked column and the field type of its result.

    ``column`` is SQL already quoted, ``kind`` the field's type. Raises ObligationUnfulfillable when the mask does not
    fit the type or a hash has no salt.
    """
    text = f"({column})::text"
    match mask.kind:
        case "null":
            return "NULL::text", "text"
        case "hash":
            return _hmac(text, salt, parameters), "text"
        case "partial":
            return _partial(text, mask.detail), "text"
        case "generalise_date" if kind in ("date", "timestamp"):
            return f"to_char({column}, {PERIODS[mask.detail]})", "text"
        case "generalise_number" if kind in ("integer", "numeric"):
            return _steps(f"({column})::numeric", int(mask.detail)), "numeric"
        case "generalise_region" if kind in ("text", "integer"):
            keep = int(mask.detail)
            code = f"rpad(left({text}, {keep}), char_length({text}), '0')"
            return f"CASE WHEN {text} ~ '^[0-9]+$' THEN {code} END", "text"
    raise ObligationUnfulfillable(duty=f"mask {mask} on {kind}")


def _steps(number: str, step: int) -> str:
    """The multiple of ``step`` at or below. A power of ten leaves digits away, which costs a third of dividing."""
    whole = f"(floor({number} / {step}) * {step})::numeric"
    zeros = len(str(step)) - 1
    return whole if step != 10**zeros else f"(CASE WHEN {number} >= 0 THEN trunc({number}, -{zeros}) ELSE {whole} END)"


def _hmac(text: str, salt: str, parameters: Parameters) -> str:
    """HMAC-SHA256 in hexadecimal, from PostgreSQL's own sha256: equal values hash equally under one salt only."""
    if len(salt) < SALT_LENGTH_MIN:
        raise ObligationUnfulfillable(duty="hash without a salt")
    key = salt.encode("utf-8")
    if len(key) > BLOCK_BYTES:
        raise ObligationUnfulfillable(duty="hash with a salt above 64 bytes")
    padded = key.ljust(BLOCK_BYTES, b"\0")
    inner = parameters.add(bytes(byte ^ 0x36 for byte in padded), "bytea")
    outer = parameters.add(bytes(byte ^ 0x5C for byte in padded), "bytea")
    return f"encode(sha256({outer} || sha256({inner} || convert_to({text}, 'UTF8'))), 'hex')"


def _partial(text: str, detail: str) -> str:
    """Ends kept, the rest starred: names keep the first character, whatever their length."""
    match detail:
        case "name":
            first = f"WHEN char_length({text}) > 1 THEN left({text}, 1) || '**'"
            return f"CASE {first} WHEN {text} IS NOT NULL THEN '**' END"
        case "phone":
            return _ends(text, 3, 4, 11)
        case "id":
            return _ends(text, 3, 2, 15)
        case "middle":
            return _ends(text, 1, 1, 4)
    raise ObligationUnfulfillable(duty=f"mask partial:{detail}")


def _ends(text: str, first: int, last: int, length_min: int) -> str:
    """``first`` and ``last`` characters around stars; values shorter than ``length_min`` are stars alone."""
    stars = f"repeat('*', char_length({text}) - {first + last})"
    kept = f"left({text}, {first}) || {stars} || right({text}, {last})"
    return f"CASE WHEN char_length({text}) >= {length_min} THEN {kept} WHEN {text} IS NOT NULL THEN '****' END"
