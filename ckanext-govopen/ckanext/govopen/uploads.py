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


class ScannedUpload:
    """CKAN's own uploader, asked to store only after the gate has seen the file.

    The check happens in ``upload``, inside the dataset's transaction and before a byte reaches the storage, so that a
    refused file never replaces the one that is being served.
    """

    def __init__(self, data_dict: dict[str, Any]) -> None:
        given = data_dict.get("upload")
        stream = getattr(given, "stream", None)
        self._sample = read_sample(stream, str(getattr(given, "filename", "") or "")) if stream else None
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
        if not package.extras.get("open_attribute") or not self._sample:
            return
        document = publication.document_of(package, resource)
        publication.check(_user(), document, publication.plain_rows(self._sample))


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


def read_sample(stream: Any, filename: str) -> list[dict[str, str]]:
    """First rows of a CSV, TSV, JSON or JSONL file; empty for other kinds and for what cannot be read."""
    rows = int(tk.config["ckanext.govopen.sample_rows"])
    suffix = filename.rpartition(".")[2].lower()
    if suffix not in ("csv", "tsv", "txt", "json", "jsonl", "ndjson"):
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
            {str(key): str(value) for key, value in row.items() if key is not None and value is not None}
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
