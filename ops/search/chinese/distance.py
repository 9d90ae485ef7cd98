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


def close(one: str, two: str, distance: int) -> bool:
    """Optimal string alignment distance at most ``distance``."""
    if abs(len(one) - len(two)) > distance:
        return False
    before: list[int] = []
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        current = [i]
        for j, b in enumerate(two, 1):
            cost = min(row[j] + 1, current[j - 1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == two[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        before, row = row, current
    return row[-1] <= distance
