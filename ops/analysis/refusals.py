"""Refusals of analysis and verification; none tells anything about a row."""

from __future__ import annotations

from authz import Forbidden, Refusal


class QueryNotAllowed(Refusal):
    """The text is not one of the queries that may be asked."""

    code = "analysis_query_not_allowed"
    status = 422
    zh = "不支持这样的查询：{what_zh}。"
    en = "Such a query is not supported: {what_en}."
    next_zh = (
        "支持：SELECT 分组列与 count、sum、avg FROM data WHERE 列 比较 值 AND … "
        "GROUP BY 列或 date_trunc ORDER BY … LIMIT …。"
    )
    next_en = (
        "Supported: SELECT grouping columns, count, sum, avg FROM data WHERE column compares value AND … GROUP BY"
        " columns or date_trunc ORDER BY … LIMIT …."
    )


class TooFewRows(Forbidden):
    code = "analysis_too_few_rows"
    zh = "符合条件的记录少于 {floor} 条，不能给出结果。"
    en = "Fewer than {floor} records match: no result can be given."
    next_zh = "请放宽条件。"
    next_en = "Ask with wider conditions."


class SinglesOut(Forbidden):
    """One condition makes a difference of only a few rows: with and without it, they could be told."""

    code = "analysis_singles_out"
    zh = "条件“{field}”只区分出少量记录，两次查询相减即可推出个体，不能给出结果。"
    en = "The condition on '{field}' sets only a few records apart; subtracting two answers would tell of them."
    next_zh = "请去掉该条件，或换用区分更多记录的条件。"
    next_en = "Leave it out, or use one that sets more records apart."


class BudgetSpent(Forbidden):
    code = "analysis_budget_spent"
    zh = "今日查询次数已用完（{most} 次）。"
    en = "Today's budget of {most} queries is spent."
    next_zh = "请明日再查；如确需更多，请联系数据提供部门。"
    next_en = "Come back tomorrow, or ask the department for more."


class AnalysisTooSlow(Refusal):
    code = "analysis_too_slow"
    status = 422
    zh = "查询超过 {seconds} 秒未完成。"
    en = "The query did not finish within {seconds} seconds."
    next_zh = "请缩小范围或减少分组。"
    next_en = "Ask for less or group by less."
