"""A second process that keeps the index while many documents come, so that both processors have work.

This process checks documents and writes them to the store; the other one makes their terms and hands them to tantivy,
in the order in which they were written. It knows nothing but the index and the words that were learned; it is told
those and tells those that it learns. What it had not committed when it ended, for whatever reason, is indexed again
from the store, as after a crash. It ends when the one that started it does.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import marshal
import os
import queue
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.search import memory
from ops.search.chinese.lexicon import LEXICON
from ops.search.documents import to_index
from ops.search.fields import KEY, SEQUENCE, open_index
from ops.search.store import unpack_head

log = logging.getLogger("ops.search")

PATIENCE_S = 120.0
"""What is not taken or answered for so long never will be."""
FINISH_S = 45.0
"""Segments that are not merged by then stay as they are."""
THREADS = 2
"""tantivy's: what a commit has left to write is written on both processors, for nobody sends anything meanwhile."""
WAITING = 2
"""Groups of documents that the process takes before it has worked them off."""
_FRAME = struct.Struct("<I")
_OPEN, _APPLY, _COMMIT, _END = range(4)
_ROOT = Path(__file__).parents[2]
_CODE = "import sys; from ops.search.scribe import serve; serve(*map(int, sys.argv[1:]))"
_PR_SET_PDEATHSIG = 1

Entry = tuple[str | None, bytes | None, int]
"""The key of what goes, the packed document that comes, its sequence number."""


class Gone(Exception):
    """The other process is of no use any more."""


class Scribe:
    """All methods belong to one thread, the writer's: the process ends with it."""

    def __init__(self, folder: Path, heap_bytes: int) -> None:
        self._folder = folder
        self._heap_bytes = heap_bytes
        self._told = 0
        self._is_ending = False
        self._undone: deque[int] = deque()
        self._heard = time.monotonic()
        self._link, theirs = socket.socketpair()
        self._link.settimeout(PATIENCE_S)
        self._answers = select.poll()
        self._answers.register(self._link, select.POLLIN)
        python = [sys.executable, *(["-P"] if sys.flags.safe_path else [])]
        with theirs:
            self._process = subprocess.Popen(
                [*python, "-c", _CODE, str(theirs.fileno()), str(os.getpid())],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def is_up(self) -> bool:
        """Has it started? Asked until it has."""
        patience = self._link.gettimeout()
        self._link.settimeout(0)
        try:
            return self._link.recv(1) == b"\x01"
        except OSError:
            return False
        finally:
            self._link.settimeout(patience)

    def open(self) -> None:
        """Take over the index: from now on nobody else may write to it."""
        self._tell(_OPEN, (os.fspath(self._folder), self._heap_bytes))
        self._settle()

    def apply(self, entries: Sequence[Entry], now: datetime) -> None:
        """Hand over what the store has."""
        self.undone()
        words = LEXICON.learned(self._told)
        self._told += len(words)
        self._tell(_APPLY, (words, list(entries), now.isoformat()))

    def commit(self) -> None:
        """Everything that was handed over is on the disk, and the words that it taught are known here."""
        self.start_commit()
        self._settle()

    def start_commit(self) -> None:
        """``commit`` that is not waited for: it has ended when ``is_committing`` says so."""
        self._tell(_COMMIT, None)

    @property
    def is_committing(self) -> bool:
        return _COMMIT in self._undone

    def undone(self) -> int:
        """How many of the things that it was told it has not done yet; waits for none."""
        while self._undone and self._answers.poll(0):
            self._answer()
        if self._undone and time.monotonic() - self._heard > PATIENCE_S:
            raise Gone("The process that keeps the index does nothing")
        return len(self._undone)

    def end(self) -> None:
        """It ends when the segments that it is merging are."""
        if not self._is_ending:
            self._is_ending = True
            self._tell(_END, None)

    def finish(self) -> None:
        """``end``, waited for."""
        with contextlib.suppress(Gone, subprocess.TimeoutExpired):
            self.end()
            self._process.wait(FINISH_S)

    def kill(self) -> None:
        self._link.close()
        self._process.kill()
        self._process.wait()

    def _tell(self, what: int, content: Any) -> None:
        try:
            write(self._link, (what, content))
        except OSError as error:
            raise Gone(f"The process that keeps the index takes nothing: {error}") from error
        if what != _END:
            if not self._undone:
                self._heard = time.monotonic()
            self._undone.append(what)

    def _settle(self) -> None:
        while self._undone:
            self._answer()

    def _answer(self) -> None:
        """Take the answer to the first of what is undone."""
        try:
            problem, content = read(self._link)
        except (OSError, EOFError, ValueError, TypeError) as error:
            raise Gone(f"The process that keeps the index gave no answer: {error}") from error
        if problem:
            raise Gone(f"The process that keeps the index: {problem}")
        self._heard = time.monotonic()
        if self._undone.popleft() == _COMMIT:
            LEXICON.add(content)


def write(link: socket.socket, content: Any) -> None:
    body = marshal.dumps(content, 2)
    link.sendall(_FRAME.pack(len(body)))
    link.sendall(body)


def read(link: socket.socket) -> Any:
    (size,) = _FRAME.unpack(_exactly(link, _FRAME.size))
    return marshal.loads(_exactly(link, size))  # noqa: S302 - from our own process, by a pair of sockets


def _exactly(link: socket.socket, size: int) -> bytearray:
    found = bytearray(size)
    view = memoryview(found)
    at = 0
    while at < size:
        got = link.recv_into(view[at:])
        if not got:
            raise EOFError("it has ended")
        at += got
    return found


# -- the other process ---------------------------------------------------------------------------------------


def serve(descriptor: int, parent: int) -> None:
    """Do what is told until the one that tells is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = socket.socket(fileno=descriptor)
    memory.keep_pieces()
    memory.collect_seldom()
    waiting: queue.Queue[Any] = queue.Queue(WAITING)

    def take() -> None:
        """What was told is taken before it is done, so that the one that tells can go on."""
        try:
            while True:
                waiting.put(read(link))
        except BaseException:
            os._exit(1)

    link.sendall(b"\x01")
    threading.Thread(target=take, daemon=True).start()
    writer = _Writer()
    while True:
        what, content = waiting.get()
        try:
            answer = writer.do(what, content)
        except Exception as error:
            log.exception("The index cannot be kept here")
            write(link, (f"{type(error).__name__}: {error}"[:500], None))
            os._exit(1)
        if what == _END:
            os._exit(0)
        write(link, ("", answer))


class _Writer:
    def __init__(self) -> None:
        self._writer: Any = None
        self._known = 0

    def do(self, what: int, content: Any) -> Any:
        if what == _OPEN:
            folder, heap_bytes = content
            _, self._writer = open_index(Path(folder), heap_bytes, THREADS)
            self._known = len(LEXICON.learned())
        elif what == _APPLY:
            words, entries, now = content
            self._apply(words, entries, datetime.fromisoformat(now))
        elif what == _COMMIT:
            self._writer.commit()
            words = LEXICON.learned(self._known)
            self._known += len(words)
            return words
        else:
            self._writer.wait_merging_threads()
        return None

    def _apply(self, words: list[str], entries: list[Entry], now: datetime) -> None:
        LEXICON.add(words, keep=False)
        writer = self._writer
        for key, raw, sequence in entries:
            if key is not None:
                writer.delete_documents_by_term(KEY, key)
            if raw is not None:
                document = to_index(unpack_head(raw), now)
                document.add_unsigned(SEQUENCE, sequence)
                writer.add_document(document)
