"""XLSX (ISO/IEC 29500): one sheet of rows, one that says what they are; written as it comes, no file in between.

Text is text: its cells are inline strings with the number format ``@`` and the quote prefix, so that nothing in them is
a formula, nor becomes one when a cell is edited. Numbers that a spreadsheet would round (more than 15 digits) make
their column text, as do days before 1900-03-01, and times finer than a millisecond.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ops.delivery.formats.columnar import Sink
from ops.delivery.formats.columns import FLOATS, WHOLE, Column, cell
from ops.delivery.framing import CSV_COPY

ROWS_MAX = 1_048_575
"""Rows of a sheet, less the one of the names."""
COLUMNS_MAX = 16_384
TEXT_MAX = 32_767
"""UTF-16 units in a cell."""
SHEET_BYTES_MAX = 2_000_000_000
DIGITS_MAX = 15
WHOLE_MAX = 10**DIGITS_MAX - 1
CELL_BYTES = 64
BATCH_BYTES = 1 << 20

NUMBER, TEXT, DAY, TIME = "", ' s="1"', ' s="2"', ' s="3"'
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
FILES = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats'
        '-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_KIND}.worksheet+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet2.xml" ContentType="{_KIND}.worksheet+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_KIND}.styles+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type="{_OFFICE}/officeDocument"'
        ' Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook {_MAIN} xmlns:r="{_OFFICE}"><sheets><sheet name="数据" sheetId="1" r:id="rId1"/>'
        '<sheet name="说明" sheetId="2" r:id="rId2"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_OFFICE}/worksheet" Target="worksheets/sheet2.xml"/>'
        f'<Relationship Id="rId3" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>'
    ),
    "xl/styles.xml": (
        f'<styleSheet {_MAIN}><numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>'
        '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss.000"/></numFmts>'
        '<fonts count="1"><font><sz val="11"/><name val="等线"/></font></fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill>'
        '<fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        '<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
        '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1" applyNumberFormat="1"/>'
        '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
        '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    ),
}


def facts_needed(columns: Sequence[Column]) -> dict[str, str]:
    """Aggregates: how many rows, how long the texts, and which numbers and days a spreadsheet can hold."""
    asked = {":rows": "count(*)"}
    for number, one in enumerate(columns):
        name = cell(one)
        if one.pg in ("int8", "numeric"):
            asked[f"{number}:exact"] = (
                f"bool_and({name} BETWEEN -{WHOLE_MAX} AND {WHOLE_MAX})"
                if one.pg == "int8"
                else f"bool_and({name} NOT IN ('NaN', 'Infinity', '-Infinity') AND"
                f" length(ltrim(translate(abs({name})::text, '.', ''), '0')) <= {DIGITS_MAX})"
            )
        elif one.pg in FLOATS:
            asked[f"{number}:exact"] = f"bool_and({name} NOT IN ('NaN', 'Infinity', '-Infinity'))"
        elif one.pg in ("date", "timestamp"):
            whole = f" AND date_trunc('milliseconds', {name}) = {name}" if one.pg == "timestamp" else ""
            asked[f"{number}:exact"] = f"bool_and({name} BETWEEN '1900-03-01' AND '9999-12-31'{whole})"
        elif one.pg not in (*WHOLE, "bool"):
            text = f"({name})::text"
            units = (
                f"CASE WHEN octet_length({text}) <= {TEXT_MAX} THEN 0 ELSE char_length({text}) + char_length("
                f"regexp_replace({text}, U&'[^\\+010000-\\+10FFFF]', '', 'g')) END"
            )
            asked[f"{number}:units"] = f"max({units})"
            asked[f"{number}:bytes"] = f"sum(octet_length({text}))"
    return asked


def size_estimate(columns: Sequence[Column], rows: int) -> int:
    """Bytes of the sheet before compression, generously."""
    texts = sum(int(one.facts.get("bytes") or 0) for one in columns)
    return int(texts * 1.5) + rows * len(columns) * CELL_BYTES


def style_of(column: Column) -> str:
    """How the cells of a column are written."""
    if column.pg in ("int2", "int4", "bool"):
        return NUMBER
    if column.facts.get("exact") is False or "exact" not in column.facts:
        return TEXT
    return {"date": DAY, "timestamp": TIME}.get(column.pg, NUMBER)


class _Archive(zipfile.ZipFile):
    """A ZIP that may be given up half way, when the delivery ends early."""

    def __del__(self) -> None:
        """Nothing is closed: there is no file behind it."""


@dataclass
class XlsxFraming:
    """The workbook as a stream of ZIP members."""

    columns: Sequence[Column]
    about: Sequence[tuple[str, str]] = ()
    copy_options: Mapping[str, Any] = field(default_factory=lambda: CSV_COPY)
    head: bytes = b""
    batch_bytes: int = BATCH_BYTES
    batch_first: int = 64 * 1024
    by_line: bool = False

    def __post_init__(self) -> None:
        self.styles = [style_of(one) for one in self.columns]
        self.sink = Sink()
        self._zip = _Archive(self.sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        for name, text in FILES.items():
            self._member(name, _HEAD + text)
        self._member("xl/worksheets/sheet2.xml", _sheet([*self.about, *((c.name, c.title) for c in self.columns)]))
        self._sheet = self._zip.open(_info("xl/worksheets/sheet1.xml"), "w")
        names = "".join(_text(one.name) for one in self.columns)
        self._sheet.write(
            f'{_HEAD}<worksheet {_MAIN}><sheetViews><sheetView tabSelected="1" workbookViewId="0"><pane ySplit="1"'
            f' topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
            f"<row>{names}</row>\n".encode()
        )
        self.head = self.sink.taken()

    def _member(self, name: str, text: str) -> None:
        self._zip.writestr(_info(name), text)

    def select(self, sql: str) -> str:
        shown = [self._shown(one, style) for one, style in zip(self.columns, self.styles, strict=True)]
        return f"SELECT {', '.join(shown)} FROM ({sql}) AS q"

    def _shown(self, column: Column, style: str) -> str:
        name = cell(column)
        if style == DAY:
            return f"{name} - DATE '1899-12-30'"
        if style == TIME:
            return f"round(extract(epoch FROM {name} - TIMESTAMP '1899-12-30') / 86400, 11)"
        if column.pg == "bool":
            return f"{name}::int"
        return name if style == NUMBER else f"({name})::text"

    def frame(self, batch: bytes) -> tuple[bytes, int]:
        from ops.delivery.formats import arrow

        texts = arrow.read_texts(batch, len(self.columns))
        parts: list[Any] = ["<row>"]
        for column, style, text in zip(self.columns, self.styles, texts, strict=True):
            if style == TEXT:
                open_, shut = f'<c{TEXT} t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>"
                text = escaped(text)
            else:
                kind = ' t="b"' if column.pg == "bool" else ""
                open_, shut = f"<c{style}{kind}><v>", "</v></c>"
            parts.append(arrow.join(open_, text, shut))
        lines = arrow.join(*parts, "</row>\n", none="<c/>")
        self._sheet.write(arrow.as_bytes(lines))
        return self.sink.taken(), len(texts[0])

    def finish(self) -> bytes:
        self._sheet.write(b"</sheetData></worksheet>")
        self._sheet.close()
        self._zip.close()
        return self.sink.taken()


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def escaped(text: Any) -> Any:
    """Texts as XML; what XML cannot hold as ``_xHHHH_`` (ST_Xstring), and what looks like that, too."""
    import pyarrow.compute as pc

    from ops.delivery.formats import arrow

    if arrow.contains(text, "_x[0-9A-Fa-f]{4}_"):
        text = pc.replace_substring_regex(text, pattern="_(x[0-9A-Fa-f]{4}_)", replacement=r"_x005F_\1")
    if arrow.contains(text, SPECIAL):
        text = arrow.replaced(text, ESCAPES)
    return text


SPECIAL = r"[&<>\x01-\x08\x0b-\x1f]|\xef\xbf[\xbe\xbf]"
"""Bytes that XML gives a meaning, or cannot hold: among them U+FFFE and U+FFFF in UTF-8."""
ESCAPES = [
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    *((chr(code), f"_x{code:04X}_") for code in (*range(1, 9), *range(11, 32), 0xFFFE, 0xFFFF)),
]


def _text(value: str) -> str:
    for old, new in ESCAPES[3:]:
        value = value.replace(old, new)
    return f'<c{TEXT} t="inlineStr"><is><t xml:space="preserve">{escape(value, quote=False)}</t></is></c>'


def _sheet(rows: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"<row>{_text(left)}{_text(right)}</row>" for left, right in rows)
    widths = '<cols><col min="1" max="2" width="40" customWidth="1"/></cols>'
    return f"{_HEAD}<worksheet {_MAIN}>{widths}<sheetData>{lines}</sheetData></worksheet>"
