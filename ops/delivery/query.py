"""What a caller asks for, read from the address: everything unknown is named, with what exists instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from starlette.datastructures import QueryParams

from authz import FieldError, InvalidInput, RowFilter
from authz.model import FILTER_OPS
from ops.delivery.refusals import KeyInAddress

FORMATS = ("csv", "json", "jsonl", "parquet", "arrow", "xlsx", "geojson")
ENCODINGS = ("utf-8", "gb18030")
SORTS_MAX = 8
ROWS_PAGE_MAX = 1_000
ROWS_PAGE_DEFAULT = 100
LIMIT_MAX = 10_000_000
FILTERS_MAX = 50
IN_VALUES_MAX = 1_000
KEPT_LENGTH_MAX = 500
KEY_PARAMETERS = frozenset({"key", "api_key", "apikey", "access_key", "access_token", "token", "authorization"})
FILTER = re.compile(r"filter\[([^\[\]]{1,200})\](?:\[([^\[\]]{0,20})\])?")
RESOURCE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
CURSOR = re.compile(rb"[A-Za-z0-9_-]{1,200}")
PURPOSE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

DOWNLOAD_PARAMETERS = (
    "format", "columns", "sort", "limit", "purpose", "bom", "encoding", "filter[字段]", "filter[字段][操作]",
)
PAGE_PARAMETERS = ("columns", "limit", "cursor", "purpose", "filter[字段]", "filter[字段][操作]")


@dataclass(frozen=True)
class DataQuery:
    """A request for data; values of filters are still text and are typed by the field they compare with."""

    format: str = "csv"
    columns: tuple[str, ...] | None = None
    filters: tuple[RowFilter, ...] = ()
    limit: int | None = None
    purpose: str | None = None
    bom: bool = False
    cursor: str | None = None
    sort: tuple[tuple[str, bool], ...] = ()
    encoding: str = "utf-8"

    @property
    def fields(self) -> tuple[str, ...] | None:
        """Columns that are shown, None for all that may be had."""
        return self.columns

    @property
    def identity(self) -> str:
        """What a cursor belongs to: the same rows in the same order."""
        filters = sorted((one.field, one.op, str(one.value)) for one in self.filters)
        return repr((self.columns, filters))


class _Reader:
    """Collects every fault instead of stopping at the first."""

    def __init__(self, params: QueryParams, allowed: Sequence[str], purpose_header: str | None) -> None:
        self.errors: list[FieldError] = []
        self.allowed = allowed
        self.plain: dict[str, str] = {}
        self.filters: list[RowFilter] = []
        self.purpose_header = purpose_header
        for name, value in params.multi_items():
            self._take(name, value)

    def fault(self, field: str, code: str, zh: str, en: str) -> None:
        self.errors.append(FieldError(field[:200], code, zh, en))

    def _take(self, name: str, value: str) -> None:
        if name.lower() in KEY_PARAMETERS or value.startswith("gok_"):
            raise KeyInAddress(parameter=name[:40])
        match = FILTER.fullmatch(name)
        if match:
            self._filter(name, match[1], match[2], value)
        elif name not in self.allowed:
            known = "、".join(self.allowed)
            self.fault(name, "unknown_parameter", f"未知参数，可用：{known}", f"is not known; there are {known}")
        elif name in self.plain:
            self.fault(name, "repeated_parameter", "参数重复", "is given more than once")
        else:
            self.plain[name] = value

    def _filter(self, name: str, field: str, op: str | None, value: str) -> None:
        op = "eq" if op is None else op
        known = "、".join(FILTER_OPS)
        if op not in FILTER_OPS:
            self.fault(name, "unknown_operator", f"未知操作，可用：{known}", f"has no such operator; there are {known}")
        elif len(self.filters) >= FILTERS_MAX:
            self.fault(name, "too_many", f"最多 {FILTERS_MAX} 个条件", f"is beyond {FILTERS_MAX} conditions")
        elif op == "in":
            values = tuple(value.split(","))
            if len(values) > IN_VALUES_MAX:
                self.fault(name, "too_many", f"最多 {IN_VALUES_MAX} 个值", f"has more than {IN_VALUES_MAX} values")
            self.filters.append(RowFilter(field, op, values))
        else:
            self.filters.append(RowFilter(field, op, value))

    def number(self, name: str, most: int) -> int | None:
        text = self.plain.get(name)
        if text is None:
            return None
        if text.isascii() and text.isdigit() and 1 <= len(text) <= 12 and 1 <= int(text) <= most:
            return int(text)
        self.fault(name, "out_of_range", f"应为 1 至 {most} 的整数", f"must be a whole number from 1 to {most}")
        return None

    def choice(self, name: str, among: Iterable[str], default: str, *, fold: bool = False) -> str:
        text = self.plain.get(name, default)
        text = text.lower() if fold else text
        if text not in among:
            known = "、".join(among)
            self.fault(name, "unknown_value", f"可用：{known}", f"must be one of {known}")
        return text

    def columns(self) -> tuple[str, ...] | None:
        text = self.plain.get("columns")
        if text is None:
            return None
        names = [name.strip() for name in text.split(",")]
        if not all(names):
            self.fault("columns", "empty_name", "字段名不能为空，用逗号分隔", "has an empty name; separate by commas")
        if len(set(names)) < len(names):
            self.fault("columns", "repeated_name", "字段重复", "names a field twice")
        return tuple(names)

    def sort(self) -> tuple[tuple[str, bool], ...]:
        """Fields to sort by, each with whether it descends (``-name``)."""
        text = self.plain.get("sort")
        if text is None:
            return ()
        keys = [(name.strip().removeprefix("-"), name.strip().startswith("-")) for name in text.split(",")]
        if not all(name for name, _ in keys):
            self.fault("sort", "empty_name", "字段名不能为空，用逗号分隔", "has an empty name; separate by commas")
        if len({name for name, _ in keys}) < len(keys):
            self.fault("sort", "repeated_name", "字段重复", "names a field twice")
        if len(keys) > SORTS_MAX:
            self.fault("sort", "too_many", f"最多 {SORTS_MAX} 个字段", f"has more than {SORTS_MAX} fields")
        return tuple(keys)

    def encoding(self, form: str) -> str:
        found = self.choice("encoding", ENCODINGS, "utf-8", fold=True)
        for name, given in (("encoding", found != "utf-8"), ("bom", self.plain.get("bom") == "1")):
            if given and form != "csv":
                self.fault(name, "csv_only", "只用于 format=csv", "is for format=csv only")
        if found != "utf-8" and self.plain.get("bom") == "1":
            self.fault("bom", "contradiction", "BOM 只用于 UTF-8", "goes with UTF-8 only")
        return found

    def purpose(self) -> str | None:
        given = self.plain.get("purpose")
        header = self.purpose_header
        if given is not None and header is not None and given != header:
            self.fault(
                "purpose", "contradiction", "与请求头 X-Govopen-Purpose 不一致",
                "differs from the header X-Govopen-Purpose",
            )
        found = given if given is not None else header
        if found is not None and not PURPOSE.fullmatch(found):
            self.fault("purpose", "malformed", "应为用途代码", "must be the code of a purpose")
        return found

    def done(self) -> None:
        if self.errors:
            raise InvalidInput(self.errors)


def read_download(params: QueryParams, purpose_header: str | None, preferred: str = "csv") -> DataQuery:
    """The query of a download; raises InvalidInput naming every fault, KeyInAddress for a key in the address.

    ``preferred`` is the format for a caller that names none by ``format``.
    """
    reader = _Reader(params, DOWNLOAD_PARAMETERS, purpose_header)
    form = reader.choice("format", FORMATS, preferred)
    query = DataQuery(
        format=form, columns=reader.columns(), filters=tuple(reader.filters),
        limit=reader.number("limit", LIMIT_MAX), purpose=reader.purpose(),
        bom=reader.choice("bom", ("0", "1"), "0") == "1", sort=reader.sort(), encoding=reader.encoding(form),
    )
    reader.done()
    return query


def read_page(params: QueryParams, purpose_header: str | None) -> DataQuery:
    """The query of one page of rows."""
    reader = _Reader(params, PAGE_PARAMETERS, purpose_header)
    query = DataQuery(
        format="json", columns=reader.columns(), filters=tuple(reader.filters),
        limit=reader.number("limit", ROWS_PAGE_MAX) or ROWS_PAGE_DEFAULT, purpose=reader.purpose(),
        cursor=reader.plain.get("cursor"),
    )
    reader.done()
    return query


def read_page_again(query_string: bytes, purpose_header: str | None) -> tuple[DataQuery, str | None]:
    """``read_page`` for who reads page after page, and the cursor: all but a cursor at the end is read once.

    The query has no cursor then, so that it is the same one for every page.
    """
    rest, mark, cursor = query_string.partition(b"&cursor=")
    if mark and len(rest) <= KEPT_LENGTH_MAX and CURSOR.fullmatch(cursor):
        query = _read_page(rest, purpose_header)
        if query.cursor is None:
            return query, cursor.decode("ascii")
    query = read_page(QueryParams(query_string), purpose_header)
    return query, query.cursor


@lru_cache(1_024)
def _read_page(query_string: bytes, purpose_header: str | None) -> DataQuery:
    return read_page(QueryParams(query_string), purpose_header)


def check_fields(query: DataQuery, known: Sequence[str]) -> None:
    """Raise InvalidInput for columns and filters on fields that the data does not have, naming those it has."""
    errors = []
    zh, en = f"没有该字段，可用：{'、'.join(known)}", f"is no field; there are {', '.join(known)}"
    for name in query.columns or ():
        if name not in known:
            errors.append(FieldError(f"columns.{name[:80]}", "unknown_field", zh, en))
    for name, _ in query.sort:
        if name not in known:
            errors.append(FieldError(f"sort.{name[:80]}", "unknown_field", zh, en))
    for one in query.filters:
        if one.field not in known:
            errors.append(FieldError(f"filter.{one.field[:80]}", "unknown_field", zh, en))
    if errors:
        raise InvalidInput(errors)
