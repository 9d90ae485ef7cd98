"""An export job: what was asked for, where it is, what came of it; and what is refused around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from authz import BEIJING, Conflict, Refusal, RowFilter
from ops.delivery.formats import FORMATS
from ops.delivery.query import DataQuery
from ops.delivery.refusals import TooManyRequests

PROCESS = "exports"
"""The owner of export jobs' reservations (``billing.usage_process``). It never counts as lost: jobs outlive workers."""
OPEN = ("queued", "running")


class ExportNotNeeded(Conflict):
    code = "export_not_needed"
    zh = "该数据无条件开放，可直接下载，无须导出任务。"
    en = "This data is open: download it directly, no export job is needed."
    next_zh = "各格式的地址见 /data/v1/{resource_id}/files。"
    next_en = "See /data/v1/{resource_id}/files for every format."


class ExportsTooMany(TooManyRequests):
    code = "exports_too_many"
    zh = "该授权已有 {limit} 个导出任务未完成。"
    en = "This grant has {limit} export jobs that are not done."
    next_zh = "请等待其完成，或以 DELETE 取消其中一个。"
    next_en = "Wait until one is done, or cancel one by DELETE."


class ExportNotReady(Conflict):
    code = "export_not_ready"
    zh = "导出文件尚未生成完毕（{state}）。"
    en = "The file is not made yet ({state})."
    next_zh = "请稍后查询任务状态，ready 后再下载。"
    next_en = "Look at the job again in a while; fetch the file when it is ready."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": "5"}


class ExportGone(Refusal):
    code = "export_gone"
    status = 410
    zh = "导出文件已不再提供（{state}）。"
    en = "The file is no longer provided ({state})."
    next_zh = "如授权仍然有效，请重新提交导出任务。"
    next_en = "If the grant still stands, ask for a new export."


class Superseded(Exception):
    """The job was cancelled, or another worker has it: what this one made is thrown away."""


@dataclass(frozen=True)
class ExportJob:
    """One job as it is stored. ``query`` is the DataQuery as a document."""

    id: str
    grant_id: str
    party_id: str
    resource_id: str
    key_id: str
    state: str
    query: Mapping[str, Any]
    columns: Sequence[str]
    usage_id: str
    usage_day: date
    rows_reserved: int
    bytes_reserved: int
    rows_done: int
    attempt: int
    version: str | None
    watermark: str | None
    size: int | None
    sha256: bytes | None
    manifest: str | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ExportJob:
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def path(self) -> str:
        return f"/data/v1/{self.resource_id}/exports/{self.id}"

    @property
    def data_query(self) -> DataQuery:
        plain = dict(self.query)
        plain["filters"] = tuple(
            RowFilter(one["field"], one["op"], tuple(one["value"]) if one["op"] == "in" else one["value"])
            for one in plain["filters"]
        )
        plain["columns"] = tuple(plain["columns"]) if plain["columns"] is not None else None
        plain["sort"] = tuple((name, down) for name, down in plain["sort"])
        return DataQuery(**plain)

    def as_document(self, now: datetime) -> dict[str, Any]:
        """The job for its holder; a file whose time is over is shown as expired at once."""
        over = self.state == "ready" and self.expires_at is not None and self.expires_at <= now
        state = "expired" if over else self.state
        total = max(self.rows_reserved, self.rows_done)
        ready = state == "ready"
        return {
            "id": self.id, "state": state, "resource_id": self.resource_id, "grant_id": self.grant_id,
            "format": self.query["format"], "media_type": FORMATS[self.query["format"]].media_type,
            "columns": list(self.columns), "purpose": self.query["purpose"], "usage_id": self.usage_id,
            "progress": {
                "rows": self.rows_done, "rows_total": total,
                "percent": 100 if ready else min(99, self.rows_done * 100 // max(1, total)),
            },
            "version": self.version, "size": self.size if ready else None,
            "sha256": self.sha256.hex() if self.sha256 and ready else None,
            "watermark": self.watermark, "error": {"code": self.error} if self.error else None,
            "created_at": _shown(self.created_at), "started_at": _shown(self.started_at),
            "ended_at": _shown(self.ended_at), "expires_at": _shown(self.expires_at),
            "url": self.path, "file_url": f"{self.path}/file" if ready else None,
            "manifest_url": f"{self.path}/manifest" if ready else None,
        }


def query_document(query: DataQuery) -> dict[str, Any]:
    plain = asdict(query)
    plain["filters"] = [
        {"field": one.field, "op": one.op, "value": list(one.value) if one.op == "in" else one.value}
        for one in query.filters
    ]
    return plain


def _shown(at: datetime | None) -> str | None:
    return at.astimezone(BEIJING).isoformat() if at else None
