"""The chart of a simulated price: monthly bill by volume, with the ceiling's bill as a line. Only geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT = 760, 320
LEFT, RIGHT, TOP, BOTTOM = 92, 24, 28, 46
STEPS = (1, 2, 5)


def nice_ticks(top: int, wanted: int = 4) -> list[int]:
    """Round values from 0 to at least ``top``, about ``wanted`` of them."""
    if top <= 0:
        return [0, 1]
    power = 1
    while True:
        for step in STEPS:
            if step * power * wanted >= top:
                size = step * power
                return [size * n for n in range(-(-top // size) + 1)]
        power *= 10


def chart(bills: Sequence[Mapping[str, Any]], quota: int = 0) -> dict[str, Any]:
    """Points, ticks and places of the words, in the units of the drawing."""
    top_x = max(1, *(bill["quantity"] for bill in bills))
    caps = [bill["ceiling_total_fen"] for bill in bills if bill["ceiling_total_fen"] is not None]
    ticks = nice_ticks(max([1, *(bill["total_fen"] for bill in bills), *caps]))

    def x(quantity: int) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * quantity / top_x, 1)

    def y(fen: int) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * fen / ticks[-1], 1)

    def line(key: str) -> str:
        return " ".join(f"{x(bill['quantity'])},{y(bill[key])}" for bill in bills if bill[key] is not None)

    last = bills[-1]
    bill_y, cap_y = y(last["total_fen"]), y(last["ceiling_total_fen"]) if caps else None
    return {
        "width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "top": TOP, "bottom": HEIGHT - BOTTOM,
        "bill": line("total_fen"), "cap": line("ceiling_total_fen") if caps else "",
        "dots": [{"x": x(bill["quantity"]), "y": y(bill["total_fen"]), **bill} for bill in bills],
        "y_ticks": [{"at": y(fen), "fen": fen} for fen in ticks],
        "x_ticks": [{"at": x(n), "n": n} for n in nice_ticks(top_x, 5) if n <= top_x],
        "quota": x(quota) if 0 < quota <= top_x else None,
        "bill_word": bill_y + 22 if cap_y is not None and bill_y >= cap_y else bill_y - 10,
        "cap_word": None if cap_y is None else max(TOP - 10, cap_y - 10),
    }
