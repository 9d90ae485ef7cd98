"""Where a schema field lives in the tantivy index, and the tantivy schema itself.

Text fields named in the schema have two tantivy fields of their own: a bag of words and a sequence for phrases.
Everything exact (strings, the catch-all, dates and numbers for equality and facets) shares the field ``s`` as
terms ``name SEP value``; dynamic text shares ``x`` the same way (spaces of a name become another character there).
``SEP name`` in ``s`` says that a document has the field at all. Dates and numbers have columns besides, for ranges
and sorting.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from tantivy import Index, Schema, SchemaBuilder

from ops.search.analysis import MAX_TERM_BYTES
from ops.search.grams import beginnings_of
from ops.search.schema import FIELDS, Kind, field_of

SEP = "\x1f"
EXACT = "s"
DYNAMIC_TEXT = "x"
KEY = "key_"
SEQUENCE = "seq_"
PINYIN, INITIALS = "title_pinyin", "title_initials"
"""The readings of a title's characters in sequence, and their initials from each character on."""
UNCOUNTED = frozenset({
    "index_id", "id", "name", "title_string", "url", "ckan_url", "download_url", "res_url", "revision_id", "_version_",
    "permission_labels",
})
"""Fields of which hardly two documents share a value: counted by their terms, when somebody asks."""
_COUNTED_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
LOCKED_S = 30.0
_SPACES = str.maketrans(" \t\n\r\f\v", "\x05" * 6)
LAYOUT = "8"
"""Version of the analysis and layout: another value makes the engine index everything anew from the store."""

SORT_TEXT = {"name": "name_", "title_string": "title_string_", "title": "title_string_"}
"""String fields with a column to sort by (``title`` sorts as ``title_string``)."""
COLUMNS = frozenset(name for name, field in FIELDS.items() if field.kind in (Kind.DATE, Kind.INT))


def build_schema() -> Schema:
    builder = SchemaBuilder()
    builder.add_text_field(KEY, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field(SEQUENCE, fast=True, indexed=True)
    builder.add_text_field(EXACT, tokenizer_name="whitespace", index_option="basic")
    builder.add_text_field(DYNAMIC_TEXT, tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field(sequence_of(DYNAMIC_TEXT), tokenizer_name="whitespace", index_option="position")
    builder.add_text_field(PINYIN, tokenizer_name="whitespace", index_option="position")
    builder.add_text_field(INITIALS, tokenizer_name="whitespace", index_option="basic")
    for name, field in FIELDS.items():
        if field.own and field.kind is Kind.NGRAM:
            builder.add_text_field(name, tokenizer_name="whitespace", index_option="position")
            builder.add_text_field(beginnings_of(name), tokenizer_name="whitespace", index_option="basic")
        elif field.own and field.kind.is_text:
            builder.add_text_field(name, tokenizer_name="whitespace", index_option="freq")
            builder.add_text_field(sequence_of(name), tokenizer_name="whitespace", index_option="position")
        elif name in COLUMNS:
            builder.add_integer_field(name, indexed=True, fast=True)
    for column in sorted(set(SORT_TEXT.values())):
        builder.add_text_field(column, tokenizer_name="raw", index_option="basic", fast=True)
    return builder.build()


def open_index(folder: Path, heap_bytes: int, threads: int = 1) -> tuple[Index, Any]:
    """The index in a folder and its only writer, whose threads hold so much together before they write segments.

    A writer that was killed may take a moment to be gone.
    """
    index = Index(build_schema(), path=str(folder))
    deadline = time.monotonic() + LOCKED_S
    while True:
        try:
            writer = index.writer(heap_bytes, threads)
            break
        except ValueError as error:
            if "LockBusy" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    return index, writer


@lru_cache(maxsize=4096)
def is_counted(name: str) -> bool:
    """Are the values of a field counted by the numbers of the documents?"""
    return field_of(name).kind is Kind.STRING and name not in UNCOUNTED and _COUNTED_NAME.fullmatch(name) is not None


def sequence_of(place: str) -> str:
    """The tantivy field that keeps the order of a text field's terms."""
    return place + "_seq"


def place_of(name: str) -> tuple[str, str]:
    """(tantivy field, prefix of its terms) that hold a schema field's terms."""
    field = field_of(name)
    if field.kind.is_text:
        return (name, "") if field.own else (DYNAMIC_TEXT, name.translate(_SPACES) + SEP)
    return EXACT, name + SEP


def clean_name(name: str) -> bool:
    """A field name that cannot be mistaken for another field's terms."""
    return SEP not in name and bool(name)


def fits(term: str) -> bool:
    return len(term.encode("utf-8", "surrogatepass")) <= MAX_TERM_BYTES
