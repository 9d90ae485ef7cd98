"""How far two words are apart, counted in slips of the keys."""

from __future__ import annotations


def one_apart(one: str, two: str) -> bool:
    """Is one character replaced, missing, added, or are two neighbours swapped? Equal words are not apart."""
    if one == two or abs(len(one) - len(two)) > 1:
        return False
    start = 0
    while start < min(len(one), len(two)) and one[start] == two[start]:
        start += 1
    left, right = one[start:], two[start:]
    if len(left) == len(right):
        swapped = left[:2] == right[1::-1] if len(left) > 1 else False
        return left[1:] == right[1:] or (swapped and left[2:] == right[2:])
    return left[1:] == right if len(left) > len(right) else left == right[1:]
