"""Whole and filtered downloads: one snapshot, reserved before the first byte, in the format that was asked for."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import asyncpg
from starlette.requests import Request
from starlette.responses import Response

from authz import beijing_date
from authz.obligations import CompiledQuery
from billing.usage import Served
from ops.delivery.connections import Lease, acquired
from ops.delivery.files import Manifest, Plan
from ops.delivery.files.serve import Counted, answer
from ops.delivery.formats import FORMATS, About, Wish, framing_for
from ops.delivery.framing import Framing
from ops.delivery.query import DataQuery
from ops.delivery.ranges import Part
from ops.delivery.refusals import DataNotLoaded
from ops.delivery.service import Permit
from ops.delivery.stream import DataStream, Delivery
from ops.delivery.versions import exact_mark
from ops.delivery.watch import Running

AROUND_BYTES, AROUND_ROW_BYTES = 16 * 1024, 64
"""What a format may put around all rows and around each of them, beyond what they take as JSON."""
UNSAFE_IN_NAMES = re.compile(
    r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+'
)
"""Signs that no file's name has, and those that are not seen or turn the others round."""
NAME_BYTES_MAX = 200
"""What systems of files take is 255 bytes with the ending."""


def media_type(query: DataQuery) -> str:
    kind = FORMATS[query.format].media_type
    return kind.replace("utf-8", query.encoding) if query.format == "csv" else kind


def stem_of(title: str) -> str:
    """A title as the name of a file, without its ending: nothing that deceives, nothing too long to be saved."""
    stem = UNSAFE_IN_NAMES.sub("_", title).strip(" ._")
    return stem.encode("utf-8", "ignore")[:NAME_BYTES_MAX].decode("utf-8", "ignore") or "data"


def disposition(permit: Permit, query: DataQuery) -> str:
    """Content-Disposition with the Chinese title as the file's name."""
    data, suffix = permit.data, FORMATS[query.format].suffix
    stem = stem_of(data.title or data.dataset_title or data.resource_id)
    plain = re.sub(r"[^A-Za-z0-9_-]", "", data.dataset_name or data.resource_id) or "data"
    return f"attachment; filename=\"{plain}.{suffix}\"; filename*=UTF-8''{quote(stem, safe='')}.{suffix}"


def headers_of(permit: Permit, query: DataQuery, watermark: str | None) -> dict[str, str]:
    """Headers of a download, but for its usage."""
    identity = repr((permit.version, query, permit.grant.id if permit.grant else None))
    headers = {
        **permit.limits,
        "Content-Disposition": disposition(permit, query),
        "ETag": f'W/"{hashlib.sha256(identity.encode()).hexdigest()[:32]}"',
        "X-Govopen-Version": permit.version,
        "Cache-Control": "private, no-store" if permit.grant else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "X-Accel-Buffering": "no",
        "Vary": "Accept, Authorization" if permit.grant else "Accept, Accept-Encoding",
    }
    if watermark:
        headers["X-Govopen-Watermark"] = watermark
    return headers


def compiled_for(permit: Permit, query: DataQuery) -> CompiledQuery:
    """The one SELECT. Rows beyond a limit must be the same ones every time, so a limit puts them in key order."""
    return permit.compile(query, limit=query.limit, cursor=0 if query.limit and not query.sort else None)


def plan_of(permit: Permit, query: DataQuery) -> Plan:
    """How everyone's whole file of this format is made."""
    data = permit.data
    location = data.location or {}
    return Plan(
        resource_id=data.resource_id,
        title=data.title,
        titles={one.name: one.title for one in data.fields},
        catalogue_version=data.version,
        pool=permit.pool,
        schema=location["schema"],
        table=location["table"],
        compiled=compiled_for(permit, query),
        wish=Wish(query.format, query.bom, query.encoding),
        media_type=media_type(query),
    )


def is_whole(permit: Permit, query: DataQuery) -> bool:
    """Whether it is everyone's data, all of it, as it is."""
    selected = query.columns or query.filters or query.limit or query.sort
    return permit.grant is None and not permit.data.restricted and not selected


async def from_file(permit: Permit, query: DataQuery, request: Request) -> Response | None:
    """The answer out of a file that was made of this very version; asks for one to be made when there is none.

    ``Cache-Control: no-cache`` gets the rows straight from the table. Raises RangeNotSatisfiable.
    """
    files = permit.parts.files
    if (
        files.store.root is None
        or not is_whole(permit, query)
        or "no-cache" in request.headers.get("cache-control", "")
    ):
        return None
    plan = plan_of(permit, query)
    async with acquired(permit.pool) as connection:
        mark = await exact_mark(connection, plan.schema, plan.table)
    if mark is None:
        return None
    headers = {
        **permit.limits,
        "Content-Disposition": disposition(permit, query),
        "Vary": "Accept, Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    found = answer(files.store, plan, mark, request, headers, _count_file(permit))
    if found is None and request.method != "HEAD":
        files.want(plan)
    return found


def _count_file(permit: Permit) -> Counted:
    """Sums of open data: a download is counted with its first byte, rows by the share of the file that was sent."""
    parts, resource_id = permit.parts, permit.data.resource_id
    day = beijing_date(parts.runtime.clock.now())

    def count(manifest: Manifest, part: Part, sent: int) -> None:
        before, after = ((part.first + size) * manifest.rows // max(1, manifest.size) for size in (0, sent))
        parts.recorder.count_open(resource_id, day, after - before, sent, downloads=int(part.first == 0))

    return count


async def download(permit: Permit, query: DataQuery) -> Response:
    """Reserve and hand back the stream.

    Raises QuotaExhausted, RowsPerCallExceeded, Busy, DataNotLoaded, and what the format cannot hold.
    """
    compiled = compiled_for(permit, query)
    lease = await Lease.take(permit.pool)
    running = Running(permit.grant.id, permit.data.resource_id, permit.access.key_id) if permit.grant else None
    try:
        if running is None:
            await _still_there(lease, compiled)
            permit = await _exactly(lease, permit)
        headers = headers_of(permit, query, compiled.watermark)
        if running is None:
            framing = await framing_of(lease, permit, query, compiled, None)
            delivery = Delivery(lease, compiled.sql_literal, framing, _count_open(permit))
        else:
            delivery = await _metered(lease, permit, query, compiled, running, headers)
    except BaseException:
        if running is not None:
            permit.parts.watch.discard(running)
        await asyncio.shield(lease.throw_away())
        raise
    return DataStream(delivery, headers, media_type(query))


async def _metered(
    lease: Lease, permit: Permit, query: DataQuery, compiled: CompiledQuery, running: Running, headers: dict[str, str]
) -> Delivery:
    """Count, check the format, reserve: in this order, so that nothing is reserved that cannot be sent."""
    parts = permit.parts
    parts.watch.add(running)
    rows, size = await count_rows(lease, compiled, permit.rows_max, sizes=permit.bytes_bounded)
    ask = permit.ask(compiled.columns, rows, size)
    framing = None
    if permit.rows_max is None or rows <= permit.rows_max:
        framing = await framing_of(lease, permit, query, compiled, ask.id)
    await parts.recorder.reserve(ask)
    assert framing is not None  # noqa: S101 - more than rows_max cannot be reserved
    headers["X-Govopen-Usage-Id"] = ask.id
    return Delivery(
        lease,
        compiled.sql_literal,
        framing,
        lambda served: parts.recorder.settle(ask, served),
        rows_max=rows,
        bytes_max=size if permit.bytes_bounded else None,
        running=running,
        on_end=lambda: parts.watch.discard(running),
    )


async def framing_of(
    lease: Lease, permit: Permit, query: DataQuery, compiled: CompiledQuery, usage_id: str | None
) -> Framing:
    """The framing, made in the delivery's snapshot; raises what the format cannot hold, and DataNotLoaded."""
    data = permit.data
    about = About(data.resource_id, data.title, permit.version, usage_id, compiled.watermark)
    titles = {one.name: one.title for one in data.fields}
    wish = Wish(query.format, query.bom, query.encoding)
    try:
        return await framing_for(lease.connection, compiled, titles, about, wish)
    except asyncpg.UndefinedTableError as fault:
        raise DataNotLoaded from fault


async def _exactly(lease: Lease, permit: Permit) -> Permit:
    """The permit with the version that the delivery's own snapshot sees, where exact versions are kept."""
    location = permit.data.location or {}
    mark = await exact_mark(lease.connection, location["schema"], location["table"])
    return replace(permit, version=f"{permit.data.version}-{mark.text}") if mark else permit


def _count_open(permit: Permit) -> Callable[[Served], asyncio.Future[None] | None]:
    parts, resource_id = permit.parts, permit.data.resource_id
    day = beijing_date(parts.runtime.clock.now())

    def settle(served: Served) -> None:
        parts.recorder.count_open(resource_id, day, served.rows, served.bytes)

    return settle


async def count_rows(
    lease: Lease, compiled: CompiledQuery, most: int | None, *, sizes: bool = False
) -> tuple[int, int]:
    """Exactly the rows that will be sent, read in the snapshot they will be sent from; with ``sizes`` also bytes.

    Beyond ``most`` nothing will be sent, so that counting stops at one more than that. Bytes are an upper bound in
    every format: the rows as JSON, and room for what a format puts around them. The stream is held to it.
    """
    bound = f" LIMIT {most + 1:d}" if most is not None else ""
    shown, size = ("p.*", "coalesce(sum(octet_length(row_to_json(q)::text)), 0)") if sizes else ("1", "0")
    try:
        row = await lease.connection.fetchrow(
            f"SELECT count(*) AS rows, {size}::bigint AS size"
            f" FROM (SELECT {shown} FROM ({compiled.sql}) AS p{bound}) AS q",
            *compiled.params,
        )
    except asyncpg.UndefinedTableError as fault:
        raise DataNotLoaded from fault
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    around = AROUND_BYTES + AROUND_ROW_BYTES * row["rows"] if sizes else 0
    return row["rows"], row["size"] + around


async def _still_there(lease: Lease, compiled: CompiledQuery) -> None:
    """Fail before the first byte when the table went away meanwhile, and bind it to the snapshot."""
    try:
        await lease.connection.fetchval(f"SELECT 1 FROM ({compiled.sql}) AS q LIMIT 1", *compiled.params)
    except asyncpg.UndefinedTableError as fault:
        raise DataNotLoaded from fault
