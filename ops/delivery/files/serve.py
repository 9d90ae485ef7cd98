"""A file on its way out: whole or in part, compressed if the caller likes, exact about what it is."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ops.delivery.files.build import Plan
from ops.delivery.files.store import FileStore, Manifest
from ops.delivery.pump import EXECUTOR
from ops.delivery.ranges import Part, Representation, coding_of, http_date, is_unchanged, part_of
from ops.delivery.stream import client_left, hand_over
from ops.delivery.versions import Mark

READ_BYTES = 1 << 20
SEND_BYTES = 256 * 1024

Counted = Callable[[Manifest, Part, int], None]
"""Called once with the file, the part that was asked for and the bytes that were handed over."""


def file_headers(manifest: Manifest) -> dict[str, str]:
    """What identifies the representation: the same on 200, 206 and 304."""
    digest = base64.b64encode(bytes.fromhex(manifest.sha256)).decode()
    headers = {
        "ETag": manifest.etag,
        "Last-Modified": http_date(manifest.modified_at),
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{digest}:",
        "Cache-Control": "public, no-cache, no-transform",
        "X-Govopen-Version": manifest.version,
        "X-Govopen-Rows": str(manifest.rows),
        "X-Govopen-Source": "file",
        "X-Govopen-Changed": manifest.changed_at,
    }
    if manifest.coding:
        headers["Content-Encoding"] = manifest.coding
    return headers


def answer(
    store: FileStore, plan: Plan, mark: Mark, request: Request, headers: Mapping[str, str], counted: Counted
) -> Response | None:
    """The answer out of the file of this version, None when it is not ready. Raises RangeNotSatisfiable."""
    coding = coding_of(request.headers, plan.codings) or ""
    key = plan.key(mark)
    manifest = store.find(plan.resource_id, key, coding) or store.find(plan.resource_id, key)
    if manifest is None:
        return None
    shown = {**headers, **file_headers(manifest)}
    found = Representation(manifest.etag, manifest.modified_at, manifest.size)
    if is_unchanged(request.headers, found):
        return Response(status_code=304, headers=shown)
    part = part_of(request.headers, found)
    if request.method == "HEAD":
        part = Part(0, manifest.size - 1, partial=False)
    shown["Content-Length"] = str(part.length)
    if part.partial:
        shown["Content-Range"] = f"bytes {part.first}-{part.last}/{manifest.size}"
    if request.method == "HEAD":
        return Response(headers=shown, media_type=plan.media_type)
    try:
        number = store.open(manifest)
    except FileNotFoundError:
        return None
    return FileStream(number, manifest, part, {**shown, "content-type": plan.media_type}, counted)


class FileStream(Response):
    """Sends a part of a file that is held open; says at the end how much was handed over."""

    def __init__(
        self, number: int, manifest: Manifest, part: Part, headers: Mapping[str, str], counted: Counted
    ) -> None:
        self._number, self._manifest, self._part, self._counted = number, manifest, part, counted
        self.status_code = 206 if part.partial else 200
        self.background = None
        self._sent = 0
        self.body = b""
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = asyncio.create_task(client_left(receive))
        sending = asyncio.create_task(self._send_all(send))
        try:
            await asyncio.wait({left, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            left.cancel()
            sending.cancel()
            await asyncio.wait([sending])
            os.close(self._number)
            self._counted(self._manifest, self._part, self._sent)

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        loop = asyncio.get_running_loop()
        place, end = self._part.first, self._part.last + 1
        while place < end:
            block = await loop.run_in_executor(EXECUTOR, os.pread, self._number, min(READ_BYTES, end - place), place)
            if not block:
                raise EOFError("the file is shorter than its manifest says")
            for start in range(0, len(block), SEND_BYTES):
                body = block[start : start + SEND_BYTES]
                self._sent += len(body)
                await hand_over(send, {"type": "http.response.body", "body": body, "more_body": True})
            place += len(block)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
