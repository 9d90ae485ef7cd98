"""Open tables of the demo city, all real: divisions, the State Council's holidays, Unicode's CLDR, and counts of them.

Each builder returns (columns, rows); columns are (name, title, DataStore type).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import chinese_calendar
import pyarrow.parquet as pq
from babel import Locale
from babel.core import get_global

Column = tuple[str, str, str]
Row = tuple[Any, ...]
DIVISIONS = Path(__file__).parent / "data" / "divisions"

_TITLES = {
    "code": "区划代码", "name": "名称", "provinceCode": "省级代码", "cityCode": "地级代码",
    "areaCode": "县级代码", "streetCode": "乡级代码",
}
_SNAKE = {"provinceCode": "province_code", "cityCode": "city_code", "areaCode": "area_code",
          "streetCode": "street_code"}


@cache
def _division_table(level: str) -> Any:
    return pq.read_table(DIVISIONS / f"{level}.parquet")


def divisions(level: str) -> tuple[list[Column], Iterator[Row]]:
    """One level of the administrative divisions, column for column as published."""
    table = _division_table(level)
    names = table.schema.names
    columns = [(_SNAKE.get(n, n), _TITLES[n], "text") for n in names]

    def rows() -> Iterator[Row]:
        for batch in table.to_batches(10_000):
            yield from zip(*(batch.column(i).to_pylist() for i in range(len(names))), strict=True)

    return columns, rows()


def _names(level: str) -> dict[str, str]:
    table = _division_table(level)
    return dict(zip(table["code"].to_pylist(), table["name"].to_pylist(), strict=True))


def counts(level: str, by: str, parent: str, label: str) -> tuple[list[Column], Iterator[Row]]:
    """How many divisions of a level each parent has."""
    tally = Counter(_division_table(level)[by].to_pylist())
    names = _names(parent)
    columns = [("code", "区划代码", "text"), ("name", "名称", "text"), ("number", label, "int")]
    return columns, ((code, names.get(code, ""), number) for code, number in sorted(tally.items()))


def endings(level: str, known: tuple[str, ...]) -> tuple[list[Column], Iterator[Row]]:
    """How the names of a level end, by province: what kinds of unit there are."""
    table = _division_table(level)
    tally: Counter[tuple[str, str]] = Counter()
    pairs = zip(table["name"].to_pylist(), table["provinceCode"].to_pylist(), strict=True)
    for name, province in pairs:
        tally[province, next((e for e in known if name.endswith(e)), "其他")] += 1
    provinces = _names("provinces")
    columns = [("province_code", "省级代码", "text"), ("province_name", "省级名称", "text"),
               ("kind", "名称类型", "text"), ("number", "数量", "int")]
    return columns, ((p, provinces.get(p, ""), kind, n) for (p, kind), n in sorted(tally.items()))


def frequent_names(level: str, most: int = 5_000) -> tuple[list[Column], Iterator[Row]]:
    """The names that occur most often at a level."""
    tally = Counter(_division_table(level)["name"].to_pylist())
    columns = [("rank", "名次", "int"), ("name", "名称", "text"), ("number", "出现次数", "int")]
    ranked = enumerate(tally.most_common(most), start=1)
    return columns, ((rank, name, number) for rank, (name, number) in ranked)


def holidays() -> tuple[list[Column], Iterator[Row]]:
    """Days off by the State Council's yearly notices."""
    chinese = {h.value: h.chinese for h in chinese_calendar.Holiday}
    columns = [("day", "日期", "date"), ("holiday", "节日", "text"), ("in_lieu", "是否调休", "bool")]
    rows = ((day.isoformat(), chinese.get(name, name), day in chinese_calendar.in_lieu_days)
            for day, name in sorted(chinese_calendar.holidays.items()))
    return columns, rows


def makeup_days() -> tuple[list[Column], Iterator[Row]]:
    """Weekend days on which offices work (调休上班)."""
    chinese = {h.value: h.chinese for h in chinese_calendar.Holiday}
    columns = [("day", "日期", "date"), ("holiday", "对应节日", "text")]
    return columns, ((d.isoformat(), chinese.get(n, n)) for d, n in sorted(chinese_calendar.workdays.items()))


def working_days_by_month() -> tuple[list[Column], Iterator[Row]]:
    """Working days of each month since 2004."""
    tally: Counter[tuple[int, int]] = Counter()
    day, last = date(2004, 1, 1), max(chinese_calendar.holidays).replace(month=12, day=31)
    while day <= last:
        tally[day.year, day.month] += chinese_calendar.is_workday(day)
        day += timedelta(days=1)
    columns = [("year", "年", "int"), ("month", "月", "int"), ("working_days", "工作日天数", "int")]
    return columns, ((y, m, n) for (y, m), n in sorted(tally.items()))


def cldr_names(kind: str, title: str) -> tuple[list[Column], Iterator[Row]]:
    """Chinese and English names of territories, languages, currencies or scripts (Unicode CLDR)."""
    zh, en = Locale.parse("zh_Hans_CN"), Locale.parse("en")
    chinese, english = getattr(zh, kind), getattr(en, kind)
    columns = [("code", f"{title}代码", "text"), ("name_zh", "中文名称", "text"), ("name_en", "英文名称", "text")]
    return columns, ((code, chinese[code], english.get(code, "")) for code in sorted(chinese))


def territory_currencies() -> tuple[list[Column], Iterator[Row]]:
    """Which currency was tender where and when (Unicode CLDR)."""
    columns = [("territory", "国家和地区代码", "text"), ("currency", "货币代码", "text"),
               ("since", "启用日期", "text"), ("until", "停用日期", "text"), ("tender", "是否法定货币", "bool")]

    def day(value: tuple[int, int, int] | None) -> str:
        return "{:04d}-{:02d}-{:02d}".format(*value) if value else ""

    rows = ((t, c, day(a), day(b), bool(tender))
            for t, used in sorted(get_global("territory_currencies").items()) for c, a, b, tender in used)
    return columns, rows


def time_zones() -> tuple[list[Column], Iterator[Row]]:
    """Time zones of the world with the territory they belong to (Unicode CLDR)."""
    zh = Locale.parse("zh_Hans_CN")
    columns = [("zone", "时区", "text"), ("territory", "国家和地区代码", "text"),
               ("territory_name", "国家和地区名称", "text")]
    pairs = sorted(get_global("zone_territories").items())
    return columns, ((zone, t, zh.territories.get(t, "")) for zone, t in pairs)


def territory_languages() -> tuple[list[Column], Iterator[Row]]:
    """Languages spoken by territory with the share of people (Unicode CLDR)."""
    zh = Locale.parse("zh_Hans_CN")
    columns = [("territory", "国家和地区代码", "text"), ("territory_name", "国家和地区名称", "text"),
               ("language", "语言代码", "text"), ("percent", "人口占比", "numeric"),
               ("official", "官方地位", "text")]
    rows = (
        (t, zh.territories.get(t, ""), language, fact.get("population_percent"), fact.get("official_status") or "")
        for t, spoken in sorted(get_global("territory_languages").items())
        for language, fact in sorted(spoken.items())
    )
    return columns, rows
