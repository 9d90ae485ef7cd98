"""Lists as PostgreSQL reads arrays from text. As one text each they are made and sent for a fraction of what a list
costs that the driver encodes value by value; PostgreSQL reads the one about as fast as the other."""

from __future__ import annotations

from collections.abc import Iterable


def texts(values: Iterable[str | None]) -> str:
    """Any texts, for ``$n::text::text[]`` or an array of what PostgreSQL reads from text."""
    values = list(values)
    try:
        plain = '","'.join(values)  # type: ignore[arg-type]  # an array with NULL goes the other way
        if values and plain.count('"') == 2 * (len(values) - 1) and "\\" not in plain:
            return f'{{"{plain}"}}'
    except TypeError:
        pass
    quoted = [
        "NULL" if one is None else '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in values
    ]
    return "{" + ",".join(quoted) + "}"


def numbers(values: Iterable[int]) -> str:
    """Whole numbers, for ``$n::text::bigint[]``."""
    return "{" + ",".join(map(str, values)) + "}"
