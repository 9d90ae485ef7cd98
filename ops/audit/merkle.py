"""The Merkle tree of RFC 6962, section 2.1: hashes, inclusion proofs, consistency proofs and their checks.

Pure functions. A tree is given as ``node(level, index) -> hash`` of its complete subtrees, where level 0 holds
the leaf hashes; what is not complete is computed on the way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

Hash = bytes
NodeAt = Callable[[int, int], Hash]

EMPTY_ROOT: Hash = hashlib.sha256(b"").digest()


class ProofInvalid(Exception):
    """A proof does not hold; the message says which part."""


def leaf_hash(content: bytes) -> Hash:
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: Hash, right: Hash) -> Hash:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: what is needed to append and to know the root."""

    def __init__(self, size: int = 0, peaks: Sequence[Hash] = ()) -> None:
        if len(peaks) != size.bit_count():
            raise ValueError("a tree of this size has another number of peaks")
        self.size = size
        self._peaks = list(peaks)

    def append(self, leaf: Hash) -> list[tuple[int, int, Hash]]:
        """Add a leaf hash; return the subtrees it completed as (level, index, hash), the leaf first."""
        made = [(0, self.size, leaf)]
        level, index, carried = 0, self.size, leaf
        while index & 1:
            carried = node_hash(self._peaks.pop(), carried)
            level, index = level + 1, index >> 1
            made.append((level, index, carried))
        self._peaks.append(carried)
        self.size += 1
        return made

    def root(self) -> Hash:
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


def peaks_of(size: int) -> list[tuple[int, int]]:
    """(level, index) of the complete subtrees that make up a tree of ``size`` leaves, left to right."""
    found, start = [], 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            found.append((level, start >> level))
            start += 1 << level
    return found


def root_of(leaves: Iterable[Hash]) -> tuple[int, Hash]:
    """Size and root of the tree over leaf hashes, in one pass and logarithmic memory."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.size, frontier.root()


def _range_root(node: NodeAt, start: int, end: int) -> Hash:
    """Root of the leaves [start, end), where start is a multiple of the range's largest power of two."""
    width = end - start
    if width & (width - 1) == 0 and start % width == 0:
        level = width.bit_length() - 1
        return node(level, start >> level)
    split = 1 << ((width - 1).bit_length() - 1)
    return node_hash(_range_root(node, start, start + split), _range_root(node, start + split, end))


def inclusion_proof(node: NodeAt, index: int, size: int) -> list[Hash]:
    """The audit path of leaf ``index`` in the tree of ``size`` leaves (RFC 6962 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError("the leaf is outside the tree")
    path: list[Hash] = []
    start, end = 0, size
    while end - start > 1:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if index < split:
            path.append(_range_root(node, split, end))
            end = split
        else:
            path.append(_range_root(node, start, split))
            start = split
    path.reverse()
    return path


def check_inclusion(leaf: Hash, index: int, size: int, path: Sequence[Hash], root: Hash) -> None:
    """Raise ProofInvalid unless the leaf is at ``index`` of the tree with that root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        raise ProofInvalid("the leaf is outside the tree")
    position, last, computed = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofInvalid("the path is too long")
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise ProofInvalid("the path is too short")
    if computed != root:
        raise ProofInvalid("the path leads to another root")


def consistency_proof(node: NodeAt, old: int, new: int) -> list[Hash]:
    """Proof that the tree of ``old`` leaves is the beginning of the tree of ``new`` leaves (RFC 6962 2.1.2)."""
    if not 0 < old <= new:
        raise ValueError("sizes must be positive and in order")

    def walk(start: int, end: int, kept: int, whole: bool) -> list[Hash]:
        if kept == end:
            return [] if whole else [_range_root(node, start, end)]
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if kept <= split:
            return [*walk(start, split, kept, whole), _range_root(node, split, end)]
        return [*walk(split, end, kept, False), _range_root(node, start, split)]

    return walk(0, new, old, True)


def check_consistency(old: int, new: int, old_root: Hash, new_root: Hash, path: Sequence[Hash]) -> None:
    """Raise ProofInvalid unless the old tree is a prefix of the new one (RFC 9162 2.1.4.2)."""
    if not 0 < old <= new:
        raise ProofInvalid("sizes must be positive and in order")
    if old == new:
        if path or old_root != new_root:
            raise ProofInvalid("trees of one size differ")
        return
    hashes = list(path)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        raise ProofInvalid("the path is empty")
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    of_old = of_new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofInvalid("the path is too long")
        if position & 1 or position == last:
            of_old, of_new = node_hash(sibling, of_old), node_hash(sibling, of_new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            of_new = node_hash(of_new, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or of_old != old_root or of_new != new_root:
        raise ProofInvalid("the new tree does not continue the old one")
