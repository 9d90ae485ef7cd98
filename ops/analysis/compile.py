"""An analysis as SQL: over the grant's own rows, as the grant may see them, with what disclosure control needs.

The inner SELECT is that of a delivery: columns, masks and the row filter of the permit. Names are quoted, values bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from authz import DataObject, FieldError, InvalidInput, Obligations
from authz.obligations import compile_select
from authz.obligations.text import Parameters, quoted
from authz.obligations.values import SQL_TYPES, ValueUnfit, typed
from ops.analysis.nearness import BITS
from ops.analysis.query import AnalysisQuery, Condition
from ops.analysis.refusals import QueryNotAllowed

KEY = "_row"
COMPARISONS = {"eq": "=", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
NUMBERS = ("integer", "numeric")


@dataclass(frozen=True)
class Statement:
    sql: str
    params: tuple[Any, ...]


class AnalysisSql:
    """One query's statements; raises InvalidInput, QueryNotAllowed or the refusals of ``compile_select``."""

    def __init__(self, obligations: Obligations, data: DataObject, salt: str, query: AnalysisQuery) -> None:
        self.query = query
        self._inner = compile_select(
            replace(obligations, k_floor=None), data, query.columns or obligations.columns[:1], (), salt=salt, key=KEY,
            with_key=True,
        )
        self._types: Mapping[str, str] = self._inner.types
        self._masked = {name for name, mask in obligations.masks.items() if mask.kind in ("null", "hide")}
        for one in query.groups:
            if one.unit is not None and self._types[one.column] not in ("date", "timestamp"):
                raise QueryNotAllowed(what_zh=f"“{one.column}”不是日期", what_en=f"'{one.column}' is no date")
        for aggregate in query.aggregates:
            if aggregate.function != "count" and self._types[aggregate.column or ""] not in NUMBERS:
                raise QueryNotAllowed(
                    what_zh=f"“{aggregate.column}”不是数值", what_en=f"'{aggregate.column}' is no number"
                )

    def sizes(self, seed: int) -> Statement:
        """How many rows there are, how many match, and how many match without each condition; what rows there are."""
        parameters = Parameters()
        conditions = [self._condition(one, parameters) for one in self.query.conditions]
        wanted = ["count(*) AS total", self._counted(conditions, "matched")]
        place = parameters.add(seed, "bigint")
        wanted.append(f"coalesce(bit_xor(hashint8extended({quoted(KEY)}, {place})), 0) AS state")
        wanted += [
            self._counted([c for n, c in enumerate(conditions) if n != without], f"without_{without}")
            for without in range(len(conditions))
        ]
        return self._statement(f"SELECT {', '.join(wanted)} FROM data", parameters)

    @staticmethod
    def _counted(conditions: list[str], name: str) -> str:
        kept = f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""
        return f"count(*){kept} AS {name}"

    def groups(self, seed: int, sketch_seed: int) -> Statement:
        """Each group: its columns, its size, a fingerprint of its rows, and per aggregate its parts.

        Of ``n`` aggregates ``v<n>`` is the count or sum, ``c<n>`` how many values there are, ``b<n>`` the sum of the
        absolute values and ``m<n>`` the largest of them. ``seed`` keys the fingerprint; ``same`` and ``sketch`` are by
        ``sketch_seed``, see ``nearness``.
        """
        parameters = Parameters()
        wanted = [f"{self._group(n)} AS g{n}" for n in range(len(self.query.groups))]
        wanted.append("count(*) AS size")
        place = parameters.add(seed, "bigint")
        wanted.append(f"bit_xor(hashint8extended({quoted(KEY)}, {place})) AS rows")
        hashed = f"hashint8extended({quoted(KEY)}, {parameters.add(sketch_seed, 'bigint')})"
        zeros = f"repeat('0', {BITS})::bit({BITS})"
        wanted.append(f"coalesce(bit_xor({hashed}), 0) AS same")
        wanted.append(f"coalesce(bit_xor(set_bit({zeros}, ({hashed} & {BITS - 1})::int, 1)), {zeros}) AS sketch")
        for n, one in enumerate(self.query.aggregates):
            if one.column is None:
                wanted.append(f"count(*) AS v{n}, count(*) AS c{n}")
                continue
            name = quoted(one.column)
            if one.function == "count":
                wanted.append(f"count({'DISTINCT ' if one.distinct else ''}{name}) AS v{n}, count({name}) AS c{n}")
            else:
                wanted.append(
                    f"sum({name})::numeric AS v{n}, count({name}) AS c{n}, sum(abs({name}))::numeric AS b{n},"
                    f" max(abs({name}))::numeric AS m{n}"
                )
        sql = f"SELECT {', '.join(wanted)} FROM data"
        if self.query.conditions:
            sql += " WHERE " + " AND ".join(self._condition(one, parameters) for one in self.query.conditions)
        if self.query.groups:
            sql += " GROUP BY " + ", ".join(f"{self._group(n)}" for n in range(len(self.query.groups)))
        return self._statement(sql, parameters)

    def _group(self, place: int) -> str:
        one = self.query.groups[place]
        return quoted(one.column) if one.unit is None else f"date_trunc('{one.unit}', {quoted(one.column)})::date"

    def _statement(self, sql: str, parameters: Parameters) -> Statement:
        inner = self._inner.sql
        shift, text = len(self._inner.params), parameters.bound(sql)
        for place in range(len(parameters.values), 0, -1):
            text = text.replace(f"${place}::", f"${place + shift}::")
        return Statement(f"WITH data AS MATERIALIZED ({inner}) {text}", (*self._inner.params, *parameters.values))

    def _condition(self, one: Condition, parameters: Parameters) -> str:
        name, kind = quoted(one.column), self._types[one.column]
        if one.column in self._masked:
            zh, en = f"“{one.column}”不可用于条件", f"'{one.column}' cannot be a condition"
            raise QueryNotAllowed(what_zh=zh, what_en=en)
        if one.op in ("null", "not_null"):
            return f"({name} IS {'NOT ' if one.op == 'not_null' else ''}NULL)"
        try:
            values = [typed(value, kind) for value in one.values]
        except ValueUnfit as fault:
            field = f"sql.{one.column}"
            raise InvalidInput([FieldError(field, "unfit", "与该字段的类型不符", "does not fit the column")]) from fault
        if one.op == "in":
            return f"({name} = ANY({parameters.add(values, SQL_TYPES[kind] + '[]')}))"
        places = [parameters.add(value, SQL_TYPES[kind]) for value in values]
        if one.op == "between":
            return f"({name} >= {places[0]} AND {name} <= {places[1]})"
        return f"({name} {COMPARISONS[one.op]} {places[0]})"
