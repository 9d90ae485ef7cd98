"""Words that mean the same to somebody who looks for data.

A line of the file is a group (``环保 = 环境保护 = 生态环境``: each finds the others) or one way
(``公车 > 公务用车 = 公共汽车``: the first finds the rest). Query side only: a change needs no new index.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ops.search.chinese.folding import lines_of, normalize

MAX_WORDS = 4
"""A name is looked up over so many neighbouring words of a query."""


class Synonyms:
    def __init__(self, lines: Iterable[str]) -> None:
        self._found: dict[str, list[str]] = {}
        for line in lines:
            self._read(line)

    def _read(self, line: str) -> None:
        line = line.partition("#")[0]
        single, arrow, rest = line.partition(">")
        if arrow:
            self._put(_key(single), [_key(one) for one in rest.split("=")])
            return
        group = [_key(one) for one in line.split("=")]
        for name in group:
            self._put(name, [other for other in group if other != name])

    def _put(self, name: str, others: list[str]) -> None:
        if name:
            known = self._found.setdefault(name, [])
            known += [other for other in others if other and other not in known and other != name]

    def of(self, name: str) -> tuple[str, ...]:
        """What else a name may be called, in the order of the file; for an English one only the Chinese names.

        Among English words the engine stays with the analysis of CKAN's schema.
        """
        found = self._found.get(name)
        if found is None:
            return ()
        return tuple(other for other in found if not other.isascii()) if name.isascii() else tuple(found)

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def words(self) -> list[str]:
        return list(self._found)

    def extend(self, file: Path) -> int:
        """Add the groups of a file of the operator's; how many lines."""
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        lines = [line for line in lines if not line.lstrip().startswith("#")]
        for line in lines:
            self._read(line)
        return len(lines)


def _key(text: str) -> str:
    return " ".join(normalize(text).lower().split())


SYNONYMS = Synonyms(lines_of("synonyms.txt"))
