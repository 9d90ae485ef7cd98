"""GeoJSON (RFC 7946) of data that says where things are: a geometry column, or a pair of longitude and latitude.

Which fields these are follows from the dictionary: names and titles that are listed here. Coordinates leave as they
are in the data, without conversion between reference systems; a row without a valid place has geometry ``null``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ops.delivery.formats.columns import FLOATS, JSONS, TEXTS, WHOLE, Column, cell
from ops.delivery.formats.jsons import JsonFraming, members, value_sql

GEOMETRY = re.compile(r"geometry|geom|the_geom|geojson|shape|几何|空间数据|坐标范围", re.IGNORECASE)
LONGITUDE = re.compile(r"lon|lng|long|longitude|经度|(经度.*)|(.*_(lon|lng|longitude))", re.IGNORECASE)
LATITUDE = re.compile(r"lat|latitude|纬度|(纬度.*)|(.*_(lat|latitude))", re.IGNORECASE)
NUMERIC = (*WHOLE, *FLOATS, "numeric")
KINDS = {
    "Point",
    "MultiPoint",
    "LineString",
    "MultiLineString",
    "Polygon",
    "MultiPolygon",
    "GeometryCollection",
}
NUMBER = r"^\s*[+-]?\d{1,3}(\.\d+)?\s*$"


@dataclass(frozen=True)
class Place:
    """Where the geometry comes from: one column of GeoJSON, or two of degrees."""

    geometry: Column | None = None
    longitude: Column | None = None
    latitude: Column | None = None

    @property
    def sql(self) -> str:
        """The geometry as JSON text, NULL when there is none; that of a geometry column is checked later."""
        if self.geometry is not None:
            return f"({cell(self.geometry)})::text"
        if self.longitude is None or self.latitude is None:
            raise ValueError("a place is a geometry or a pair of degrees")
        x, y = _degrees(self.longitude), _degrees(self.latitude)
        point = f"'{{\"type\":\"Point\",\"coordinates\":[' || {x} || ',' || {y} || ']}}'"
        return f"CASE WHEN {x} BETWEEN -180 AND 180 AND {y} BETWEEN -90 AND 90 THEN {point} END"


def _degrees(column: Column) -> str:
    name = cell(column)
    if column.pg in NUMERIC:
        return f"nullif(({name})::numeric, 'NaN')"
    return f"(CASE WHEN {name} ~ '{NUMBER}' THEN trim({name})::numeric END)"


def place_of(columns: Sequence[Column]) -> Place | None:
    """The place that the columns tell, None when they tell none."""

    def found(pattern: re.Pattern[str], kinds: Sequence[str]) -> Column | None:
        named = [one for one in columns if one.pg in kinds and pattern.fullmatch(one.name)]
        titled = [one for one in columns if one.pg in kinds and pattern.fullmatch(one.title)]
        return next(iter([*named, *titled]), None)

    geometry = found(GEOMETRY, (*JSONS, *TEXTS))
    if geometry is not None:
        return Place(geometry=geometry)
    longitude, latitude = found(LONGITUDE, (*NUMERIC, *TEXTS)), found(LATITUDE, (*NUMERIC, *TEXTS))
    return Place(longitude=longitude, latitude=latitude) if longitude and latitude else None


@dataclass
class GeoJsonFraming(JsonFraming):
    """A FeatureCollection, one feature a line."""

    place: Place = Place()

    def __post_init__(self) -> None:
        facts = {"type": "FeatureCollection", **self.facts}
        self.head = orjson.dumps(facts)[:-1] + b',"features":[\n'
        hidden = self.place.geometry.name if self.place.geometry else None
        self._properties = [one for one in self.columns if one.name != hidden]

    def select(self, sql: str) -> str:
        shown = [self.place.sql, *(value_sql(one) for one in self._properties)]
        return f"SELECT {', '.join(shown)} FROM ({sql}) AS q"

    def frame(self, batch: bytes) -> tuple[bytes, int]:
        import pyarrow as pa

        from ops.delivery.formats import arrow

        geometry, *texts = arrow.read_texts(batch, len(self._properties) + 1)
        if self.place.geometry is not None:
            geometry = pa.array([_checked(one) for one in geometry.to_pylist()], pa.string())
        lines = arrow.join(
            self.before + '{"type":"Feature","geometry":',
            geometry,
            ',"properties":{',
            *(members(self._properties, texts) if texts else []),
            "}}\n",
            none="null",
        )
        return self.listed(arrow.as_bytes(lines)), len(geometry)


def _checked(text: str | None) -> str | None:
    """A geometry in one line, None for what is none."""
    try:
        found: Any = orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or found.get("type") not in KINDS:
        return None
    inside = found.get("geometries" if found["type"] == "GeometryCollection" else "coordinates")
    return orjson.dumps(found).decode() if isinstance(inside, list) else None
