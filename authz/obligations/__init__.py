"""Obligations as SQL: columns, masks and row filters become one SELECT, never loops over rows."""

from authz.obligations.compile import CompiledQuery, FilterNotAllowed, compile_select
from authz.obligations.masks import ObligationUnfulfillable
from authz.obligations.text import literal, quoted

__all__ = [
    "CompiledQuery", "FilterNotAllowed", "ObligationUnfulfillable", "compile_select", "literal", "quoted",
]
