"""Is what lies on the disk whole? Asked when a process did not end in order, before anything is served from it."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
import struct
import zlib
from pathlib import Path
from typing import Any

log = logging.getLogger("ops.search")

MAGIC = 1337
"""Ends each of tantivy's files, after a footer of JSON with the checksum and the footer's length."""
PARTS = ("fast", "fieldnorm", "idx", "pos", "store", "term")
CHUNK = 1 << 22
RESERVE_BYTES = 64_000_000
"""Left free for what is under way: below it, writes are refused."""
FULL = ("no space left", "disk is full", "disk i/o error", "file too large", "quota exceeded")


def files_of(meta: dict[str, Any]) -> list[str]:
    """Names of the files that a commit (``meta.json``) consists of."""
    names: list[str] = []
    for segment in meta["segments"]:
        name = segment["segment_id"].replace("-", "")
        names += [f"{name}.{part}" for part in PARTS]
        if segment.get("deletes"):
            names.append(f"{name}.{segment['deletes']['opstamp']}.del")
    return names


def index_is_whole(folder: Path) -> bool:
    """Are all files of an index there, each with the checksum that it ends with?"""
    try:
        content = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        for one in files_of(content):
            if not _is_whole(folder / one):
                log.error("%s is damaged", folder / one)
                return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.error("The index in %s cannot be read: %s", folder, error)
        return False
    return True


def drop_unnamed_deletions(folder: Path) -> None:
    """Remove files of deletions that no commit names: one that was cut short wrote them, and the next would not
    write over them."""
    segments = json.loads((folder / "meta.json").read_bytes())["segments"]
    named = {
        f"{segment['segment_id'].replace('-', '')}.{segment['deletes']['opstamp']}.del"
        for segment in segments if segment.get("deletes")
    }
    for path in folder.glob("*.del"):
        if path.name not in named:
            path.unlink()


def _is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < 8:
            return False
        file.seek(size - 8)
        length, magic = struct.unpack("<II", file.read(8))
        if magic != MAGIC or length > size - 8:
            return False
        file.seek(size - 8 - length)
        wanted = json.loads(file.read(length))["crc"]
        file.seek(0)
        left, found = size - 8 - length, 0
        while left:
            chunk = file.read(min(CHUNK, left))
            if not chunk:
                return False
            found = zlib.crc32(chunk, found)
            left -= len(chunk)
    return bool(found == wanted)


def database_is_whole(path: Path) -> bool:
    """SQLite's own check of every page; a file that is not there is whole."""
    if not path.exists():
        return True
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        try:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        log.error("%s: %s", path, error)
        return False


def set_aside(folder: Path, path: Path) -> Path:
    """Move a damaged database with its side files into a folder of its own; where it is now."""
    number = 1
    while (aside := folder / f"damaged-{number}").exists():
        number += 1
    aside.mkdir()
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside / part.name)
    return aside / path.name


def is_full(error: BaseException) -> bool:
    """Did a write fail because there is no room?"""
    text = str(error).lower()
    return any(phrase in text for phrase in FULL)


def has_room(folder: Path) -> bool:
    return shutil.disk_usage(folder).free >= RESERVE_BYTES
