"""Files are made once: in one snapshot with the version they are named by, by one process of the machine at a time."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import asyncpg

from authz import Refusal
from authz.obligations import CompiledQuery, quoted
from ops.delivery.connections import Lease
from ops.delivery.files.store import SUFFIXES, FileStore, Manifest
from ops.delivery.formats import FORMATS, About, Wish, framing_for
from ops.delivery.framing import Framing
from ops.delivery.pump import EXECUTOR, pump
from ops.delivery.versions import Mark, exact_mark

log = logging.getLogger("govopen.delivery")

REVISION = 1
"""Counted up when a format is written differently, so that files made before are not found."""
WRITE_BYTES = 1 << 20
WAITING_MAX = 40
RETRY_AFTER_S = 300.0
CODINGS = ("zstd", "gzip")
GZIP_LEVEL = 6


@dataclass(frozen=True)
class Plan:
    """What a file is made from: an open table as everyone may see it, in one format."""

    resource_id: str
    title: str
    titles: Mapping[str, str]
    catalogue_version: int
    pool: asyncpg.Pool
    schema: str
    table: str
    compiled: CompiledQuery
    wish: Wish
    media_type: str

    @property
    def label(self) -> str:
        return self.wish.format + ("-bom" if self.wish.bom else "") + self.wish.encoding.removeprefix("utf-8")

    @property
    def codings(self) -> tuple[str, ...]:
        return CODINGS if FORMATS[self.wish.format].compressible else ()

    def version(self, mark: Mark) -> str:
        return f"{self.catalogue_version}-{mark.text}"

    def key(self, mark: Mark) -> str:
        """Everything that the content depends on."""
        facts = (REVISION, self.version(mark), self.title, self.compiled.sql_literal, sorted(self.titles.items()))
        return f"{self.label}-{hashlib.sha256(repr((*facts, self.wish)).encode()).hexdigest()[:32]}"


class Files:
    """Files of this process: ``want`` asks for one to be made in the background."""

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._not_before: dict[tuple[str, str], float] = {}
        self._one = asyncio.Semaphore(1)

    def want(self, plan: Plan) -> bool:
        """Make the file unless it is being made already; whether it will be."""
        name = (plan.resource_id, plan.label)
        if name in self._tasks:
            return True
        if len(self._tasks) >= WAITING_MAX or self._not_before.get(name, 0.0) > time.monotonic():
            return False
        self._tasks[name] = task = asyncio.create_task(self._make(plan))
        task.add_done_callback(lambda _: self._tasks.pop(name, None))
        return True

    def is_wanted(self, plan: Plan) -> bool:
        return (plan.resource_id, plan.label) in self._tasks

    async def close(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def settled(self) -> None:
        """Wait until everything that is wanted is made."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _make(self, plan: Plan) -> None:
        name = (plan.resource_id, plan.label)
        try:
            async with self._one:
                await make(self.store, plan)
        except Refusal as refusal:
            log.info("no %s of %s: %s", plan.label, plan.resource_id, refusal.code)
            self._put_off(name)
        except Exception:
            log.exception("the %s of %s could not be made", plan.label, plan.resource_id)
            self._put_off(name)

    def _put_off(self, name: tuple[str, str]) -> None:
        if len(self._not_before) > 10_000:
            self._not_before.clear()
        self._not_before[name] = time.monotonic() + RETRY_AFTER_S


async def make(store: FileStore, plan: Plan) -> Manifest | None:
    """Make the file and its compressed forms unless they are there; None when no exact version is kept of the table,
    there is no room, or another process is making it. Raises what the format refuses."""
    if not store.has_room():
        return None
    folder = store.folder(plan.resource_id)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / f"{plan.label}.lock") as alone:
        if not alone:
            return None
        lease = await Lease.take(plan.pool)
        part = folder / f"{plan.label}.{os.getpid()}.part"
        try:
            made = await _copy(store, plan, lease, part)
            await lease.give_back()
        except BaseException:
            await asyncio.shield(lease.throw_away())
            part.unlink(missing_ok=True)
            raise
        if made is None:
            return None
        if part.exists():
            await _after(_last_second(store, made))
            store.keep(made, part)
        for coding in plan.codings:
            if store.find(plan.resource_id, made.key, coding) is None:
                await _keep_coded(store, made, coding)
        return made


async def _keep_coded(store: FileStore, made: Manifest, coding: str) -> None:
    folder = store.folder(made.resource_id)
    target = folder / f"{made.label}.{os.getpid()}.{coding}.part"
    try:
        size, digest = await asyncio.get_running_loop().run_in_executor(
            EXECUTOR, _compress, folder / made.file, target, coding
        )
        store.keep(_coded(made, coding, size, digest), target)
    finally:
        target.unlink(missing_ok=True)


async def _copy(store: FileStore, plan: Plan, lease: Lease, part: Path) -> Manifest | None:
    """The rows into ``part``, named by the version that the same snapshot sees."""
    connection = lease.connection
    await connection.execute(f"LOCK TABLE {quoted(plan.schema)}.{quoted(plan.table)} IN ACCESS SHARE MODE")
    await connection.execute("SET LOCAL synchronize_seqscans = off")
    mark = await exact_mark(connection, plan.schema, plan.table)
    if mark is None:
        return None
    known = store.find(plan.resource_id, plan.key(mark))
    if known is not None:
        return known
    about = About(plan.resource_id, plan.title, plan.version(mark))
    framing = await framing_for(connection, plan.compiled, plan.titles, about, plan.wish)
    rows, size, digest = await _write(connection, plan.compiled.sql_literal, framing, part)
    key, now = plan.key(mark), datetime.now(UTC)
    return Manifest(
        resource_id=plan.resource_id,
        key=key,
        label=plan.label,
        coding="",
        version=plan.version(mark),
        media_type=plan.media_type,
        file=f"{key}.{FORMATS[plan.wish.format].suffix}",
        rows=rows,
        size=size,
        sha256=digest,
        made_at=now.isoformat(timespec="seconds"),
        changed_at=mark.changed_at.isoformat(timespec="seconds"),
        modified_s=int(now.timestamp()),
    )


async def _write(connection: asyncpg.Connection, sql: str, framing: Framing, part: Path) -> tuple[int, int, str]:
    loop = asyncio.get_running_loop()
    digest, pieces, size, waiting = hashlib.sha256(), list[bytes](), 0, 0

    def put(file: BinaryIO, body: bytes) -> None:
        file.write(body)
        digest.update(body)

    with part.open("wb") as file:

        async def take(body: bytes, _: int) -> None:
            nonlocal size, waiting
            pieces.append(body)
            size += len(body)
            waiting += len(body)
            if waiting >= WRITE_BYTES:
                whole, waiting = b"".join(pieces), 0
                pieces.clear()
                await loop.run_in_executor(EXECUTOR, put, file, whole)

        rows = await pump(connection, sql, framing, take)
        await loop.run_in_executor(EXECUTOR, _finish, file, put, b"".join(pieces))
    return rows, size, digest.hexdigest()


def _finish(file: BinaryIO, put: Any, last: bytes) -> None:
    put(file, last)
    file.flush()
    os.fsync(file.fileno())


def _compress(source: Path, target: Path, coding: str) -> tuple[int, str]:
    """Size and SHA-256 of the compressed file; the same bytes every time."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as whole, target.open("wb") as file:
        for block in _compressed(whole, coding):
            digest.update(block)
            size += len(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def _compressed(whole: BinaryIO, coding: str) -> Iterator[bytes]:
    if coding == "gzip":
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
        while block := whole.read(WRITE_BYTES):
            yield packer.compress(block)
        yield packer.flush()
        return
    import pyarrow as pa

    from ops.delivery.formats.columnar import Sink

    sink = Sink()
    with pa.CompressedOutputStream(pa.PythonFile(sink, "w"), "zstd") as stream:
        while block := whole.read(WRITE_BYTES):
            stream.write(block)
            yield sink.taken()
    yield sink.taken()


def _coded(made: Manifest, coding: str, size: int, digest: str) -> Manifest:
    return Manifest(
        **{
            **made.__dict__,
            "coding": coding,
            "file": made.file + SUFFIXES[coding],
            "size": size,
            "sha256": digest,
        }
    )


def _last_second(store: FileStore, made: Manifest) -> int:
    """The second of Last-Modified of what the new file takes the place of; 0 for nothing."""
    before = [one for one in store.of(made.resource_id) if one.label == made.label and one.key != made.key]
    return max((one.modified_s for one in before if one.modified_s >= made.modified_s), default=0)


async def _after(second: int) -> None:
    """Two versions never bear the same Last-Modified."""
    if second:
        await asyncio.sleep(max(0.0, second + 1 - time.time()))


@contextmanager
def _alone(place: Path) -> Iterator[bool]:
    """Whether nobody else on this machine holds the lock; it ends with the process that holds it."""
    number = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(number)
