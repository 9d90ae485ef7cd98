"""One SELECT from the obligations of a permit and the wishes of the caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authz.decision import Obligations
from authz.foundation.errors import FieldError, Forbidden, InvalidInput, Reason
from authz.model import FILTER_OPS, DataField, DataObject, Mask, RowFilter
from authz.obligations.masks import ObligationUnfulfillable, masked
from authz.obligations.text import Parameters, quoted
from authz.obligations.values import BIGINT_MAX, SQL_TYPES, ValueUnfit, as_text, typed
from authz.obligations.written import WRITTEN, found_text

IN_VALUES_MAX = 1_000
FILTERS_MAX = 50
LIMIT_MAX = 10_000_000


class FilterNotAllowed(Forbidden):
    """The caller filters on or asks for a column that the permit does not hold, or filters on one that is empty."""

    code = "column_not_allowed"
    zh = "字段“{field}”不在授权范围内，不能读取或用于筛选。"
    en = "The field '{field}' is outside the grant: it can be neither read nor filtered on."
    next_zh = "请去掉该字段，或在 /apply/{resource_id} 申请。"
    next_en = "Leave the field out, or apply for it at /apply/{resource_id}."


@dataclass(frozen=True)
class CompiledQuery:
    """A SELECT ready to run.

    ``sql`` has ``$n`` placeholders for ``params``; ``sql_literal`` is the same with the values written out, for
    ``COPY (…) TO STDOUT``. ``columns`` are the names in output order; with ``key`` set, the row key follows as one
    more column, for the next cursor. ``types`` are the field types of the output (masked columns become text).
    Columns of type ``WRITTEN`` are finished JSON: a comma (but for the first column), name, colon and value.
    ``watermark`` is what the caller still has to put into what it delivers.
    """

    sql: str
    sql_literal: str
    params: tuple[Any, ...]
    columns: tuple[str, ...]
    types: Mapping[str, str]
    key: str | None
    watermark: str | None


class _Compiler:
    """Expressions of one query; parameters are numbered as they appear."""

    def __init__(self, obligations: Obligations, data: DataObject, salt: str) -> None:
        self.obligations = obligations
        self.data = data
        self.salt = salt
        self.parameters = Parameters()

    def known(self, name: str) -> DataField:
        field = self.data.by_name.get(name)
        if field is None or name not in self.obligations.columns:
            raise FilterNotAllowed(
                field=name[:80], resource_id=self.data.resource_id,
                reasons=[Reason("fields_not_granted", f"授权不包含字段：{name[:80]}。",
                                f"The grant does not include the field {name[:80]}.", {"fields": [name[:80]]})],
            )
        return field

    def column(self, name: str) -> str:
        try:
            return f"t.{quoted(name)}"
        except ValueError as fault:
            raise ObligationUnfulfillable(duty="column name") from fault

    def shown(self, field: DataField) -> tuple[str, str]:
        """The expression a caller sees of a field, and its type: the mask's, when there is one."""
        mask = self.obligations.masks.get(field.name)
        if mask is None:
            return self.column(field.name), field.type
        if mask.kind == "hide":
            raise ObligationUnfulfillable(duty=f"hide {field.name}")
        return masked(self.column(field.name), field.type, mask, self.salt, self.parameters)

    def wished(self, one: RowFilter) -> str:
        """A caller's filter: on what they may see, as they see it, so that it tells them nothing more."""
        field = self.known(one.field)
        mask: Mask | None = self.obligations.masks.get(field.name)
        if mask is not None and mask.kind in ("null", "hide"):
            raise FilterNotAllowed(field=field.name, resource_id=self.data.resource_id)
        expression, kind = self.shown(field)
        return self.condition(expression, kind, one)

    def ordered(self, name: str, descending: bool) -> str:
        """A sort key: by what the caller sees, text by code point, no value last."""
        field = self.known(name)
        mask = self.obligations.masks.get(name)
        if mask is not None and mask.kind in ("null", "hide"):
            raise FilterNotAllowed(field=name, resource_id=self.data.resource_id)
        expression, kind = self.shown(field)
        if kind not in SQL_TYPES:
            raise InvalidInput([FieldError(f"sort.{name}", "not_sortable", "该字段不能排序", "cannot be sorted by")])
        collated = f'({expression}) COLLATE "C"' if kind == "text" else f"({expression})"
        return f"{collated}{' DESC' if descending else ''} NULLS LAST"

    def imposed(self, one: RowFilter) -> str:
        """A filter of the grant: on the raw value of any field of the object."""
        field = self.data.by_name.get(one.field)
        if field is None or field.type not in SQL_TYPES or (one.op == "prefix" and one.value == ""):
            raise ObligationUnfulfillable(duty="row filter")
        try:
            return self.condition(self.column(field.name), field.type, one)
        except ValueUnfit as fault:
            raise ObligationUnfulfillable(duty="row filter") from fault

    def condition(self, expression: str, kind: str, one: RowFilter) -> str:
        """``expression op value``; raises ValueUnfit. A NULL is never matched."""
        if kind not in SQL_TYPES or one.op not in FILTER_OPS:
            raise ValueUnfit("不支持的筛选方式", "is not a way to filter")
        if one.op == "prefix":
            text = self.parameters.add(as_text(typed(one.value, "text")), "text")
            return f"starts_with(({expression})::text, {text})"
        if one.op == "in":
            if not isinstance(one.value, list | tuple) or not 0 < len(one.value) <= IN_VALUES_MAX:
                raise ValueUnfit(f"应有 1 至 {IN_VALUES_MAX} 个值", f"must have 1 to {IN_VALUES_MAX} values")
            values = [typed(value, kind) for value in one.value]
            return f"{expression} = ANY({self.parameters.add(values, SQL_TYPES[kind] + '[]')})"
        sign = {"eq": "=", "gte": ">=", "lte": "<="}[one.op]
        return f"{expression} {sign} {self.parameters.add(typed(one.value, kind), SQL_TYPES[kind])}"


def _source(data: DataObject) -> str:
    """The table as SQL; raises ObligationUnfulfillable while nothing is loaded or the location is no table."""
    location = data.location or {}
    schema = {"restricted": location.get("schema"), "datastore": "public"}.get(str(location.get("kind")))
    try:
        return f"{quoted(schema or '')}.{quoted(location.get('table') or '')}"
    except ValueError as fault:
        raise ObligationUnfulfillable(duty="location") from fault


def compile_select(
    obligations: Obligations,
    data: DataObject,
    requested_columns: Sequence[str] | None = None,
    filters: Iterable[RowFilter] = (),
    limit: int | None = None,
    cursor: int | None = None,
    salt: str = "",
    *,
    key: str = "_id",
    with_key: bool = False,
    order: Sequence[tuple[str, bool]] = (),
    kept: frozenset[str] = frozenset(),
) -> CompiledQuery:
    """The SELECT that shows what the permit allows of what the caller wants.

    ``requested_columns`` None is every column of the permit, in the object's order; ``filters`` are the caller's,
    AND-ed to the grant's row filter, which they can only narrow; ``limit`` rows; ``cursor`` the key of the last row
    already seen; with a cursor or ``with_key`` rows come in order of ``key``. ``order`` names fields, each with whether
    it descends; rows that are equal in all of them come in order of ``key``; it does not go with a cursor.
    ``salt`` is the grant's, for hash masks. ``kept`` are the columns of finished JSON that the table has (``written``),
    to be selected in place of what they say.

    Raises FilterNotAllowed (403) for columns outside the permit, InvalidInput (422) for values that do not fit their
    field, ObligationUnfulfillable (403) when a duty cannot be compiled: then nothing may be served.
    """
    if obligations.k_floor is not None:
        raise ObligationUnfulfillable(duty="k_floor")
    if not obligations.columns:
        raise ObligationUnfulfillable(duty="columns")
    compiler = _Compiler(obligations, data, salt)
    names = tuple(dict.fromkeys(obligations.columns if requested_columns is None else requested_columns))
    if not names:
        raise InvalidInput([FieldError("columns", "too_short", "至少选择一个字段", "must name at least one field")])
    selected, types = [], {}
    for place, name in enumerate(names):
        field = compiler.known(name)
        expression, types[name] = compiler.shown(field)
        text = found_text(field, obligations.masks.get(name), place, expression, kept) if kept else None
        if text is not None:
            expression, types[name] = text, WRITTEN
        selected.append(f"{expression} AS {quoted(name)}")
    if cursor is not None and not -BIGINT_MAX <= cursor <= BIGINT_MAX:
        raise InvalidInput([FieldError("cursor", "out_of_range", "超出范围", "is out of range")])
    ordered = with_key or cursor is not None
    if with_key:
        selected.append(f"t.{quoted(key)}")
    where = [compiler.imposed(one) for one in obligations.row_filter]
    where += _wishes(compiler, filters)
    if cursor is not None:
        where.append(f"t.{quoted(key)} > {compiler.parameters.add(cursor, 'bigint')}")
    sql = f"SELECT {', '.join(selected)} FROM {_source(data)} AS t"
    if where:
        sql += " WHERE " + " AND ".join(f"({one})" for one in where)
    sorts = [compiler.ordered(name, descending) for name, descending in order]
    if ordered or sorts:
        sql += f" ORDER BY {', '.join([*sorts, f't.{quoted(key)}'])}"
    if limit is not None:
        if not 0 <= limit <= LIMIT_MAX:
            raise InvalidInput([FieldError("limit", "out_of_range", "超出范围", "is out of range")])
        sql += f" LIMIT {int(limit)}"
    return CompiledQuery(
        sql=compiler.parameters.bound(sql), sql_literal=compiler.parameters.as_literals(sql),
        params=tuple(compiler.parameters.values), columns=names, types=types, key=key if with_key else None,
        watermark=obligations.watermark,
    )


def _wishes(compiler: _Compiler, filters: Iterable[RowFilter]) -> list[str]:
    found, faults = [], []
    for place, one in enumerate(filters):
        if place >= FILTERS_MAX:
            faults.append(FieldError("filter", "too_long", f"最多 {FILTERS_MAX} 个条件",
                                     f"must have at most {FILTERS_MAX} conditions"))
            break
        try:
            found.append(compiler.wished(one))
        except ValueUnfit as fault:
            faults.append(FieldError(f"filter.{one.field}", "value_unfit", fault.zh, fault.en))
    if faults:
        raise InvalidInput(faults)
    return found
