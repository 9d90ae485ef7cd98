"""The queries that may be asked: PostgreSQL's own parser reads the text, and only what is named here is taken from it.

What is not understood is refused; nothing of the text itself reaches the database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pglast import ast, parser
from pglast.enums import A_Expr_Kind, BoolExprType, LimitOption, NullTestType, SetOperation, SortByDir, SortByNulls

from ops.analysis.refusals import QueryNotAllowed

TEXT_LENGTH_MAX = 4_000
GROUPS_MAX = 4
AGGREGATES_MAX = 8
CONDITIONS_MAX = 8
VALUES_MAX = 100
LIMIT_MAX = 1_000
RELATION = "data"
FUNCTIONS = ("count", "sum", "avg")
UNITS = ("month", "quarter", "year")
OPERATORS = {"=": "eq", "<>": "ne", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
NAME = re.compile(r"[^\x00-\x1f\"]{1,63}")


@dataclass(frozen=True)
class Group:
    """A grouping column, or the start of the month, quarter or year of a date."""

    column: str
    unit: str | None
    name: str


@dataclass(frozen=True)
class Aggregate:
    """``count(*)`` when ``column`` is None; ``distinct`` counts different values."""

    function: str
    column: str | None
    distinct: bool
    name: str


@dataclass(frozen=True)
class Condition:
    """``column op value``; ops are eq, ne, lt, lte, gt, gte, in, between, null, not_null."""

    column: str
    op: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class AnalysisQuery:
    """What is asked: all conditions must hold; ``order`` names outputs with whether they descend."""

    groups: tuple[Group, ...]
    aggregates: tuple[Aggregate, ...]
    conditions: tuple[Condition, ...]
    order: tuple[tuple[str, bool], ...]
    limit: int
    outputs: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is touched."""
        named = [group.column for group in self.groups]
        named += [one.column for one in self.aggregates if one.column is not None]
        return tuple(dict.fromkeys([*named, *(condition.column for condition in self.conditions)]))


def _is(found: Any, kind: type) -> bool:
    """``isinstance`` for nodes, whose members the parser's types call optional."""
    return isinstance(found, kind)


def _no(zh: str, en: str) -> QueryNotAllowed:
    return QueryNotAllowed(what_zh=zh, what_en=en)


def parse(text: str) -> AnalysisQuery:
    """Read one query; raises QueryNotAllowed for anything else."""
    if len(text) > TEXT_LENGTH_MAX or "\0" in text:
        raise _no(f"查询过长（至多 {TEXT_LENGTH_MAX} 字）", f"it is longer than {TEXT_LENGTH_MAX} characters")
    try:
        statements = parser.parse_sql(text)
    except (parser.ParseError, ValueError, RecursionError) as fault:
        raise _no("语法错误", "its syntax is wrong") from fault
    if len(statements) != 1 or not _is(statements[0].stmt, ast.SelectStmt):
        raise _no("只能有一个 SELECT", "it must be one SELECT")
    return _select(statements[0].stmt)


REFUSED_PARTS = (
    "distinctClause", "intoClause", "havingClause", "windowClause", "valuesLists", "limitOffset", "lockingClause",
    "withClause", "larg", "rarg",
)


def _select(found: Any) -> AnalysisQuery:
    for part in REFUSED_PARTS:
        if getattr(found, part):
            raise _no(f"不能使用 {part}", f"{part} cannot be used")
    odd = found.op != SetOperation.SETOP_NONE or found.limitOption == LimitOption.LIMIT_OPTION_WITH_TIES
    if odd or found.groupDistinct:
        raise _no("不能合并查询", "queries cannot be combined")
    _from(found.fromClause)
    groups, aggregates, outputs = _targets(found.targetList or ())
    _grouped(found.groupClause or (), groups)
    if not aggregates:
        raise _no("至少要有一个 count、sum 或 avg", "it needs a count, sum or avg")
    if len(groups) > GROUPS_MAX or len(aggregates) > AGGREGATES_MAX:
        raise _no(
            f"至多 {GROUPS_MAX} 个分组、{AGGREGATES_MAX} 个聚合",
            f"at most {GROUPS_MAX} groupings and {AGGREGATES_MAX} aggregates",
        )
    conditions = _conditions(found.whereClause)
    if len(conditions) > CONDITIONS_MAX:
        raise _no(f"至多 {CONDITIONS_MAX} 个条件", f"at most {CONDITIONS_MAX} conditions")
    order = _order(found.sortClause or (), outputs)
    return AnalysisQuery(
        tuple(groups), tuple(aggregates), tuple(conditions), order, _limit(found.limitCount), tuple(outputs)
    )


def _from(found: Any) -> None:
    one: Any = found[0] if found and len(found) == 1 else None
    plain = (
        _is(one, ast.RangeVar) and one.relname == RELATION and not one.schemaname and not one.catalogname
        and one.alias is None and one.inh
    )
    if not plain:
        raise _no("只能 FROM data", "it must be FROM data")


def _column(found: Any) -> str | None:
    """The name of a plain column, None for anything else."""
    if not _is(found, ast.ColumnRef) or len(found.fields) != 1 or not _is(found.fields[0], ast.String):
        return None
    name = found.fields[0].sval
    return name if NAME.fullmatch(name) else None


def _call(found: Any) -> tuple[str, Any] | None:
    """A plain call of a function without schema, and its name."""
    if not _is(found, ast.FuncCall):
        return None
    names = [part.sval for part in found.funcname]
    odd = (
        found.agg_order or found.agg_filter or found.over or found.agg_within_group or found.func_variadic
    )
    if odd or len(names) not in (1, 2) or (len(names) == 2 and names[0] != "pg_catalog"):
        raise _no("函数的写法", "the way a function is called")
    return names[-1], found


def _targets(found: Any) -> tuple[list[Group], list[Aggregate], list[str]]:
    groups: list[Group] = []
    aggregates: list[Aggregate] = []
    outputs: list[str] = []
    for target in found:
        if not _is(target, ast.ResTarget) or target.indirection:
            raise _no("输出列的写法", "the way an output is written")
        made = _target(target.val, target.name)
        (aggregates if _is(made, Aggregate) else groups).append(made)  # type: ignore[arg-type]
        outputs.append(made.name)
    if len(set(outputs)) != len(outputs):
        raise _no("输出列重名，请用 AS 命名", "outputs share a name; name them with AS")
    return groups, aggregates, outputs


def _target(value: Any, alias: str | None) -> Group | Aggregate:
    if alias is not None and not NAME.fullmatch(alias):
        raise _no("输出列的名称", "the name of an output")
    column = _column(value)
    if column is not None:
        return Group(column, None, alias or column)
    called = _call(value)
    if called is None:
        raise _no("输出只能是列或 count、sum、avg", "an output is a column or count, sum, avg")
    name, call = called
    if name == "date_trunc":
        return _bucket(call, alias)
    if name not in FUNCTIONS:
        raise _no(f"函数 {name[:40]}", f"the function {name[:40]}")
    return _aggregate(name, call, alias)


def _bucket(call: Any, alias: str | None) -> Group:
    arguments: Any = call.args or ()
    unit = arguments[0].val.sval if len(arguments) == 2 and _is_text(arguments[0]) else None
    column = _column(arguments[1]) if len(arguments) == 2 else None
    if unit not in UNITS or column is None or call.agg_distinct:
        raise _no("date_trunc 只能取 month、quarter、year", "date_trunc takes month, quarter or year")
    return Group(column, unit, alias or f"{column}_{unit}")


def _is_text(found: Any) -> bool:
    return _is(found, ast.A_Const) and not found.isnull and _is(found.val, ast.String)


def _aggregate(name: str, call: Any, alias: str | None) -> Aggregate:
    if call.agg_star:
        return Aggregate("count", None, False, alias or "count")
    arguments: Any = call.args or ()
    column = _column(arguments[0]) if len(arguments) == 1 else None
    if column is None or (call.agg_distinct and name != "count"):
        raise _no(f"{name} 的参数", f"the argument of {name}")
    return Aggregate(name, column, bool(call.agg_distinct), alias or f"{name}_{column}"[:63])


def _grouped(found: Any, groups: list[Group]) -> None:
    """GROUP BY must name exactly the grouping outputs: by column, by output name, or date_trunc again."""
    wanted = []
    for one in found:
        column = _column(one)
        if column is not None:
            match = [g for g in groups if g.name == column or (g.unit is None and g.column == column)]
        else:
            called = _call(one)
            if called is None or called[0] != "date_trunc":
                raise _no("GROUP BY 的写法", "the way GROUP BY is written")
            bucket = _bucket(called[1], None)
            match = [g for g in groups if (g.column, g.unit) == (bucket.column, bucket.unit)]
        if not match:
            raise _no("GROUP BY 中的列须同时输出", "a column of GROUP BY must be an output")
        wanted += match
    if set(wanted) != set(groups):
        raise _no("未聚合的列须在 GROUP BY 中", "an output that is no aggregate must be in GROUP BY")


def _conditions(found: Any) -> list[Condition]:
    if found is None:
        return []
    if _is(found, ast.BoolExpr):
        if found.boolop != BoolExprType.AND_EXPR:
            raise _no("条件只能用 AND 连接", "conditions are joined by AND alone")
        return [one for part in found.args for one in _conditions(part)]
    return [_condition(found)]


def _condition(found: Any) -> Condition:
    if _is(found, ast.NullTest):
        column = _column(found.arg)
        if column is not None:
            return Condition(column, "null" if found.nulltesttype == NullTestType.IS_NULL else "not_null", ())
    if _is(found, ast.A_Expr):
        column, sign = _column(found.lexpr), found.name[-1].sval if len(found.name) == 1 else ""
        if column is not None and found.kind == A_Expr_Kind.AEXPR_OP and sign in OPERATORS:
            return Condition(column, OPERATORS[sign], (_value(found.rexpr),))
        if column is not None and found.kind == A_Expr_Kind.AEXPR_IN and sign == "=":
            values = tuple(_value(one) for one in found.rexpr)
            if len(values) <= VALUES_MAX:
                return Condition(column, "in", values)
        if column is not None and found.kind == A_Expr_Kind.AEXPR_BETWEEN:
            return Condition(column, "between", tuple(_value(one) for one in found.rexpr))
    raise _no("条件只能是 列 比较 值", "a condition is: column compares value")


def _value(found: Any) -> str:
    """A constant as text; its type is the column's."""
    if _is(found, ast.A_Expr) and found.lexpr is None and [part.sval for part in found.name] == ["-"]:
        inner = _value(found.rexpr)
        if not inner.startswith("-"):
            return f"-{inner}"
    if _is(found, ast.A_Const) and not found.isnull:
        match found.val:
            case ast.String():
                return str(found.val.sval)
            case ast.Integer():
                return str(found.val.ival or 0)
            case ast.Float():
                return str(found.val.fval)
            case ast.Boolean():
                return "true" if found.val.boolval else "false"
    raise _no("只能与常量比较", "a comparison is with a constant")


def _order(found: Any, outputs: list[str]) -> tuple[tuple[str, bool], ...]:
    order = []
    for one in found:
        name = _column(one.node)
        if name is None and _is(one.node, ast.FuncCall):
            name = _target(one.node, None).name
        if name not in outputs or one.useOp or one.sortby_nulls != SortByNulls.SORTBY_NULLS_DEFAULT:
            raise _no("只能按输出列排序", "the order is by outputs alone")
        order.append((name, one.sortby_dir == SortByDir.SORTBY_DESC))
    return tuple(order)


def _limit(found: Any) -> int:
    if found is None:
        return LIMIT_MAX
    if _is(found, ast.A_Const) and not found.isnull and _is(found.val, ast.Integer):
        return min(int(found.val.ival or 0), LIMIT_MAX)
    raise _no("LIMIT 须为整数", "LIMIT must be a whole number")
