"""Lint for policies, in the manner of Regal: what a policy folder must look like beyond compiling.

Rules have Regal's names where Regal has them. ``python -m authz.pdp.lint`` prints what is wrong and exits 1.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from authz.pdp.bundle import PolicySet, packaged
from authz.pdp.reasons import CATALOGUE

LINE_LENGTH_MAX = 120
FILE_LENGTH_MAX = 500
RULE_LENGTH_MAX = 45
HEAD = re.compile(r"^(?:else|(?P<name>[A-Za-z_]\w*))(?P<rest>.*)$")
REASON = re.compile(r'^reasons contains "([^"]*)"')
FAULT = re.compile(r'false: "([^"]*)"\}\[|^\s+"\w+": "(\w+)",$')
PERMITTING = ("_granted", "_open_to_everyone", "_examined", "_nothing_refused", "_faults")
"""Rules of ``data_access`` that a permit stands on."""
WORD = re.compile(r"(?<![\w.\"])_?[a-z]\w*")


@dataclass(frozen=True)
class LintFault:
    """``rule`` is broken at ``path:line``."""

    path: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.what}"


@dataclass(frozen=True)
class _Rule:
    """A rule with its body: the lines from its head to the next head."""

    name: str
    line: int
    lines: tuple[str, ...]
    comment: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class _File:
    path: str
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @property
    def name(self) -> str:
        return self.path.split("/")[0]

    @property
    def is_test(self) -> bool:
        return self.path.endswith("_test.rego")

    def rules(self) -> list[_Rule]:
        """Rules in the order of the file; ``else`` belongs to the rule before it."""
        found: list[_Rule] = []
        comment: list[str] = []
        begun: tuple[str, int, list[str], tuple[str, ...]] | None = None
        for number, line in enumerate([*self.lines, "end"], 1):
            if line.startswith("#"):
                comment.append(line)
                continue
            head = HEAD.match(line) if line and not line[0].isspace() else None
            if head and head["name"] and head["name"] not in ("package", "import"):
                if begun is not None:
                    found.append(_Rule(begun[0], begun[1], tuple(begun[2]), begun[3]))
                begun = (head["name"], number, [line], tuple(comment))
            elif begun is not None and line:
                begun[2].append(line)
            if line:
                comment = []
        return found


def _bare(line: str) -> str:
    """The line without texts in quotes and without its comment."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', line).split("#")[0]


Found = Iterator[tuple[int, str]]


def _package(file: _File) -> Found:
    wanted = f"package govopen.{file.name}{'_test' if file.is_test else ''}"
    if wanted not in file.lines:
        yield 1, f"the package must be '{wanted}'"


def _metadata(file: _File) -> Found:
    if file.is_test:
        return
    head = file.text.split("\npackage ")[0]
    for part in ("# METADATA", "# title:", "# description:", "#   basis:"):
        if part not in head:
            yield 1, f"the file must begin with '{part}' (what it is, and the law it rests on)"
    for rule in file.rules():
        if rule.name == "decision" and "# entrypoint: true" not in rule.comment:
            yield rule.line, "the entry point must say '# entrypoint: true' in its metadata"


def _line_length(file: _File) -> Found:
    for number, line in enumerate(file.lines, 1):
        if len(line.expandtabs(4)) > LINE_LENGTH_MAX:
            yield number, f"longer than {LINE_LENGTH_MAX}"


def _file_length(file: _File) -> Found:
    if len(file.lines) > FILE_LENGTH_MAX:
        yield FILE_LENGTH_MAX, f"more than {FILE_LENGTH_MAX} lines"


def _rule_length(file: _File) -> Found:
    for rule in file.rules():
        if not file.is_test and len(rule.lines) > RULE_LENGTH_MAX and "{" in rule.lines[0]:
            yield rule.line, f"'{rule.name}' has more than {RULE_LENGTH_MAX} lines"


def _opa_fmt(file: _File) -> Found:
    for number, line in enumerate(file.lines, 1):
        if line.startswith(" ") or line != line.rstrip() or "\r" in line:
            yield number, "indent by tabs, leave nothing at the end of a line"
    if not file.text.endswith("\n") or file.text.endswith("\n\n"):
        yield len(file.lines), "one newline at the end"


def _snake_case(file: _File) -> Found:
    for rule in file.rules():
        if not re.fullmatch(r"_?[a-z][a-z0-9_]*", rule.name):
            yield rule.line, f"'{rule.name}' is not snake_case"


def _todo(file: _File) -> Found:
    for number, line in enumerate(file.lines, 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield number, "finish it, or write down elsewhere what is left"


def _print(file: _File) -> Found:
    for number, line in enumerate(file.lines, 1):
        if re.search(r"\b(print|trace|opa\.runtime|http\.send)\(", _bare(line)):
            yield number, "no printing, tracing, runtime or network"


def _unused(file: _File) -> Found:
    """A private rule that nothing mentions but itself."""
    for rule in file.rules():
        if not rule.name.startswith("_") or file.is_test:
            continue
        uses = sum(
            rule.name in WORD.findall(_bare(line)) for other in file.rules() if other.name != rule.name
            for line in other.lines
        )
        if not uses:
            yield rule.line, f"'{rule.name}' is used nowhere"


def _constant(file: _File) -> Found:
    for number, line in enumerate(file.lines, 1):
        if re.fullmatch(r"\s+(true|1 == 1|\"\" == \"\")\s*", _bare(line)):
            yield number, "a condition that is always met"


def _default(file: _File) -> Found:
    for number, line in enumerate(file.lines, 1):
        if re.match(r"default\b.*\b(true|permit)", line):
            yield number, "the default may never permit"


def _identical_tests(file: _File) -> Found:
    seen: set[str] = set()
    for rule in file.rules():
        if rule.name.startswith("test_"):
            if rule.name in seen:
                yield rule.line, f"'{rule.name}' is there twice"
            seen.add(rule.name)


def _test_place(file: _File) -> Found:
    for rule in file.rules():
        if rule.name.startswith(("test_", "todo_test_")) and (not file.is_test or rule.name.startswith("todo_")):
            yield rule.line, "tests live in the _test file and none is left for later"


def _reasons(file: _File) -> Found:
    """Reasons are of the catalogue, and each hangs on something that was found, not on something missing alone."""
    if file.is_test or file.name != "data_access":
        return
    given = set()
    for rule in file.rules():
        match = REASON.match(rule.lines[0])
        if match:
            given.add(match[1])
            if match[1] not in CATALOGUE:
                yield rule.line, f"the reason '{match[1]}' has no sentence in the catalogue"
        if rule.name in ("_faults", "_state_reason"):
            for place, line in enumerate(rule.lines):
                for code in (one or other for one, other in FAULT.findall(line)):
                    if code not in CATALOGUE:
                        yield rule.line + place, f"the reason '{code}' has no sentence in the catalogue"
    raised_elsewhere = {"policy_unavailable", "policy_rule_unknown", "obligation_unfulfillable"}
    for code in CATALOGUE.keys() - given - raised_elsewhere:
        yield 1, f"no rule gives the reason '{code}' of the catalogue"


def _permit_negation(file: _File) -> Found:
    """A permit stands on what is known to hold: undefined under ``not`` would let it through."""
    if file.is_test:
        return
    for rule in file.rules():
        if rule.name in PERMITTING:
            for place, line in enumerate(rule.lines):
                if re.match(r"\s+not\b", line):
                    yield rule.line + place, "a permit may not rest on a negation"


RULES: dict[str, Callable[[_File], Found]] = {
    "package-name": _package, "missing-metadata": _metadata, "line-length": _line_length,
    "file-length": _file_length, "rule-length": _rule_length, "opa-fmt": _opa_fmt,
    "prefer-snake-case": _snake_case, "todo-comment": _todo, "print-or-trace-call": _print,
    "unused-rule": _unused, "constant-condition": _constant, "default-permits": _default,
    "identically-named-tests": _identical_tests, "test-outside-test-package": _test_place,
    "reason-without-sentence": _reasons, "negation-in-permit": _permit_negation,
}


def lint(policies: PolicySet) -> list[LintFault]:
    """Everything that is wrong, by file and line."""
    found = [
        LintFault(path, line, name, what)
        for path, text in policies.files.items() if path.endswith(".rego")
        for name, rule in RULES.items() for line, what in rule(_File(path, text))
    ]
    return sorted(found, key=lambda one: (one.path, one.line, one.rule))


def main() -> int:
    """Lint the policies of this release."""
    faults = lint(packaged())
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
