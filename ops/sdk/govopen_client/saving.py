"""A download on its way into a file: where it goes on, what it must be in the end. No network."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

import httpx

from .asking import digest_of, is_resumable
from .faults import ChecksumMismatch, IncompleteDownload
from .values import Downloaded

BLOCK = 1 << 20


class Saving:
    """Writes beside the target as ``<name>.part`` and renames when whole; a note tells which copy the part is of."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.part = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")
        self._file: BinaryIO | None = None
        self._response: httpx.Response | None = None
        self.size = 0

    def headers(self) -> dict[str, str]:
        """What to send: a range when there is a part of a copy that is known."""
        headers = {"Accept-Encoding": "identity"}
        etag = self._etag()
        have = self.part.stat().st_size if etag and self.part.exists() else 0
        return {**headers, "Range": f"bytes={have}-", "If-Range": etag} if etag and have else headers

    def _etag(self) -> str | None:
        try:
            found = json.loads(self.note.read_text(encoding="utf-8"))["etag"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, str) else None

    def begin(self, response: httpx.Response) -> None:
        """Open the part: at its end for the same copy (206), else anew."""
        self._response = response
        going_on = response.status_code == 206 and response.headers.get("etag") == self._etag()
        self.target.parent.mkdir(parents=True, exist_ok=True)
        if not going_on:
            self.note.unlink(missing_ok=True)
        number = os.open(self.part, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if going_on else os.O_TRUNC), 0o600)
        self._file = os.fdopen(number, "ab" if going_on else "wb")
        if is_resumable(response.headers) and not going_on:
            self.note.write_text(json.dumps({"etag": response.headers["etag"]}), encoding="utf-8")

    def write(self, block: bytes) -> None:
        assert self._file is not None  # noqa: S101 - begin comes first
        self._file.write(block)

    def pause(self) -> bool:
        """After a break: whether the next try goes on from here. What cannot be gone on from is thrown away."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._etag() is not None:
            return True
        self.discard()
        return False

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            self.part.unlink()
        with contextlib.suppress(OSError):
            self.note.unlink()

    def finish(self) -> Downloaded:
        """Compare with what the site says and give the file its name. Raises ChecksumMismatch, IncompleteDownload."""
        assert self._file is not None and self._response is not None  # noqa: S101, PT018 - begin comes first
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        headers, digest, size = self._response.headers, hashlib.sha256(), 0
        with self.part.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
                size += len(block)
        told = digest_of(headers)
        if told is not None and told != digest.hexdigest():
            self.discard()
            raise ChecksumMismatch(f"the file has the SHA-256 {digest.hexdigest()}, the site said {told}")
        whole = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length", "")
        if whole.isdigit() and int(whole) != size:
            self.discard()
            raise IncompleteDownload(f"{size} of {whole} bytes")
        os.replace(self.part, self.target)
        self.note.unlink(missing_ok=True)
        return Downloaded(
            self.target,
            size,
            digest.hexdigest(),
            told is not None,
            headers.get("x-govopen-version"),
            headers.get("x-govopen-usage-id"),
            headers.get("x-govopen-watermark"),
        )
