"""What comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Downloaded:
    """A file that is whole. ``verified`` says whether the site's checksum was there to compare with."""

    path: Path
    size: int
    sha256: str
    verified: bool
    version: str | None = None
    usage_id: str | None = None
    watermark: str | None = None


@dataclass(frozen=True)
class Lookup:
    """Rows that have one of the values, and the values that no row has."""

    items: list[Row]
    not_found: list[Any]
    usage_id: str | None = None


@dataclass(frozen=True)
class Analysis:
    """Aggregates: rows of the answer, and the whole document with what was withheld and blurred."""

    document: dict[str, Any]

    @property
    def rows(self) -> list[Any]:
        found = self.document.get("rows", self.document.get("items", []))
        return list(found)


ENDED = frozenset({"ready", "failed", "cancelled", "expired", "revoked"})


@dataclass(frozen=True)
class ExportState:
    """An export job at one moment. ``rows`` is done so far, ``rows_total`` what was counted at acceptance."""

    id: str
    state: str
    rows: int = 0
    rows_total: int | None = None
    size: int | None = None
    sha256: str | None = None
    expires_at: str | None = None
    error: str | None = None
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, document: dict[str, Any]) -> ExportState:
        progress = document.get("progress") or {}
        return cls(
            id=document["id"],
            state=document["state"],
            rows=progress.get("rows", 0),
            rows_total=progress.get("rows_total"),
            size=document.get("size"),
            sha256=document.get("sha256"),
            expires_at=document.get("expires_at"),
            error=(document.get("error") or {}).get("code"),
            document=document,
        )

    @property
    def ended(self) -> bool:
        return self.state in ENDED
