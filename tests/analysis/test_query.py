"""The queries that may be asked are read as written; everything else is refused before anything runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.analysis.query import Aggregate, Condition, Group, parse
from ops.analysis.refusals import QueryNotAllowed


def test_a_query_is_read_whole() -> None:
    found = parse(
        "SELECT region, date_trunc('year', founded) AS y, count(*) n, count(DISTINCT name), avg(capital)"
        " FROM data WHERE capital >= -1000.5 AND region IN ('3301', '3302') AND founded BETWEEN '2020-01-01' AND"
        " '2021-01-01' AND name IS NOT NULL AND 地区 <> '甲' GROUP BY region, y ORDER BY n DESC, region LIMIT 10"
    )
    assert found.groups == (Group("region", None, "region"), Group("founded", "year", "y"))
    assert found.aggregates == (
        Aggregate("count", None, False, "n"), Aggregate("count", "name", True, "count_name"),
        Aggregate("avg", "capital", False, "avg_capital"),
    )
    assert found.conditions == (
        Condition("capital", "gte", ("-1000.5",)), Condition("region", "in", ("3301", "3302")),
        Condition("founded", "between", ("2020-01-01", "2021-01-01")), Condition("name", "not_null", ()),
        Condition("地区", "ne", ("甲",)),
    )
    assert found.order == (("n", True), ("region", False))
    assert (found.limit, found.outputs) == (10, ("region", "y", "n", "count_name", "avg_capital"))


REFUSED = """
SELECT * FROM data
SELECT name FROM data
SELECT name, count(*) FROM data
SELECT count(*) FROM pg_catalog.pg_class
SELECT count(*) FROM restricted.data
SELECT count(*) FROM data d
SELECT count(*) FROM data, data
SELECT count(*) FROM data JOIN data b USING (name)
SELECT count(*) FROM (SELECT 1) data
SELECT count(*) FROM data TABLESAMPLE system (1)
SELECT count(*) FROM ONLY data
SELECT count(*)
SELECT count(*) FROM data WHERE a = 1 OR b = 2
SELECT count(*) FROM data WHERE NOT a = 1
SELECT count(*) FROM data WHERE a = b
SELECT count(*) FROM data WHERE a = (SELECT 1)
SELECT count(*) FROM data WHERE lower(a) = 'x'
SELECT count(*) FROM data WHERE a LIKE 'x%'
SELECT count(*) FROM data WHERE a ~ 'x'
SELECT count(*) FROM data WHERE a = ANY ('{1}')
SELECT count(*) FROM data WHERE a NOT IN (1)
SELECT count(*) FROM data WHERE a = NULL
SELECT count(*) FROM data WHERE a = $1
SELECT count(*) FROM data WHERE a = 1::int
SELECT count(*) FROM data WHERE data.a = 1
SELECT count(*) FROM data WHERE true
SELECT max(a) FROM data
SELECT min(a) FROM data
SELECT sum(a + 1) FROM data
SELECT sum(DISTINCT a) FROM data
SELECT array_agg(a) FROM data
SELECT string_agg(a, ',') FROM data
SELECT pg_sleep(9), count(*) FROM data
SELECT public.count(a) FROM data
SELECT count(*) FILTER (WHERE a = 1) FROM data
SELECT count(*) OVER () FROM data
SELECT count(a ORDER BY a) FROM data
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM data
SELECT date_trunc('day', a), count(*) FROM data GROUP BY 1
SELECT date_trunc('day', a) d, count(*) FROM data GROUP BY d
SELECT a, count(*) FROM data GROUP BY 1
SELECT a, count(*) FROM data GROUP BY a, b
SELECT a, count(*) FROM data GROUP BY ROLLUP (a)
SELECT a, count(*) FROM data GROUP BY a HAVING count(*) = 1
SELECT DISTINCT count(*) FROM data
SELECT count(*), count(*) FROM data
SELECT count(*) FROM data ORDER BY a
SELECT count(*) n FROM data ORDER BY n USING <
SELECT count(*) n FROM data ORDER BY n NULLS FIRST
SELECT count(*) n FROM data ORDER BY n FETCH FIRST 1 ROWS WITH TIES
SELECT count(*) FROM data OFFSET 1
SELECT count(*) FROM data LIMIT 1 + 1
SELECT count(*) FROM data FOR UPDATE
SELECT count(*) INTO x FROM data
SELECT count(*) FROM data UNION SELECT 1
WITH x AS (SELECT 1) SELECT count(*) FROM data
VALUES (1)
TABLE data
SELECT count(*) FROM data; SELECT 1
SELECT 'a'::regclass, count(*) FROM data
DELETE FROM data
COPY data TO PROGRAM 'x'
SELECT count(*) FROM data WHERE a = 1 AND (b = 2 OR c = 3)
""".strip().splitlines()


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_allowed_is_refused(text: str) -> None:
    with pytest.raises(QueryNotAllowed):
        parse(text)


CONDITIONS = st.builds(lambda a, b: f"SELECT count(*) FROM data WHERE {a} = {b}", st.text(), st.text())


@given(st.text(max_size=200) | CONDITIONS)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except QueryNotAllowed:
        return


def test_long_texts_are_refused_and_nested_ones_are_read() -> None:
    for text in ("SELECT count(*) FROM data WHERE " + "a = 1 AND " * 500 + "a = 1", "x" * 5_000, "\0"):
        with pytest.raises(QueryNotAllowed):
            parse(text)
    assert len(parse("SELECT count(*) FROM data WHERE " + "(" * 1_500 + "a = 1" + ")" * 1_500).conditions) == 1
    with pytest.raises(QueryNotAllowed):
        parse("SELECT count(*) FROM data WHERE " + "a=1 AND(" * 300 + "a=1" + ")" * 300)
