"""Reading a table out of a file: what it is, is told by its content; every fault names row and column, no value."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from authz import DataField, FieldError, Refusal
from ops.delivery.loading.values import EXPECTED, READERS, cell_of

FAULTS_MAX = 20
CELL_CHARS_MAX = 1_000_000
SNIFF_BYTES = 64 * 1024
Format = Literal["csv", "parquet"]

SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "Excel 或 ZIP 文件", "an Excel or ZIP file"),
    (b"\xd0\xcf\x11\xe0", "旧版 Excel/Word 文件", "an old Excel or Word file"),
    (b"%PDF", "PDF 文件", "a PDF"),
    (b"\x1f\x8b", "gzip 压缩文件", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "zstd 压缩文件", "a zstd file"),
    (b"\x89PNG", "图片", "an image"),
    (b"\xff\xd8\xff", "图片", "an image"),
    (b"SQLite format 3", "SQLite 数据库", "an SQLite database"),
    (b"\x7fELF", "程序文件", "a program"),
)


class NotATable(Refusal):
    """The content is no CSV and no Parquet, whatever the file is called."""

    code = "not_a_table"
    status = 415
    zh = "文件内容不是 CSV 或 Parquet：{what_zh}。"
    en = "The content is neither CSV nor Parquet: {what_en}."
    next_zh = "请另存为 CSV（UTF-8 或 GB18030）或 Parquet 后重新上传。"
    next_en = "Save it as CSV (UTF-8 or GB18030) or Parquet and upload it again."


class TableRefused(Refusal):
    """The table does not fit the catalogue; nothing was replaced."""

    code = "table_invalid"
    status = 422
    zh = "数据表有 {count} 处与目录登记的字段不符{more_zh}，现有数据保持不变。"
    en = "The table differs from its fields in the catalogue in {count} place(s){more_en}; nothing was replaced."
    next_zh = "请按列出的行和列修改后重新上传；行号从表头下一行起为 1。"
    next_en = "Correct the listed rows and columns; row 1 is the first one after the header."

    def __init__(self, errors: Sequence[FieldError], more: bool) -> None:
        super().__init__(
            errors=errors, count=len(errors), more_zh="（仅列出前 20 处）" if more else "",
            more_en=" (only the first 20 are listed)" if more else "",
        )


@dataclass
class Faults:
    """The first faults found; reading goes on until there are more than can be listed."""

    found: list[FieldError] = field(default_factory=list)
    more: bool = False

    def add(self, where: str, code: str, zh: str, en: str) -> None:
        if len(self.found) < FAULTS_MAX:
            self.found.append(FieldError(where[:200], code, zh, en))
        else:
            self.more = True

    def check(self) -> None:
        if self.found:
            raise TableRefused(self.found, self.more)


@dataclass
class TableReader:
    """Rows of a file in the order of the catalogue's fields, each cell as text to store or None."""

    FORMATS: ClassVar[tuple[Format, ...]] = ("csv", "parquet")
    path: Path
    fields: Sequence[DataField]
    faults: Faults = field(default_factory=Faults)
    rows: int = 0

    def format(self) -> Format:
        """What the file is, by its first and last bytes; raises NotATable."""
        with self.path.open("rb") as file:
            head = file.read(SNIFF_BYTES)
            file.seek(max(0, self.path.stat().st_size - 4))
            tail = file.read(4)
        if head[:4] == b"PAR1" and tail == b"PAR1" and len(head) > 8:
            return "parquet"
        for signature, zh, en in SIGNATURES:
            if head.startswith(signature):
                raise NotATable(what_zh=f"是{zh}", what_en=f"it is {en}")
        if not head.strip():
            raise NotATable(what_zh="是空文件", what_en="it is empty")
        if b"\0" in head:
            raise NotATable(what_zh="是二进制文件", what_en="it is binary")
        if head.lstrip()[:1] in (b"<", b"{", b"["):
            raise NotATable(what_zh="像是网页、XML 或 JSON", what_en="it looks like HTML, XML or JSON")
        return "csv"

    def read(self) -> Iterator[list[str | None]]:
        """Checked rows; raises NotATable or TableRefused, the latter once reading has ended."""
        kind = self.format()
        source = self._parquet() if kind == "parquet" else self._csv()
        readers = [(one.name, one.type, READERS[one.type]) for one in self.fields]
        for cells in source:
            self.rows += 1
            out: list[str | None] = []
            for (name, type_, reader), cell in zip(readers, cells, strict=True):
                if cell is None or cell == "":
                    out.append(None)
                    continue
                try:
                    out.append(reader(cell))
                except ValueError:
                    self.faults.add(f"rows.{self.rows}.{name}", "wrong_type", *EXPECTED[type_])
            if self.faults.more:
                break
            yield out
        self.faults.check()

    def _order(self, names: Sequence[str]) -> list[int]:
        """Places of the fields among the file's columns; refuses missing, unknown and repeated ones."""
        wanted = [one.name for one in self.fields]
        for name in wanted:
            if name not in names:
                self.faults.add(f"columns.{name}", "missing_column", "文件缺少该列", "is missing in the file")
        for place, name in enumerate(names, 1):
            if name not in wanted:
                self.faults.add(
                    f"columns.{name or place}", "unknown_column", f"目录中没有该列（第 {place} 列）",
                    f"is not a field of the catalogue (column {place})",
                )
            elif name in names[: place - 1]:
                self.faults.add(f"columns.{name}", "repeated_column", "该列重复", "appears twice")
        self.faults.check()
        return [list(names).index(name) for name in wanted]

    def _csv(self) -> Iterator[list[str | None]]:
        encoding = _encoding_of(self.path)
        csv.field_size_limit(CELL_CHARS_MAX)
        with self.path.open(encoding=encoding, newline="") as file:
            lines = csv.reader(file, strict=True)
            try:
                header = next(lines, [])
                places = self._order([name.strip() for name in header])
                for cells in lines:
                    if not cells and len(header) > 1:
                        continue
                    if len(cells) != len(header):
                        if not cells:
                            cells = [""]
                        else:
                            self.rows += 1
                            self.faults.add(
                                f"rows.{self.rows}", "wrong_width",
                                f"有 {len(cells)} 列，应为 {len(header)} 列",
                                f"has {len(cells)} cells, not {len(header)}",
                            )
                            if self.faults.more:
                                return
                            continue
                    yield [cells[place] for place in places]
            except csv.Error:
                self.faults.add(
                    f"rows.{self.rows + 1}", "malformed", "CSV 引号或格式有误，或单元格过长",
                    "has wrong quoting or a cell that is too long",
                )

    def _parquet(self) -> Iterator[list[str | None]]:
        # Loaded when a file comes: Arrow takes 40 MB that a service which is sent none does not need.
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(self.path)
            names = list(file.schema_arrow.names)
        except (pa.ArrowException, OSError, ValueError) as fault:
            raise NotATable(what_zh="Parquet 文件已损坏", what_en="the Parquet file is damaged") from fault
        places = self._order(names)
        try:
            for batch in file.iter_batches(batch_size=8_192):
                columns = [batch.column(place).to_pylist() for place in places]
                yield from self._cells(zip(*columns, strict=True))
        except (pa.ArrowException, OSError) as fault:
            raise NotATable(what_zh="Parquet 文件已损坏", what_en="the Parquet file is damaged") from fault

    def _cells(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[list[str | None]]:
        for row in rows:
            cells: list[str | None] = []
            for one, value in zip(self.fields, row, strict=True):
                try:
                    cells.append(cell_of(value, one.type))
                except (ValueError, OverflowError):
                    self.faults.add(f"rows.{self.rows + 1}.{one.name}", "wrong_type", *EXPECTED[one.type])
                    cells.append(None)
            yield cells


def _encoding_of(path: Path) -> str:
    """UTF-8 (with or without BOM), else GB18030; raises NotATable when the bytes are neither."""
    for encoding, name in (("utf-8", "utf-8-sig"), ("gb18030", "gb18030")):
        decoder = codecs.getincrementaldecoder(encoding)()
        with path.open("rb") as file:
            try:
                while block := file.read(1 << 20):
                    decoder.decode(block)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                continue
        return name
    raise NotATable(what_zh="文字编码不是 UTF-8 或 GB18030", what_en="its text is neither UTF-8 nor GB18030")
