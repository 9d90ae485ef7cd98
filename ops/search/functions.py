"""Function queries as Solr writes them (``recip(ms(NOW,metadata_modified),3.16e-11,1,1)``): text in, tree out.

Values are numbers of whole documents: constants, number and date fields, dates, and functions of those. A missing
field counts 0. Refused: ``ord`` and ``rord`` (they would number the terms of the whole index for each request),
``query``, ``$references``, functions of terms and of places, and every other name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ops.search.dates import parse_date, to_millis
from ops.search.errors import SearchFault, unsupported
from ops.search.fields import clean_name
from ops.search.schema import Kind, field_of

MAX_LENGTH = 4_000
MAX_NODES = 200
MAX_DEPTH = 20
MAX_SCALES = 4

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z_\u0080-\U0010ffff][\w.\-\u0080-\U0010ffff]*")
_QUOTED = re.compile(r"\"((?:\\.|[^\"\\])*)\"|'((?:\\.|[^'\\])*)'", re.S)
_INSTANT = re.compile(r"NOW(?![\w.])[^,)\s]*|[+-]?\d{4,6}-\d\d-\d\dT[^,)\s]*")


@dataclass(frozen=True, slots=True)
class Constant:
    value: float


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A number or date column; ``stored`` when the value must be read from the stored document."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Call:
    """``name`` is one of ``ONE``, ``TWO``, ``MANY`` or a form that ``values`` handles by itself."""

    name: str
    arguments: tuple[Function, ...]


Function = Constant | FieldValue | Call


def _div(a: float, b: float) -> float:
    if b:
        return a / b
    if not a or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, math.copysign(1, a) * math.copysign(1, b))


def _mod(a: float, b: float) -> float:
    return math.fmod(a, b) if b and math.isfinite(a) else math.nan


def _pow(a: float, b: float) -> float:
    try:
        found = math.pow(a, b)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan if a else math.inf
    return found


def _exp(x: float) -> float:
    return math.inf if x > 709 else math.exp(x)


def _log(of: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: of(x) if x > 0 else (-math.inf if x == 0 else math.nan)


def _whole(of: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: float(of(x)) if math.isfinite(x) else x


def _sine(of: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: of(x) if math.isfinite(x) else math.nan


def _rank(x: float) -> tuple[bool, float, float]:
    """Java's order of numbers: -0 before 0; what is no number comes after all others and equals itself."""
    return (True, 0.0, 0.0) if math.isnan(x) else (False, x, math.copysign(1, x))


ONE: dict[str, Callable[[float], float]] = {
    "abs": abs, "ceil": _whole(math.ceil), "floor": _whole(math.floor), "rint": _whole(round),
    "sqrt": lambda x: math.sqrt(x) if x >= 0 else math.nan, "cbrt": math.cbrt, "exp": _exp,
    "log": _log(math.log10), "ln": _log(math.log), "rad": math.radians, "deg": math.degrees,
    "sin": _sine(math.sin), "cos": _sine(math.cos), "tan": _sine(math.tan), "atan": math.atan,
}
TWO: dict[str, Callable[[float, float], float]] = {
    "sub": lambda a, b: a - b, "ms": lambda a, b: a - b, "div": _div, "mod": _mod, "pow": _pow,
    "gt": lambda a, b: float(_rank(a) > _rank(b)), "gte": lambda a, b: float(_rank(a) >= _rank(b)),
    "lt": lambda a, b: float(_rank(a) < _rank(b)), "lte": lambda a, b: float(_rank(a) <= _rank(b)),
    "eq": lambda a, b: float(_rank(a) == _rank(b)),
}
MANY = frozenset({"sum", "product", "max", "min", "and", "or"})
_SAME = {"add": "sum", "mul": "product"}
_COUNTS = {
    "linear": (3, 3), "recip": (4, 4), "map": (4, 5), "scale": (3, 3), "if": (3, 3), "def": (2, 8), "not": (1, 1),
    "xor": (2, 2), "exists": (1, 1),
}
_CONSTANT_AFTER = {"linear": (1, 2), "recip": (1, 2, 3), "map": (1, 2), "scale": (1, 2)}
"""Arguments that must be plain numbers."""


def parse_function(text: str, now: datetime) -> Function:
    """One function; 400 with a sentence when it is none or not spoken."""
    if len(text) > MAX_LENGTH:
        raise SearchFault(f"A function may have {MAX_LENGTH} characters, this one has {len(text)}")
    return _Parser(text, now).run()


def parse_boosted(text: str, now: datetime) -> list[tuple[Function, float]]:
    """``bf``: functions separated by spaces, each with an optional ``^factor``. The last of two alike counts."""
    found: dict[str, tuple[Function, float]] = {}
    for part in text.split():
        body, _, factor = part.partition("^")
        try:
            weight = float(factor) if factor else 1.0
        except ValueError:
            weight = -1.0
        if not 0 <= weight < 1e9:
            raise SearchFault(f"Invalid factor in bf: {part[:100]}")
        found[body] = (parse_function(body, now), weight)
    return list(found.values())


def walk(function: Function) -> Sequence[Function]:
    """A function and all its arguments."""
    found: list[Function] = [function]
    at = 0
    while at < len(found):
        one = found[at]
        found.extend(one.arguments if isinstance(one, Call) else ())
        at += 1
    return found


class _Parser:
    def __init__(self, text: str, now: datetime) -> None:
        self.text = text
        self.now = now
        self.at = 0
        self.nodes = 0
        self.scales = 0

    def run(self) -> Function:
        function = self._value(0)
        self._skip()
        if self.at < len(self.text):
            raise self._fault("Unexpected text after function")
        return function

    def _fault(self, problem: str) -> SearchFault:
        return SearchFault(f"org.apache.solr.search.SyntaxError: {problem} at {self.at} in '{self.text[:200]}'")

    def _skip(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def _accept(self, char: str) -> bool:
        self._skip()
        if self.text[self.at : self.at + 1] != char:
            return False
        self.at += 1
        return True

    def _value(self, depth: int) -> Function:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise SearchFault(f"A function may have {MAX_NODES} parts, {MAX_DEPTH} inside each other")
        self._skip()
        if self.text.startswith("$", self.at):
            raise unsupported("A reference to another parameter ($name)")
        if self.text.startswith("{!", self.at):
            raise unsupported("Local parameters {!…} in a function")
        match = _NUMBER.match(self.text, self.at)
        if match:
            self.at = match.end()
            return Constant(float(match[0]))
        match = _NAME.match(self.text, self.at)
        if match is None:
            raise self._fault("Expected a number, a field or a function")
        self.at = match.end()
        if self._accept("("):
            return self._call(match[0], depth)
        if match[0] in ("true", "false"):
            return Constant(float(match[0] == "true"))
        return self._field(match[0])

    def _field(self, name: str, *, existence: bool = False) -> FieldValue:
        field = field_of(name)
        if not clean_name(name):
            raise self._fault("Invalid field name")
        if field.kind not in (Kind.INT, Kind.DATE) and not existence:
            raise SearchFault(f"A function needs numbers or dates: the field {name[:100]} holds text")
        return FieldValue(name, field.kind)

    def _call(self, name: str, depth: int) -> Function:
        name = _SAME.get(name, name)
        match name:
            case "ord" | "rord":
                raise unsupported(f"{name}() (sort by the field, or use its value)")
            case "ms":
                return self._ms()
            case "field":
                return self._named()
            case "exists":
                return self._exists(depth)
            case "e" | "pi":
                return self._closed(Constant(math.e if name == "e" else math.pi))
        arguments: list[Function] = []
        if not self._accept(")"):
            arguments.append(self._value(depth + 1))
            while self._accept(","):
                arguments.append(self._value(depth + 1))
            self._closed(arguments[0])
        self._check(name, arguments)
        return Call(name, tuple(arguments))

    def _closed(self, function: Function) -> Function:
        if not self._accept(")"):
            raise self._fault("Expected ')'")
        return function

    def _check(self, name: str, arguments: list[Function]) -> None:
        if name in ONE:
            least, most = 1, 1
        elif name in TWO:
            least, most = 2, 2
        elif name in MANY:
            least, most = 1, MAX_NODES
        elif name in _COUNTS:
            least, most = _COUNTS[name]
        else:
            raise unsupported(f"The function {name[:50]}()")
        if not least <= len(arguments) <= most:
            raise SearchFault(f"{name}() takes {least}{f' to {most}' if most != least else ''} arguments")
        for place in _CONSTANT_AFTER.get(name, ()):
            if not isinstance(arguments[place], Constant):
                raise SearchFault(f"Argument {place + 1} of {name}() must be a number")
        self.scales += name == "scale"
        if self.scales > MAX_SCALES:
            raise SearchFault(f"scale() may be used {MAX_SCALES} times")

    def _named(self) -> Function:
        name = self._quoted()
        if name is None:
            match = _NAME.match(self.text, self.at)
            if match is None:
                raise self._fault("Expected a field name")
            name, self.at = match[0], match.end()
        if self._accept(","):
            raise unsupported("field() with a choice among several values")
        return self._closed(self._field(name))

    def _quoted(self) -> str | None:
        self._skip()
        match = _QUOTED.match(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return re.sub(r"\\(.)", r"\1", match[1] if match[1] is not None else match[2], flags=re.S)

    def _exists(self, depth: int) -> Function:
        self._skip()
        match = _NAME.match(self.text, self.at)
        if match and match[0] not in ("true", "false") and self.text[match.end() :].lstrip()[:1] == ")":
            self.at = match.end()
            return self._closed(Call("exists", (self._field(match[0], existence=True),)))
        return self._closed(Call("exists", (self._value(depth + 1),)))

    def _ms(self) -> Function:
        if self._accept(")"):
            return Constant(float(to_millis(self.now)))
        first = self._date()
        if self._accept(","):
            return self._closed(Call("ms", (first, self._date())))
        return self._closed(first)

    def _date(self) -> Function:
        self.nodes += 1
        text = self._quoted()
        if text is None:
            match = _INSTANT.match(self.text, self.at)
            if match:
                text, self.at = match[0], match.end()
        if text is not None:
            return Constant(float(parse_date(text, self.now)))
        match = _NAME.match(self.text, self.at)
        if match is None:
            raise self._fault("Expected a date or a date field")
        self.at = match.end()
        if field_of(match[0]).kind is not Kind.DATE:
            raise SearchFault(f"Can't use ms() function on non-numeric legacy date field {match[0][:100]}")
        return self._field(match[0])
