"""Lucene's classic query grammar, as Solr's standard parser reads it: text in, tree of ``nodes`` out.

Fields, groups, ``+ - ! NOT && AND || OR``, phrases with slop, ranges, wildcards, fuzzy terms, regular expressions,
boosts (``^2``, ``^=2``), escapes, ``*:*`` and ``field:*``. Refused: local parameters ``{!…}`` and the magic fields
``_query_`` and ``_val_``. Time is linear in the text; nesting and clauses are limited.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ops.search.errors import QuerySyntaxFault, SearchFault, unsupported
from ops.search.nodes import All, Bool, Boost, Exists, Fuzzy, Joker, Node, Occur, Phrase, Range, Regex, Term, Wildcard
from ops.search.schema import field_of

MAX_LENGTH = 1_000_000
MAX_DEPTH = 100
MAX_CLAUSES = 20_000
MAGIC = frozenset({"_query_", "_val_"})

_SPACE = " \t\n\r\u3000"
_SPACES = re.compile(f"[{_SPACE}]*")
_TERM = re.compile(
    rf"""(?:\\.|[^{_SPACE}+\-!():^\[\]"{{}}~\\/])(?:\\.|[^{_SPACE}():^\[\]"{{}}~\\])*""", re.S
)
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"', re.S)
_REGEX = re.compile(r"/((?:\\.|[^/\\])*)/", re.S)
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\(.)", re.S)
_JOKERS = re.compile(r"(?<!\\)[*?]")
_PIECE = re.compile(r"\\u[0-9A-Fa-f]{4}|\\.|[^\\]", re.S)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_BOUND = re.compile(rf"(?:\\.|[^{_SPACE}\]}}\\])+", re.S)
_TO = re.compile(rf"[{_SPACE}]+TO(?=[{_SPACE}])")


def parse(
    text: str, *, conjunction: bool = True, field: str | None = None, extended: Callable[[str], bool] | None = None
) -> Node | None:
    """Read a query; None when it holds no clause. ``conjunction``: is the default operator AND?

    ``field`` stands where the text names none. ``extended`` makes it edismax's reading: it says which names may be
    used as fields (others are words, colon and all), and a value may hold colons.
    """
    if len(text) > MAX_LENGTH:
        raise SearchFault(f"A query may have {MAX_LENGTH} characters, this one has {len(text)}")
    return _Parser(text, conjunction, extended).run(field)


def unescape(text: str) -> str:
    r"""Without backslashes; ``\u00e9`` is the character of that number."""
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(match: re.Match[str]) -> str:
    if match[1] is not None:
        return chr(int(match[1], 16))
    if match[2] == "u":
        raise QuerySyntaxFault(match.string, "Non-hex character in Unicode escape sequence")
    return match[2]


class _Parser:
    def __init__(self, text: str, conjunction: bool, extended: Callable[[str], bool] | None) -> None:
        self.text = text
        self.conjunction = conjunction
        self.extended = extended
        self.at = 0
        self.depth = 0
        self.clauses = 0

    def run(self, field: str | None) -> Node | None:
        self._skip()
        if self.at == len(self.text):
            return None
        node = self._query(field)
        if self.at < len(self.text):
            raise self._fault()
        return node

    # -- characters ------------------------------------------------------------------------------------

    def _skip(self) -> None:
        self.at = self._after_spaces(self.at)

    def _after_spaces(self, at: int) -> int:
        match = _SPACES.match(self.text, at)
        return match.end() if match else at

    def _peek(self, count: int = 1) -> str:
        return self.text[self.at : self.at + count]

    def _fault(self) -> QuerySyntaxFault:
        if self.at >= len(self.text):
            return QuerySyntaxFault(self.text, 'Encountered "<EOF>"')
        return QuerySyntaxFault(self.text, f'Encountered "{self._peek(20)}" at line 1, column {self.at}.')

    def _word(self) -> str | None:
        """The operator word at the cursor (AND, OR, NOT, &&, ||), when the whole token is one."""
        match = _TERM.match(self.text, self.at)
        return match[0] if match and match[0] in ("AND", "OR", "NOT", "&&", "||") else None

    # -- grammar ---------------------------------------------------------------------------------------

    def _query(self, field: str | None) -> Node | None:
        """Modifiers Clause (Conjunction Modifiers Clause)*."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise SearchFault(f"A query may nest {MAX_DEPTH} groups deep")
        clauses: list[tuple[Occur, Node]] = []
        first = True
        bare: Node | None = None
        conjunction = ""
        words: list[int] = []
        """Clauses that are words and nothing else, with no operator on either side."""
        while True:
            modifier = self._modifier()
            node = self._clause(field)
            if first:
                bare = node if not modifier else None
            self._add(clauses, conjunction, modifier, node)
            if isinstance(node, Term) and not modifier and not conjunction:
                words.append(len(clauses) - 1)
            self._skip()
            if self.at >= len(self.text) or self._peek() == ")":
                break
            first = False
            conjunction = self._conjunction()
            if conjunction and words and words[-1] == len(clauses) - 1:
                words.pop()
        self.depth -= 1
        if field is not None and self.conjunction and self.extended is None and not field_of(field).kind.is_text:
            clauses = _any_of_runs(clauses, words)
        if len(clauses) == 1 and bare is not None and len(words) < 2:
            return bare
        return Bool(tuple(clauses)) if clauses else None

    def _conjunction(self) -> str:
        word = self._word()
        if word is None or word == "NOT":
            return ""
        self.at += len(word)
        return "AND" if word in ("AND", "&&") else "OR"

    def _modifier(self) -> str:
        self._skip()
        char = self._peek()
        if char in ("+", "-", "!") and char and not self._bare():
            self.at += 1
            self._skip()
            return "+" if char == "+" else "-"
        if self._word() == "NOT":
            self.at += 3
            self._skip()
            return "-"
        return ""

    def _bare(self) -> bool:
        """Is the operator character here followed by a space? Then it is a word of its own."""
        return self.text[self.at + 1 : self.at + 2] in _SPACE and self.at + 1 < len(self.text)

    def _add(
        self, clauses: list[tuple[Occur, Node]], conjunction: str, modifier: str, node: Node | None
    ) -> None:
        """``addClause`` of Lucene's classic parser: an operator also changes the clause before it."""
        self.clauses += 1
        if self.clauses > MAX_CLAUSES:
            raise SearchFault(f"too many boolean clauses: a query may have {MAX_CLAUSES}")
        if clauses and clauses[-1][0] is not Occur.MUST_NOT:
            if conjunction == "AND":
                clauses[-1] = (Occur.MUST, clauses[-1][1])
            elif conjunction == "OR" and self.conjunction:
                clauses[-1] = (Occur.SHOULD, clauses[-1][1])
        if node is None:
            return
        if modifier == "-":
            occur = Occur.MUST_NOT
        elif self.conjunction:
            occur = Occur.SHOULD if conjunction == "OR" else Occur.MUST
        else:
            occur = Occur.MUST if modifier == "+" or conjunction == "AND" else Occur.SHOULD
        clauses.append((occur, node))

    def _clause(self, field: str | None) -> Node | None:
        """[field ':'] (term | phrase | range | group) [boost]."""
        self._skip()
        match = _TERM.match(self.text, self.at)
        colon = self._after_spaces(match.end()) if match and self._word() is None else -1
        if match and self.text[colon : colon + 1] == ":" and colon >= 0:
            name = unescape(match[0])
            self.at = colon + 1
            self._skip()
            if name == "*" and (everything := _TERM.match(self.text, self.at)) and everything[0] == "*":
                self.at = everything.end()
                if self._to_suffix("~") == "~":
                    self.at += 1
                    self._number()
                return self._boosted(All())
            if self.extended is not None and (name == "*" or not self.extended(name)):
                return self._forbidden(field, match[0].replace("*", "\\*"))
            if _JOKERS.search(match[0]) and name != "*":
                raise self._fault()
            if name in MAGIC:
                raise unsupported(f"The magic field {name}")
            field = name
        if self._peek(2) == "{!":
            raise unsupported("Local parameters {!…}")
        char = self._peek()
        node: Node | None
        if char in ("+", "-", "!") and char and self._bare():
            self.at += 1
            return Term(field, char)
        if char == "(":
            node = self._group(field)
        elif char == '"':
            node = self._phrase(field)
        elif char in ("[", "{") and char:
            node = self._range(field)
        elif char == "/":
            node = self._regex(field)
        else:
            return self._term(field)
        return self._boosted(node)

    def _group(self, field: str | None) -> Node | None:
        self.at += 1
        self._skip()
        if self._peek() == ")":
            raise self._fault()
        node = self._query(field)
        if self._peek() != ")":
            raise self._fault()
        self.at += 1
        if self.conjunction and isinstance(node, Bool):
            only_excludes = all(occur is Occur.MUST_NOT for occur, _ in node.clauses)
            return Bool(((Occur.MUST, node),)) if only_excludes or self.extended is not None else node
        return node

    def _phrase(self, field: str | None) -> Node:
        match = _QUOTED.match(self.text, self.at)
        if match is None:
            raise QuerySyntaxFault(self.text, f"Lexical error at line 1, column {self.at}: unclosed quote")
        self.at = match.end()
        slop = 0
        self._to_suffix("~")
        if self._peek() == "~":
            self.at += 1
            slop = int(self._number() or 0)
        return Phrase(field, unescape(match[1]), min(slop, 1000))

    def _regex(self, field: str | None) -> Node:
        match = _REGEX.match(self.text, self.at)
        if match is None:
            raise QuerySyntaxFault(self.text, f"Lexical error at line 1, column {self.at}: unclosed regular expression")
        self.at = match.end()
        return Regex(field, match[1].replace("\\/", "/"))

    def _forbidden(self, field: str | None, name: str) -> Node | None:
        """``name:value`` where the name may not be a field: a word with a colon, or a word before a group."""
        if self._peek() in tuple('("[{/'):
            return leaf(field, name)
        return self._term(field, name + "\\:")

    def _term(self, field: str | None, before: str = "") -> Node | None:
        match = _TERM.match(self.text, self.at)
        if match is None or self._word() is not None:
            raise self._fault()
        raw = before + match[0]
        self.at = match.end()
        while self._peek() == ":" and self.extended is not None:
            more = _TERM.match(self.text, self.at + 1)
            raw += "\\:" + (more[0] if more else "")
            self.at = more.end() if more else self.at + 1
        if self._peek() == ":":
            raise self._fault()
        fuzzy: float | None = None
        plain = self.at
        boost = 1.0
        constant = False
        left = "~^"
        while left and self._to_suffix(left) in tuple(left):
            suffix = self._peek()
            left = left.replace(suffix, "")
            if suffix == "~":
                self.at += 1
                fuzzy = self._number() if self._number_ahead() else 2.0
            else:
                boost, constant = self._boost()
        if self.at == plain:
            return leaf(field, raw)
        node = leaf(field, raw)
        if fuzzy is not None and isinstance(node, Term):
            node = Fuzzy(field, node.text, _edits(fuzzy, node.text))
        return Boost(node, boost, constant) if boost != 1.0 or constant else node

    def _range(self, field: str | None) -> Node:
        opening = self._peek()
        self.at += 1
        lower = self._bound()
        match = _TO.match(self.text, self.at)
        if match is None:
            raise self._fault()
        self.at = match.end()
        upper = self._bound()
        self._skip()
        closing = self._peek()
        if closing not in ("]", "}") or not closing:
            raise self._fault()
        self.at += 1
        return Range(field, lower, upper, opening == "[", closing == "]")

    def _bound(self) -> str | None:
        self._skip()
        quoted = _QUOTED.match(self.text, self.at)
        match = quoted or _BOUND.match(self.text, self.at)
        if match is None:
            raise self._fault()
        self.at = match.end()
        if quoted:
            return unescape(quoted[1])
        return None if match[0] == "*" else unescape(match[0])

    def _to_suffix(self, suffixes: str) -> str:
        """The character at the cursor, which moves over spaces when one of ``suffixes`` stands behind them."""
        after = self._after_spaces(self.at)
        if self.text[after : after + 1] in tuple(suffixes):
            self.at = after
        return self._peek()

    # -- numbers ---------------------------------------------------------------------------------------

    def _number_ahead(self) -> bool:
        return _NUMBER.match(self.text, self.at) is not None

    def _number(self) -> float | None:
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return min(float(match[0]), 1e9)

    def _boost(self) -> tuple[float, bool]:
        self.at += 1
        constant = self._peek() == "="
        if constant:
            self.at += 1
        number = self._number()
        if number is None:
            raise self._fault()
        return number, constant

    def _boosted(self, node: Node | None) -> Node | None:
        if self._to_suffix("^") != "^":
            return node
        boost, constant = self._boost()
        return None if node is None else Boost(node, boost, constant)


def _any_of_runs(clauses: list[tuple[Occur, Node]], words: list[int]) -> list[tuple[Occur, Node]]:
    """Neighbouring words in a field of exact values: Solr takes such a run as one text, any word of which will do."""
    found: list[tuple[Occur, Node]] = []
    run: list[tuple[Occur, Node]] = []
    plain = set(words)
    for at, clause in enumerate(clauses):
        if at not in plain:
            found.append(clause)
            continue
        run.append((Occur.SHOULD, clause[1]))
        if at + 1 not in plain:
            found.append((Occur.MUST, run[0][1] if len(run) == 1 else Bool(tuple(run))))
            run = []
    return found


def leaf(field: str | None, raw: str) -> Node:
    """A bare token: the existence test ``*``, a wildcard, or a term."""
    if raw == "*":
        return Exists(field) if field not in (None, "*") else All()
    if "*" not in raw and "?" not in raw:
        return Term(field, unescape(raw))
    pattern: list[str | Joker] = []
    for piece in _PIECE.findall(raw):
        pattern += [Joker(piece)] if piece in ("*", "?") else unescape(piece)
    if any(isinstance(item, Joker) for item in pattern):
        return Wildcard(field, tuple(pattern))
    return Term(field, unescape(raw))


def _edits(given: float, text: str) -> int:
    """Edits allowed by ``~n``: a count, or the old similarity between 0 and 1."""
    if given >= 1:
        return min(int(given), 2)
    return min(int((1.0 - given) * len(text)), 2) if given > 0 else 0
