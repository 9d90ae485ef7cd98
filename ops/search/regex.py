"""Lucene's language of regular expressions, rewritten for tantivy's automata.

Spoken: ``| ( ) . * + ? {n} {n,} {n,m} [a-z] [^a-z] "literal" \\c \\d \\w \\s \\D \\W \\S @``. Refused: ``~`` (not),
``&`` (and), ``#`` (nothing), ``<1-9>`` and named automata. The expression always covers a whole term. How much of an
automaton a text may ask for is counted before it is built; tantivy limits its states besides.
"""

from __future__ import annotations

from collections.abc import Callable

from ops.search.errors import SearchFault, unsupported

MAX_LENGTH = 500
MAX_DEPTH = 30
MAX_STATES = 2_000
"""Characters of the expression after its counted repetitions are written out."""
_ANY = "(?s:.)"
_CLASSES = {
    "d": "0-9", "w": "0-9A-Z_a-z", "s": " \\t\\n\\r", "D": "\\x{0}-/:-\\x{10FFFF}",
    "W": "\\x{0}-/:-@\\[-\\^`\\{-\\x{10FFFF}", "S": "\\x{0}-\\x{8}\\x{B}\\x{C}\\x{E}-\\x{1F}!-\\x{10FFFF}",
}

Part = tuple[str, int]
"""A piece of the rewritten expression and how many states it stands for."""


def rewrite(pattern: str, form: Callable[[str], str]) -> str:
    """The expression for tantivy. ``form`` is what the field's analysis does to a literal (lower case for texts)."""
    if len(pattern) > MAX_LENGTH:
        raise SearchFault(f"A regular expression may have {MAX_LENGTH} characters")
    return _Reader(pattern, form).read()


def literal(char: str) -> str:
    return char if char.isalnum() or char == "_" else f"\\x{{{ord(char):X}}}"


class _Reader:
    def __init__(self, pattern: str, form: Callable[[str], str]) -> None:
        self.pattern = pattern
        self.form = form
        self.at = 0
        self.depth = 0

    def read(self) -> str:
        if not self.pattern:
            return "(?:)"
        found, _ = self._union()
        if self.at < len(self.pattern):
            raise self._fault(f"end of expression expected at position {self.at}")
        return f"(?:{found})"

    def _fault(self, problem: str) -> SearchFault:
        return SearchFault(f"Invalid regular expression '{self.pattern[:100]}': {problem}")

    def _more(self, stops: str = "") -> bool:
        return self.at < len(self.pattern) and self.pattern[self.at] not in stops

    def _next(self) -> str:
        if self.at >= len(self.pattern):
            raise self._fault("unexpected end")
        self.at += 1
        return self.pattern[self.at - 1]

    def _counted(self, part: Part) -> Part:
        if part[1] > MAX_STATES:
            raise self._fault(f"it repeats more than {MAX_STATES} characters")
        return part

    def _union(self) -> Part:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._fault(f"more than {MAX_DEPTH} groups inside each other")
        texts, states = [], 0
        while True:
            text, more = self._concatenation()
            texts.append(text)
            states += more
            if not self._more() or self.pattern[self.at] != "|":
                break
            self.at += 1
        self.depth -= 1
        return self._counted((texts[0] if len(texts) == 1 else "(?:" + "|".join(texts) + ")", states))

    def _concatenation(self) -> Part:
        text, states = self._repeated()
        while self._more(")|"):
            if self.pattern[self.at] == "&":
                raise unsupported("'&' in a regular expression")
            following, more = self._repeated()
            text += following
            states += more
        return self._counted((text, states))

    def _repeated(self) -> Part:
        text, states = self._simple()
        while self._more() and self.pattern[self.at] in "?*+{":
            char = self._next()
            if char != "{":
                text = f"(?:{text}){char}"
                continue
            low, high = self._counts()
            text = f"(?:{text}){{{low},{'' if high is None else high}}}"
            states *= max(1, low if high is None else high)
            self._counted((text, states))
        return text, states

    def _counts(self) -> tuple[int, int | None]:
        low = self._integer()
        if not self._more() or self.pattern[self.at] != ",":
            high: int | None = low
        else:
            self.at += 1
            high = self._integer() if self._more("}") else None
        if not self._more() or self._next() != "}":
            raise self._fault("expected '}'")
        if max(low, high or 0) > MAX_STATES:
            raise self._fault(f"it repeats more than {MAX_STATES} characters")
        if high is not None and low > high:
            raise self._fault(f"invalid repetition range {low}..{high}")
        return low, high

    def _integer(self) -> int:
        begun = self.at
        while self._more() and self.pattern[self.at] in "0123456789":
            self.at += 1
        if self.at == begun or self.at - begun > 6:
            raise self._fault("a number of at most six digits expected")
        return int(self.pattern[begun : self.at])

    def _simple(self) -> Part:
        char = self._next()
        match char:
            case ".":
                return _ANY, 1
            case "@":
                return _ANY + "*", 1
            case "[":
                return self._class(), 1
            case "(":
                return self._group()
            case '"':
                end = self.pattern.find('"', self.at)
                if end < 0:
                    raise self._fault("expected '\"'")
                text = self.form(self.pattern[self.at : end])
                self.at = end + 1
                return "(?:" + "".join(map(literal, text)) + ")", max(1, len(text))
            case "~" | "&" | "#" | "<":
                raise unsupported(f"'{char}' in a regular expression")
            case "\\":
                char = self._next()
                if char in _CLASSES:
                    return f"[{_CLASSES[char]}]", 1
            case ")" | "|":
                raise self._fault(f"an expression expected before '{char}'")
        return "".join(map(literal, self.form(char))), 1

    def _group(self) -> Part:
        if self._more() and self.pattern[self.at] == ")":
            self.at += 1
            return "(?:)", 1
        text, states = self._union()
        if not self._more() or self._next() != ")":
            raise self._fault("expected ')'")
        return f"(?:{text})", states

    def _class(self) -> str:
        negated = self._more() and self.pattern[self.at] == "^"
        self.at += negated
        found = [self._of_class()]
        while self._more("]"):
            found.append(self._of_class())
        if not self._more():
            raise self._fault("expected ']'")
        self.at += 1
        return f"[{'^' if negated else ''}{''.join(found)}]"

    def _of_class(self) -> str:
        char = self._next()
        if char == "\\":
            char = self._next()
            if char in _CLASSES:
                return _CLASSES[char]
        if not self._more() or self.pattern[self.at] != "-":
            return "".join(map(literal, self.form(char)))
        self.at += 1
        last = self._next()
        if last == "\\":
            last = self._next()
        if last < char:
            raise self._fault(f"the range {char}-{last} runs backwards")
        if char.isascii() and last.isascii() and self.form(char) != char and self.form(last) != last:
            char, last = self.form(char), self.form(last)
        return f"{literal(char)}-{literal(last)}"
