"""Files that are ready: where they are, what is known of each, what is cleared away.

A file and its manifest lie beside each other in the folder of their resource. Both appear by renaming, so that whoever
finds a manifest finds a whole file. The name holds everything that the content depends on; a file of a version that is
no more is never found again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

GIGABYTE = 1 << 30
MAX_GB_DEFAULT = 10.0
FREE_MIN = GIGABYTE // 2
"""Nothing is made when the disk has less than this."""
UNUSED_S = 14 * 86_400.0
ABANDONED_S = 3_600.0
NOTE = ".manifest"
SUFFIXES = {"": "", "zstd": ".zst", "gzip": ".gz"}


@dataclass(frozen=True)
class Manifest:
    """A file that is ready. ``label`` tells files of one resource apart, whatever their version; ``made_at`` and
    ``changed_at`` are ISO 8601; ``modified_s`` is the whole second of Last-Modified."""

    resource_id: str
    key: str
    label: str
    coding: str
    version: str
    media_type: str
    file: str
    rows: int
    size: int
    sha256: str
    made_at: str
    changed_at: str
    modified_s: int

    @property
    def etag(self) -> str:
        return f'"{self.sha256[:40]}"'

    @property
    def modified_at(self) -> datetime:
        return datetime.fromtimestamp(self.modified_s, UTC)


class FileStore:
    """The folder of files; ``root`` None means that no files are kept."""

    def __init__(self, root: Path | None, max_bytes: int) -> None:
        self.root, self.max_bytes = root, max_bytes

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> FileStore:
        """``GOVOPEN_FILES_DIR`` (default ``$GOVOPEN_HOME/cache/files``), ``GOVOPEN_FILES_MAX_GB``; 0 keeps none."""
        home, given = env.get("GOVOPEN_HOME"), env.get("GOVOPEN_FILES_DIR")
        most = int(float(env.get("GOVOPEN_FILES_MAX_GB") or MAX_GB_DEFAULT) * GIGABYTE)
        root = Path(given) if given else Path(home) / "cache" / "files" if home else None
        return cls(root if most > 0 else None, most)

    def folder(self, resource_id: str) -> Path:
        if self.root is None:
            raise FileNotFoundError("no files are kept")
        return self.root / resource_id

    def find(self, resource_id: str, key: str, coding: str = "") -> Manifest | None:
        """The file of exactly this content, None when it is not ready."""
        if self.root is None:
            return None
        return _read(self.folder(resource_id) / f"{key}{SUFFIXES[coding]}{NOTE}")

    def open(self, manifest: Manifest) -> int:
        """A descriptor of the file: it stays readable when the file is cleared away meanwhile. FileNotFoundError."""
        place = self.folder(manifest.resource_id) / manifest.file
        number = os.open(place, os.O_RDONLY)
        with contextlib.suppress(OSError):
            os.utime(place.with_name(f"{manifest.key}{SUFFIXES[manifest.coding]}{NOTE}"))
        return number

    def keep(self, manifest: Manifest, part: Path) -> None:
        """Make a finished file findable, and drop those it takes the place of."""
        folder = self.folder(manifest.resource_id)
        os.replace(part, folder / manifest.file)
        note = folder / f"{manifest.key}{SUFFIXES[manifest.coding]}{NOTE}"
        draft = note.with_suffix(f"{NOTE}.part")
        draft.write_bytes(orjson.dumps(asdict(manifest)))
        os.replace(draft, note)
        for other in self.of(manifest.resource_id):
            if (other.label, other.coding) == (manifest.label, manifest.coding) and other.key != manifest.key:
                self.drop(other)

    def of(self, resource_id: str) -> list[Manifest]:
        """Every file of a resource, of whatever version."""
        if self.root is None:
            return []
        notes = sorted(self.folder(resource_id).glob(f"*{NOTE}"))
        return [found for note in notes if (found := _read(note)) is not None]

    def drop(self, manifest: Manifest) -> None:
        folder = self.folder(manifest.resource_id)
        (folder / f"{manifest.key}{SUFFIXES[manifest.coding]}{NOTE}").unlink(missing_ok=True)
        (folder / manifest.file).unlink(missing_ok=True)

    def has_room(self) -> bool:
        """Whether the disk has space for another file."""
        if self.root is None:
            return False
        self.root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.root).free > FREE_MIN

    def clear(self, known: set[str], now_s: float | None = None) -> int:
        """Drop files of resources that are not ``known``, long unused ones, what broken builds left behind, and the
        least recently used ones above the bound; the number of files dropped."""
        if self.root is None or not self.root.exists():
            return 0
        now = time.time() if now_s is None else now_s
        dropped, kept = 0, []
        for folder in [one for one in self.root.iterdir() if one.is_dir()]:
            _drop_leftovers(folder, now)
            for used_s, manifest in self._used(folder.name):
                if folder.name not in known or now - used_s > UNUSED_S:
                    self.drop(manifest)
                    dropped += 1
                else:
                    kept.append((used_s, manifest))
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
        total = sum(manifest.size for _, manifest in kept)
        for _, manifest in sorted(kept, key=lambda one: one[0]):
            if total <= self.max_bytes:
                break
            self.drop(manifest)
            total -= manifest.size
            dropped += 1
        return dropped

    def _used(self, resource_id: str) -> Iterator[tuple[float, Manifest]]:
        for manifest in self.of(resource_id):
            note = self.folder(resource_id) / f"{manifest.key}{SUFFIXES[manifest.coding]}{NOTE}"
            with contextlib.suppress(FileNotFoundError):
                yield note.stat().st_mtime, manifest


def _read(note: Path) -> Manifest | None:
    try:
        return Manifest(**orjson.loads(note.read_bytes()))
    except (FileNotFoundError, NotADirectoryError, orjson.JSONDecodeError, TypeError):
        return None


def _drop_leftovers(folder: Path, now_s: float) -> None:
    """Parts and locks of builds that ended badly, and files without a manifest."""
    noted = {found.file for note in folder.glob(f"*{NOTE}") if (found := _read(note)) is not None}
    for file in folder.iterdir():
        if file.name.endswith(NOTE) or file.name in noted:
            continue
        with contextlib.suppress(FileNotFoundError):
            if now_s - file.stat().st_mtime > ABANDONED_S:
                file.unlink()
