"""Fields as finished JSON, kept in the table beside the values: PostgreSQL need not write them anew for every page.

Each is a generated column, so it cannot differ from the value in the same row. Its name is a digest of the expression
it is made by, mask included: who looks for a field under a mask finds the text made with exactly that mask, or none.
Masks that depend on the grant (hashes) are never kept, nor is what PostgreSQL writes by the session's settings.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import orjson

from authz.model import DataField, Mask
from authz.obligations.masks import ObligationUnfulfillable, masked
from authz.obligations.text import Parameters, literal, quoted

SERVER_MIN = 17
"""The major version of PostgreSQL that first has ``JSON_SCALAR``."""
PREFIX = "_json_"
WRITTEN = "written"
"""The type of an output column that is such a text."""
PLAIN = frozenset({"text", "integer", "numeric", "boolean"})
MASKS = frozenset({"partial", "generalise_number", "generalise_region"})


@dataclass(frozen=True, slots=True)
class WrittenText:
    """``name`` is the column's, ``sql`` what it is generated from: ``lead``, the field's name, a colon, its value.

    It is NULL for values that are not ``always`` written: then it has to be done for the page.
    """

    name: str
    sql: str
    lead: str
    always: bool


@lru_cache(2_000)
def written_text(field: str, kind: str, mask: Mask | None, lead: str) -> WrittenText | None:
    """The kept text of a field under a mask; None where none is kept. ``lead`` is a comma or nothing."""
    column = quoted(field)
    if kind in PLAIN and (mask is None or mask.kind in MASKS):
        shown = column if mask is None else masked(column, kind, mask, "", Parameters())[0]
        sql = _named(field, lead, scalar(shown))
    elif kind in ("date", "timestamp") and mask is None:
        sql = _named(field, lead, _moment(column, kind))
    else:
        return None
    digest = hashlib.sha256(sql.encode()).hexdigest()
    return WrittenText(f"{PREFIX}{digest[:24]}", sql, lead, kind in PLAIN)


def written_texts(fields: Sequence[DataField]) -> list[WrittenText]:
    """What a table of these fields keeps: each as the catalogue has it shown, in the order of the catalogue."""
    found = []
    for place, one in enumerate(fields):
        with contextlib.suppress(ObligationUnfulfillable):  # a mask that does not fit the field: nobody will read it
            text = written_text(one.name, one.type, one.mask, "," if place else "")
            found += [text] if text is not None else []
    return found


def found_text(field: DataField, mask: Mask | None, place: int, expression: str, kept: frozenset[str]) -> str | None:
    """A field in JSON out of what table ``t`` keeps, as the column at ``place`` of a row; None if nothing fits.

    ``expression`` is what the caller is to see of the field; it is used for values whose text is not kept.
    """
    wanted = "," if place else ""
    for lead in ("", ","):
        text = written_text(field.name, field.type, mask, lead)
        if text is None:
            return None
        if text.name in kept:
            column = f"t.{quoted(text.name)}"
            if lead != wanted:
                column = f"right({column}, -1)" if lead else f"(',' || {column})"
            return column if text.always else f"coalesce({column}, {_named(field.name, wanted, scalar(expression))})"
    return None


def scalar(expression: str) -> str:
    """A value as JSON text."""
    return f"coalesce(JSON_SCALAR({expression})::text, 'null')"


def label(field: str, lead: str) -> str:
    """What stands before a value in a row of JSON, as a literal."""
    return literal(f"{lead}{orjson.dumps(field).decode()}:")


def _named(field: str, lead: str, value: str) -> str:
    return f"{label(field, lead)} || {value}"


def _moment(column: str, kind: str) -> str:
    """A date or time as JSON has it, without what depends on settings; NULL outside of the years 1 to 9999."""
    day = " || '-' || ".join(
        f"lpad(extract({part} FROM {column})::text, {width}, '0')"
        for part, width in (("year", 4), ("month", 2), ("day", 2))
    )
    if kind == "timestamp":
        day += f" || 'T' || {column}::time::text"
    last = "9999-12-31" if kind == "date" else "9999-12-31 23:59:59.999999"
    within = f"{column} BETWEEN '0001-01-01'::{kind} AND '{last}'::{kind}"
    return f"CASE WHEN {column} IS NULL THEN 'null' WHEN {within} THEN '\"' || {day} || '\"' END"
