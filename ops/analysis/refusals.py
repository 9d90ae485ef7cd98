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


class TooNear(Forbidden):
    """The records asked about are nearly those of an earlier question under another grant."""

    code = "analysis_too_near"
    zh = "本次查询与此前某次查询涉及的记录相差不足 {floor} 条，两次结果相减即可推出个体，不能给出结果。"
    en = "The records differ by fewer than {floor} from those of an earlier query; subtracting would tell of them."
    next_zh = "请沿用此前的条件，或换用相差更多记录的条件。"
    next_en = "Keep to the earlier conditions, or ask about a set that differs by more."


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
