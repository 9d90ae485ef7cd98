"""What was made of a text and is likely to be asked for again, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import TypeVar

Key = TypeVar("Key", bound=Sized)
Made = TypeVar("Made")

ONCE = 4
"""So many times as many keys as are kept are known to have been asked for once."""


class Kept(dict[Key, Made]):
    """``kept[key]`` is what ``make`` makes of the key: without making it when it was asked for twice before.

    The last ``size`` keys are kept, and up to as many before them; most texts that come once never come again, and are
    not. A key that is longer than ``longest`` is never kept. Any thread may ask.
    """

    def __init__(self, make: Callable[[Key], Made], size: int, longest: int) -> None:
        super().__init__()
        self._make = make
        self._size = size
        self._longest = longest
        self._before: dict[Key, Made] = {}
        self._once: set[int] = set()

    def __missing__(self, key: Key) -> Made:
        if len(key) > self._longest:
            return self._make(key)
        made = self._before.get(key)
        if made is None:
            made = self._make(key)
            mark = hash(key)
            if mark not in self._once:
                if len(self._once) >= ONCE * self._size:
                    self._once.clear()
                self._once.add(mark)
                return made
        if len(self) >= self._size:
            self._before = dict(self)
            self.clear()
        self[key] = made
        return made
