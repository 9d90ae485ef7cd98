"""Made function queries for ``bf`` and ``boost``."""

from __future__ import annotations

import random

NUMBERS = ("views_total", "views_recent", "resources_accessed_total", "field(views_total)")
DATES = ("metadata_modified", "metadata_created", "issued_date", "NOW", "NOW/DAY-1YEAR", "2025-01-01T00:00:00Z")
FIELDS = (
    "views_total",
    "resources_accessed_total",
    "issued_date",
    "rank_code",
    "title",
    "metadata_modified",
    "no_such",
)


def expression(chance: random.Random, depth: int, *, spaces: bool = True) -> str:
    made = _value(chance, depth)
    return made if spaces and chance.random() < 0.5 else made.replace(", ", ",")


def _number(chance: random.Random) -> str:
    return chance.choice(("0", "1", "2", "10", "100", "0.5", "3.16e-11", "-1", "1000", "2.5"))


def _value(chance: random.Random, depth: int) -> str:
    if depth == 0:
        return chance.choice((chance.choice(NUMBERS), chance.choice(NUMBERS), _number(chance)))
    one, two = _value(chance, depth - 1), _value(chance, depth - 1)
    name = chance.choice(
        (
            "recip",
            "ms",
            "ms1",
            "linear",
            "log",
            "ln",
            "exp",
            "sqrt",
            "cbrt",
            "abs",
            "ceil",
            "floor",
            "rint",
            "sum",
            "add",
            "product",
            "mul",
            "sub",
            "div",
            "mod",
            "pow",
            "max",
            "min",
            "map",
            "map5",
            "scale",
            "if",
            "def",
            "not",
            "compare",
            "constant",
            "leaf",
        )
    )
    match name:
        case "recip":
            inner = f"ms(NOW, {chance.choice(DATES)})" if chance.random() < 0.5 else one
            return f"recip({inner}, 3.16e-11, 1, {chance.choice((1, 2))})"
        case "ms":
            return f"div(abs(ms({chance.choice(DATES)}, {chance.choice(DATES)})), 1e9)"
        case "ms1":
            return f"div(ms({chance.choice(DATES)}), 1e12)"
        case "linear":
            return f"linear({one}, {_number(chance)}, {_number(chance)})"
        case "log" | "ln" | "sqrt" | "cbrt" | "abs" | "ceil" | "floor" | "rint":
            return f"{name}({one})"
        case "exp":
            return f"exp(min({one}, 5))"
        case "sum" | "add" | "product" | "mul" | "max" | "min":
            more = f", {_number(chance)}" if chance.random() < 0.4 else ""
            return f"{name}({one}, {two}{more})"
        case "sub" | "div" | "mod":
            return f"{name}({one}, {two})"
        case "pow":
            return f"pow({one}, {chance.choice(('2', '0.5', '0'))})"
        case "map":
            return f"map({one}, 0, 10, {_number(chance)})"
        case "map5":
            return f"map({one}, 0, 10, {two}, {_number(chance)})"
        case "scale":
            return f"scale({chance.choice(NUMBERS)}, 0, {chance.choice((1, 5))})"
        case "if":
            return f"if({_truth(chance, depth - 1)}, {one}, {two})"
        case "def":
            return f"def({chance.choice(NUMBERS[:3])}, {_number(chance)})"
        case "not":
            return f"if(not({_truth(chance, depth - 1)}), {_number(chance)}, 1)"
        case "compare":
            test = chance.choice(("gt", "gte", "lt", "lte", "eq"))
            return f"if({test}({one}, {two}), 3, 1)"
        case "constant":
            return _number(chance)
    return chance.choice(NUMBERS)


def _truth(chance: random.Random, depth: int) -> str:
    form = chance.randint(0, 4)
    if form <= 1:
        return f"exists({chance.choice(FIELDS)})"
    if form == 2:
        return chance.choice(NUMBERS[:3])
    if form == 3 and depth > 0:
        return f"{chance.choice(('and', 'or', 'xor'))}({_truth(chance, 0)}, {_truth(chance, 0)})"
    return chance.choice(("true", "false"))
