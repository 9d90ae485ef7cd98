"""The truth of the index: every acknowledged document, in SQLite with synchronous writes.

A document is a row with a sequence number; a newer one or a deletion ends the row instead of changing it, so a
reader with an older snapshot of the index still finds what it is looking at. Ended rows go away later.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lz4.block
import orjson

BIG_FIELDS = ("data_dict", "validated_data_dict")
"""Long stored strings, kept beside the rest so that a search for names does not read them."""
PACK_ABOVE = 400

_SCHEMA = """
CREATE TABLE IF NOT EXISTS docs (
    seq INTEGER PRIMARY KEY, index_id TEXT NOT NULL, head BLOB NOT NULL, data_dict BLOB, validated_data_dict BLOB,
    ended INTEGER, id TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS docs_live ON docs (index_id) WHERE ended IS NULL;
CREATE INDEX IF NOT EXISTS docs_ended ON docs (ended) WHERE ended IS NOT NULL;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A document as it is kept: ``head`` holds every field but the big ones."""

    index_id: str
    head: bytes
    big: tuple[bytes | None, bytes | None]
    id: str | None = None
    """The document's ``id``, which is asked for most; None when only the head tells."""


def raw_of(value: Any) -> bytes | None:
    """A big field as bytes."""
    if value is None:
        return None
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text.encode("utf-8", "surrogatepass")


def pack(raw: bytes | None, near: bytes | None = None) -> bytes | None:
    """Compressed; with ``near``, a text much like it, only what differs (``unpack`` needs the same)."""
    if raw is None or len(raw) <= PACK_ABOVE:
        return None if raw is None else b"r" + raw
    size = len(raw).to_bytes(4, "little")
    if near is not None and len(near) > PACK_ABOVE:
        return b"d" + size + bytes(lz4.block.compress(raw, store_size=False, dict=near))
    return b"4" + size + bytes(lz4.block.compress(raw, store_size=False))


def pack_bigs(data: Any, validated: Any) -> tuple[bytes | None, bytes | None]:
    """The big fields as they are kept: ``validated_data_dict`` whole, ``data_dict`` by what differs from it."""
    raw, near = raw_of(data), raw_of(validated)
    return pack(raw, near), pack(near)


def unpack_raw(value: bytes, near: bytes | None = None) -> bytes:
    kind = value[:1]
    if kind in (b"4", b"d"):
        size = int.from_bytes(value[1:5], "little")
        known = {"dict": near} if kind == b"d" else {}
        return bytes(lz4.block.decompress(value[5:], uncompressed_size=size, **known))
    return zlib.decompress(value[1:]) if kind == b"z" else value[1:]


def unpack_head(head: bytes) -> dict[str, Any]:
    """Every field but the big ones."""
    found: dict[str, Any] = orjson.loads(head if head[:1] == b"{" else unpack_raw(head))
    return found


def told(head: bytes, names: Sequence[str]) -> dict[str, Any]:
    """Some fields of a document, None for those that it has not; the rest of it is hardly looked at.

    A quote inside a text has a backslash before it and no field holds another object, so a name in quotes between a
    comma (or the first brace) and a colon is the name of a field.
    """
    raw = head if head[:1] == b"{" else unpack_raw(head)
    found: dict[str, Any] = {}
    for name in names:
        mark = orjson.dumps(name) + b":"
        at = raw.find(b"," + mark)
        if at < 0:
            at = 0 if raw.startswith(mark, 1) else -1
        begin = at + 1 + len(mark)
        if at < 0:
            found[name] = None
        elif raw[begin : begin + 1] == b'"' and b"\\" not in (
            text := raw[begin + 1 : raw.index(b'"', begin + 1)]
        ):
            found[name] = text.decode()
        else:
            whole = orjson.loads(raw)
            return {one: whole.get(one) for one in names}
    return found


_INSERT = "INSERT INTO docs (seq, index_id, head, data_dict, validated_data_dict, id) VALUES (?, ?, ?, ?, ?, ?)"
_END = "UPDATE docs SET ended = ? WHERE index_id = ? AND ended IS NULL"


def _live(connection: sqlite3.Connection, columns: str, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Columns of the live documents of some keys."""
    for at in range(0, len(keys), 500):
        part = keys[at : at + 500]
        marks = ",".join("?" * len(part))
        yield from connection.execute(
            f"SELECT {columns} FROM docs WHERE ended IS NULL AND index_id IN ({marks})", part
        )


def _rows(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Row]:
    columns = "index_id, head, data_dict, validated_data_dict, id"
    return {one[0]: Row(one[0], one[1], (one[2], one[3]), one[4]) for one in _live(connection, columns, keys)}


MISSED = "missed:"
"""Begins the names of deletions that meant more than was here; their sequence number follows."""


class Store:
    """One writer (the engine's thread) and any number of readers (a connection for each thread)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self.writer = self._connect()
        self.writer.executescript(_SCHEMA)
        if "id" not in {column[1] for column in self.writer.execute("PRAGMA table_info(docs)")}:
            self.writer.execute("ALTER TABLE docs ADD COLUMN id TEXT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-4000", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _reader(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._connect()
            found.execute("PRAGMA query_only=ON")
            self._local.connection = found
            with self._lock:
                self._readers.append(found)
        return found

    def release(self) -> None:
        """Close the connection of a thread that ends."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is not None:
            self._local.connection = None
            with self._lock:
                self._readers.remove(found)
            found.close()

    def close(self) -> None:
        with self._lock:
            for connection in self._readers:
                connection.close()
        self.writer.close()

    # -- reading -----------------------------------------------------------------------------------------

    def heads(self, sequences: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Documents without their big fields, by sequence number."""
        found: dict[int, dict[str, Any]] = {}
        for seq, head in self._select("seq, head", sequences):
            found[seq] = unpack_head(head)
        return found

    def heads_between(self, after: int, upto: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Documents written after one sequence number and up to another, without their big fields."""
        rows = self._reader().execute("SELECT seq, head FROM docs WHERE seq > ? AND seq <= ?", (after, upto))
        for seq, head in rows:
            yield seq, unpack_head(head)

    def told(self, keys: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Some fields of live documents, none of them a big one, by key."""
        return {key: told(head, names) for key, head in _live(self._reader(), "index_id, head", keys)}

    def bigs(self, sequences: Sequence[int], names: Sequence[str]) -> dict[int, dict[str, Any]]:
        """The big fields that are asked for, and the ``id`` with them."""
        wanted = [name for name in BIG_FIELDS if name in names]
        found: dict[int, dict[str, Any]] = {}
        unknown: list[int] = []
        data_dict, validated_data_dict = (name if name in wanted else "NULL" for name in BIG_FIELDS)
        if data_dict != "NULL":
            validated_data_dict = BIG_FIELDS[1]
        for seq, data, validated, text in self._select(f"seq, {data_dict}, {validated_data_dict}, id", sequences):
            near = None if validated is None else unpack_raw(validated)
            raws = {"data_dict": None if data is None else unpack_raw(data, near), "validated_data_dict": near}
            found[seq] = {
                name: raw.decode("utf-8", "surrogatepass") for name in wanted if (raw := raws[name]) is not None
            }
            if text is None:
                unknown.append(seq)
            else:
                found[seq]["id"] = text
        for seq, head in self.heads(unknown).items():
            found[seq]["id"] = head["id"]
        return found

    def _select(self, columns: str, sequences: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        reader = self._reader()
        for at in range(0, len(sequences), 500):
            part = sequences[at : at + 500]
            marks = ",".join("?" * len(part))
            yield from reader.execute(f"SELECT {columns} FROM docs WHERE seq IN ({marks})", part)

    def live_count(self) -> int:
        return int(self._reader().execute("SELECT count(*) FROM docs WHERE ended IS NULL").fetchone()[0])

    def live_at(self, sequence: int) -> int:
        """How many documents were live after the change with this number."""
        counted = self._reader().execute(
            "SELECT count(*) FROM docs WHERE seq <= ? AND (ended IS NULL OR ended > ?)", (sequence, sequence)
        )
        return int(counted.fetchone()[0])

    def copy(self, path: Path) -> None:
        """All of it as it is at one moment into a new file, while writes go on."""
        source, target = self._connect(), sqlite3.connect(path)
        try:
            source.backup(target)
        finally:
            target.close()
            source.close()

    def meta(self, key: str) -> str | None:
        row = self.writer.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def last_sequence(self) -> int:
        row = self.writer.execute("SELECT max(coalesce(max(seq), 0), coalesce(max(ended), 0)) FROM docs").fetchone()
        return max(int(row[0]), int(self.meta("indexed") or 0), self.last_missed())

    def miss(self, sequence: int, deletion: str) -> None:
        """Keep a deletion that meant more than is here, in the open transaction."""
        self.set_meta(f"{MISSED}{sequence:016d}", deletion)

    def missed_after(self, sequence: int) -> list[str]:
        """Deletions that meant more than was here, from after a sequence number on."""
        rows = self.writer.execute(
            "SELECT value FROM meta WHERE key > ? AND key < ? ORDER BY key", (f"{MISSED}{sequence:016d}", f"{MISSED}a")
        )
        return [row[0] for row in rows]

    def drop_missed(self, before: int) -> None:
        """Forget such deletions up to before a sequence number; the last one's number is still to be known."""
        self.writer.execute("DELETE FROM meta WHERE key >= ? AND key < ?", (MISSED, f"{MISSED}{before:016d}"))

    def last_missed(self) -> int:
        """Sequence number of the last deletion that meant more than was here."""
        row = self.writer.execute(
            "SELECT max(key) FROM meta WHERE key >= ? AND key < ?", (MISSED, f"{MISSED}a")
        ).fetchone()
        return int(row[0].removeprefix(MISSED)) if row[0] else 0

    def changed_since(self, sequence: int) -> list[str]:
        """Keys of documents written or ended after a sequence number."""
        rows = self.writer.execute(
            "SELECT index_id FROM docs WHERE seq > ? UNION SELECT index_id FROM docs WHERE ended > ?",
            (sequence, sequence),
        )
        return [row[0] for row in rows]

    def ended_after(self, sequence: int) -> list[str]:
        """Keys of documents that were replaced or deleted after a sequence number."""
        rows = self.writer.execute("SELECT DISTINCT index_id FROM docs WHERE ended > ?", (sequence,))
        return [row[0] for row in rows]

    def count_between(self, after: int, upto: int) -> int:
        """How many live documents were written after one sequence number and up to another."""
        counted = self.writer.execute(
            "SELECT count(*) FROM docs WHERE seq > ? AND seq <= ? AND ended IS NULL", (after, upto)
        )
        return int(counted.fetchone()[0])

    def live_between(self, after: int, upto: int, limit: int) -> list[tuple[int, str, bytes]]:
        """(sequence number, key, head) of live documents in the order in which they were written."""
        return self.writer.execute(
            "SELECT seq, index_id, head FROM docs WHERE seq > ? AND seq <= ? AND ended IS NULL ORDER BY seq LIMIT ?",
            (after, upto, limit),
        ).fetchall()

    def rows(self, keys: Sequence[str]) -> dict[str, Row]:
        """Live documents as they are kept, by key; for the writer's thread."""
        return _rows(self.writer, keys)

    def rows_now(self, keys: Sequence[str]) -> dict[str, Row]:
        """``rows`` for any thread: what is committed."""
        return _rows(self._reader(), keys)

    def holding(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that live documents have."""
        return {one[0] for one in _live(self.writer, "index_id", keys)}

    def live_keys(self) -> set[str]:
        return {row[0] for row in self.writer.execute("SELECT index_id FROM docs WHERE ended IS NULL")}

    def keys_of(self, sequences: Sequence[int]) -> list[str]:
        return [row[0] for row in self._select("index_id", sequences)]

    # -- writing (the engine's thread, inside ``begin`` … ``commit``) ------------------------------------

    def begin(self) -> None:
        self.writer.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.writer.execute("COMMIT")

    def rollback(self) -> None:
        if self.writer.in_transaction:
            self.writer.execute("ROLLBACK")

    def put(self, sequence: int, row: Row) -> bool:
        """Keep a document; did it replace one?"""
        replaced = self.end(sequence, row.index_id)
        self.writer.execute(_INSERT, (sequence, row.index_id, row.head, *row.big, row.id))
        return replaced

    def put_all(self, sequence: int, rows: Sequence[Row]) -> set[str]:
        """Keep documents of different keys, numbered from ``sequence`` on; the keys of those that replaced one."""
        numbers = {row.index_id: number for number, row in enumerate(rows, sequence)}
        replaced = self.holding(list(numbers))
        self.writer.executemany(_END, [(numbers[key], key) for key in replaced])
        self.writer.executemany(
            _INSERT, [(numbers[row.index_id], row.index_id, row.head, *row.big, row.id) for row in rows]
        )
        return replaced

    def note(self, rows: Sequence[Row]) -> None:
        """Keep other heads of live documents, under the numbers that they have: the same for the index."""
        self.writer.executemany(
            "UPDATE docs SET head = ? WHERE index_id = ? AND ended IS NULL", [(one.head, one.index_id) for one in rows]
        )

    def end(self, sequence: int, index_id: str) -> bool:
        """End a document; was there one?"""
        return self.writer.execute(_END, (sequence, index_id)).rowcount > 0

    def set_meta(self, key: str, value: str) -> None:
        self.writer.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))

    def forget(self, sequence: int, limit: int = 2000) -> int:
        """Remove rows that ended at or before a sequence number; how many went."""
        return self.writer.execute(
            "DELETE FROM docs WHERE seq IN (SELECT seq FROM docs WHERE ended <= ? LIMIT ?)", (sequence, limit)
        ).rowcount

    def drop_meta(self, key: str) -> None:
        self.writer.execute("DELETE FROM meta WHERE key = ?", (key,))

    def metas(self, prefix: str) -> dict[str, str]:
        """Values of all names with a prefix."""
        rows = self.writer.execute("SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", (len(prefix), prefix))
        return {row[0]: row[1] for row in rows}
