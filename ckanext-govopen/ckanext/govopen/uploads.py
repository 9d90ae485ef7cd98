"""Files on their way into CKAN's storage: restricted data is stopped, tables are shown to the scanner first."""

from __future__ import annotations

import csv
import io
import json
from itertools import islice
from typing import Any

import ckan.plugins.toolkit as tk
from ckan import model
from ckan.lib import files, uploader
from ckanext.govopen import publication, sealing

SAMPLE_BYTES = 2_000_000
FIELD_CHARS_MAX = 1_000_000
READABLE = ("csv", "tsv", "txt", "json", "jsonl", "ndjson")
UNREADABLE = (
    "xlsx", "xls", "xlsm", "xlsb", "et", "ods", "numbers", "zip", "gz", "tgz", "bz2", "xz", "7z", "rar", "tar", "zst",
    "parquet", "feather", "arrow", "orc", "avro", "dbf", "mdb", "accdb", "sqlite", "sqlite3", "db", "gpkg", "sav",
    "dta", "rds", "rdata", "h5", "hdf5", "npy", "npz", "pickle", "pkl",
)
"""Tables, and packages that may hold tables, of which the scanner sees nothing."""
MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd",
         b"PAR1", b"ARROW1", b"ORC", b"Obj\x01", b"SQLite format 3", b"\xd0\xcf\x11\xe0")
DOCUMENTS = ("docx", "doc", "pptx", "ppt", "odt", "odp", "epub", "pdf", "ofd", "wps")
"""Text for people, which may be packed."""


class ScannedUpload:
    """CKAN's own uploader, asked to store only after the gate has seen the file.

    The check happens in ``upload``, inside the dataset's transaction and before a byte reaches the storage, so that a
    refused file never replaces the one that is being served.
    """

    def __init__(self, data_dict: dict[str, Any]) -> None:
        given = data_dict.get("upload")
        stream = getattr(given, "stream", None)
        filename = str(getattr(given, "filename", "") or "")
        kind = _kind(filename, data_dict.get("format")) if stream else ""
        self._unreadable = bool(stream) and unreadable(stream, kind)
        self._sample = read_sample(stream, f"file.{kind}") if stream else None
        self._inner = _core_uploader(data_dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_inner"], name)

    def upload(self, id: str, max_size: int = 10) -> None:
        if self._sample is not None:
            resource = model.Session.get(model.Resource, id)
            if resource is not None:
                self._check(resource)
        self._inner.upload(id, max_size)

    def _check(self, resource: model.Resource) -> None:
        if sealing.is_restricted_row(resource):
            model.Session.rollback()
            raise tk.ValidationError({"upload": [tk._(
                "Restricted data is never kept here: leave the address empty and load the data afterwards")]})
        package = resource.package
        if not package.extras.get("open_attribute"):
            return
        if self._unreadable:
            model.Session.rollback()
            raise tk.ValidationError({"upload": [tk._(
                "Tables of this kind cannot be checked for personal information: save the table as CSV in UTF-8, "
                "unpacked, and send that")]})
        if not self._sample:
            return
        document = publication.document_of(package, resource)
        publication.check_rows(_user(), document, self._sample)


def _user() -> str | None:
    from ckanext.govopen.outbox import actor

    return actor()


def _core_uploader(data_dict: dict[str, Any]) -> Any:
    """What CKAN would use without us."""
    try:
        files.get_storage(tk.config["ckan.files.default_storages.resource"])
    except files.exc.UnknownStorageError:
        return uploader.ResourceUpload(data_dict)
    return uploader.FKResourceUpload(data_dict)


def _kind(filename: str, claimed: Any) -> str:
    """The kind of a file by its name, else by the format that its resource claims."""
    suffix = filename.rpartition(".")[2].lower() if "." in filename else ""
    if suffix in READABLE or suffix in UNREADABLE or suffix in DOCUMENTS:
        return suffix
    format = str(claimed or "").strip().lower().lstrip(".")
    return format if format in READABLE or format in UNREADABLE else suffix


def unreadable(stream: Any, kind: str) -> bool:
    """Whether a file is, or may hold, a table that the scanner cannot read; by its kind and its first bytes."""
    stream.seek(0)
    head = stream.read(SAMPLE_BYTES)
    stream.seek(0)
    if kind in UNREADABLE:
        return True
    if kind in READABLE and b"\0" in head:
        return True
    return kind not in DOCUMENTS and head.startswith(MAGIC)


def read_sample(stream: Any, filename: str) -> list[dict[str, str]]:
    """First rows of a CSV, TSV, JSON or JSONL file; empty for other kinds and for what cannot be read."""
    rows = int(tk.config["ckanext.govopen.sample_rows"])
    suffix = filename.rpartition(".")[2].lower()
    if suffix not in READABLE:
        return []
    stream.seek(0)
    raw = stream.read(SAMPLE_BYTES)
    stream.seek(0)
    text = _decode(raw)
    try:
        if suffix in ("json", "jsonl", "ndjson"):
            return _json_rows(text, rows)
        csv.field_size_limit(FIELD_CHARS_MAX)
        delimiter = "\t" if suffix == "tsv" else ","
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        return [
            {str(key or ""): str(value) for key, value in row.items() if value is not None}
            for row in islice(reader, rows)
        ]
    except (csv.Error, ValueError, RecursionError):
        return []


def _decode(raw: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError as problem:
            if problem.start > len(raw) - 8:
                return raw[: problem.start].decode(encoding)
    return raw.decode("latin-1")


def _json_rows(text: str, rows: int) -> list[dict[str, str]]:
    try:
        found = json.loads(text)
    except ValueError:
        found = []
        for line in text.splitlines()[:rows]:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    listed = found if isinstance(found, list) else [found]
    return [
        {str(key): str(value) for key, value in row.items()} for row in listed[:rows] if isinstance(row, dict)
    ]
