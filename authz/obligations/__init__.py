"""Obligations as SQL: columns, masks and row filters become one SELECT, never loops over rows."""

from authz.obligations.compile import CompiledQuery, FilterNotAllowed, compile_select
from authz.obligations.masks import ObligationUnfulfillable
from authz.obligations.text import literal, quoted
from authz.obligations.written import WrittenText, written_texts

__all__ = [
    "CompiledQuery", "FilterNotAllowed", "ObligationUnfulfillable", "WrittenText", "compile_select", "literal",
    "quoted", "written_texts",
]
