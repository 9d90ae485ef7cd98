"""Every form in which rows leave, by name: media type, what it needs to know beforehand, how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from authz.obligations import CompiledQuery
from ops.delivery.formats import columnar, xlsx
from ops.delivery.formats.columns import Column, columns_of, with_facts
from ops.delivery.formats.csvs import CsvFraming
from ops.delivery.formats.geojson import GeoJsonFraming, place_of
from ops.delivery.formats.jsons import JsonFraming, JsonLinesFraming
from ops.delivery.formats.refusals import (
    ColumnsExceedFormat,
    NoGeometry,
    RowsExceedFormat,
    SheetTooLarge,
    TextExceedsFormat,
)
from ops.delivery.framing import Framing


@dataclass(frozen=True)
class About:
    """What a file says of itself."""

    resource_id: str
    title: str
    version: str
    usage_id: str | None = None
    watermark: str | None = None


@dataclass(frozen=True)
class Wish:
    """How the caller wants the format, beyond its name."""

    format: str
    bom: bool = False
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Format:
    """One form. ``facts`` are the aggregates that must be known beforehand; ``make`` builds the framing."""

    name: str
    media_type: str
    suffix: str
    zh: str
    en: str
    make: Callable[[Sequence[Column], About, Wish], Framing]
    facts: Callable[[Sequence[Column]], Mapping[str, str]] = lambda _: {}
    accept: tuple[str, ...] = ()
    compressible: bool = True
    example: str = ""


def shown_type(pg: str) -> str:
    """The field type as it is told to callers: what we do not know better is text."""
    kinds = {
        "integer": ("int2", "int4", "int8"),
        "numeric": ("numeric", "float4", "float8"),
        "date": ("date",),
        "timestamp": ("timestamp",),
        "boolean": ("bool",),
    }
    return next((kind for kind, names in kinds.items() if pg in names), "text")


def _document(columns: Sequence[Column], about: About) -> dict[str, Any]:
    return {
        "resource_id": about.resource_id,
        "title": about.title,
        "version": about.version,
        "usage_id": about.usage_id,
        "watermark": about.watermark,
        "fields": [{"name": one.name, "title": one.title, "type": shown_type(one.pg)} for one in columns],
    }


def _csv(columns: Sequence[Column], _: About, wish: Wish) -> Framing:
    return CsvFraming(columns, spreadsheet=wish.bom, encoding=wish.encoding)


def _geojson(columns: Sequence[Column], about: About, _: Wish) -> Framing:
    place = place_of(columns)
    if place is None:
        raise NoGeometry(fields="、".join(one.name for one in columns)[:300])
    facts = {"name": about.title, "resource_id": about.resource_id, "version": about.version}
    if about.usage_id:
        facts |= {"usage_id": about.usage_id, "watermark": about.watermark or ""}
    return GeoJsonFraming(columns, facts=facts, place=place)


def _xlsx(columns: Sequence[Column], about: About, _: Wish) -> Framing:
    said = [("标题 title", about.title), ("版本 version", about.version), ("资源 resource_id", about.resource_id)]
    if about.usage_id:
        said += [("交付编号 usage_id", about.usage_id), ("水印 watermark", about.watermark or "")]
    return xlsx.XlsxFraming(columns, about=said)


FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format("csv", "text/csv; charset=utf-8", "csv", "CSV 表格", "CSV", _csv, example="code,name\n320501,市辖区\n"),
        Format(
            "json",
            "application/json",
            "json",
            "JSON",
            "JSON",
            lambda columns, about, _: JsonFraming(columns, facts=_document(columns, about)),
            example='{"title": "…", "fields": [{"name": "code"}], "items": [{"code": "320501"}]}',
        ),
        Format(
            "jsonl",
            "application/x-ndjson; charset=utf-8",
            "jsonl",
            "JSON 行",
            "JSON Lines",
            lambda columns, *_: JsonLinesFraming(columns),
            accept=("application/jsonl", "application/x-jsonlines"),
            example='{"code":"320501","name":"市辖区"}\n',
        ),
        Format(
            "parquet",
            "application/vnd.apache.parquet",
            "parquet",
            "Parquet",
            "Parquet",
            lambda columns, about, _: columnar.ParquetFraming(columns, facts=_document(columns, about)),
            facts=columnar.facts_needed,
            accept=("application/x-parquet",),
            compressible=False,
        ),
        Format(
            "arrow",
            "application/vnd.apache.arrow.stream",
            "arrows",
            "Arrow 数据流",
            "Arrow stream",
            lambda columns, about, _: columnar.ArrowFraming(columns, facts=_document(columns, about)),
            facts=columnar.facts_needed,
        ),
        Format(
            "xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "xlsx",
            "Excel 表格",
            "Excel workbook",
            _xlsx,
            facts=xlsx.facts_needed,
            compressible=False,
        ),
        Format(
            "geojson",
            "application/geo+json",
            "geojson",
            "GeoJSON",
            "GeoJSON",
            _geojson,
            example='{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": null}]}',
        ),
    )
}
MEDIA_TYPES: Mapping[str, str] = {name: one.media_type for name, one in FORMATS.items()}


async def framing_for(
    connection: asyncpg.Connection, compiled: CompiledQuery, titles: Mapping[str, str], about: About, wish: Wish
) -> Framing:
    """The framing of one delivery, made in the snapshot that it will be copied from.

    Raises NoGeometry, or what a worksheet cannot hold, before a byte is sent, and
    UndefinedTableError when the table is gone.
    """
    form = FORMATS[wish.format]
    columns = await columns_of(connection, compiled, titles)
    if wish.format == "geojson" and place_of(columns) is None:
        raise NoGeometry(fields="、".join(one.name for one in columns)[:300])
    if wish.format == "xlsx" and len(columns) > xlsx.COLUMNS_MAX:
        raise ColumnsExceedFormat(limit=xlsx.COLUMNS_MAX)
    columns, whole = await with_facts(connection, compiled, columns, form.facts(columns))
    if wish.format == "xlsx":
        check_sheet(columns, int(whole.get("rows") or 0))
    return form.make(columns, about, wish)


def check_sheet(columns: Sequence[Column], rows: int) -> None:
    """Raise when a worksheet cannot hold the rows."""
    if rows > xlsx.ROWS_MAX:
        raise RowsExceedFormat(limit=xlsx.ROWS_MAX)
    if xlsx.size_estimate(columns, rows) > xlsx.SHEET_BYTES_MAX:
        raise SheetTooLarge
    for one in columns:
        if (one.facts.get("units") or 0) > xlsx.TEXT_MAX:
            raise TextExceedsFormat(field=one.name, limit=xlsx.TEXT_MAX)


__all__ = [
    "FORMATS",
    "MEDIA_TYPES",
    "About",
    "Column",
    "Format",
    "Wish",
    "framing_for",
    "shown_type",
]
