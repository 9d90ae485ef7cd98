"""The lint of policies: the release is clean, and each rule finds what it is named after."""

from __future__ import annotations

import pytest

from authz.pdp.bundle import PolicySet, packaged
from authz.pdp.lint import RULES, lint

RULE, TEST = "data_access/data_access.rego", "data_access/data_access_test.rego"


def test_the_release_is_clean() -> None:
    assert lint(packaged()) == []


def append(path: str, text: str) -> tuple[str, str]:
    return path, packaged().files[path] + text


BROKEN = {
    "package-name": (RULE, packaged().files[RULE].replace("package govopen.data_access", "package other", 1)),
    "missing-metadata": (RULE, packaged().files[RULE].replace("#   basis:", "#   about:", 1)),
    "line-length": append(RULE, "\n# " + "long " * 30 + "\n"),
    "file-length": append(RULE, "\n# more" * 200 + "\n"),
    "rule-length": append(RULE, '\nreasons contains "grade_core" if {\n' + "\tinput.now\n" * 60 + "}\n"),
    "opa-fmt": append(RULE, "\n# spaces at the end \n"),
    "prefer-snake-case": append(RULE, "\n_isOpen if input.now\n"),
    "todo-comment": append(RULE, "\n# TODO: finish\n"),
    "print-or-trace-call": append(RULE, '\nreasons contains "grade_core" if print("x")\n'),
    "unused-rule": append(RULE, "\n_forgotten if input.now\n"),
    "constant-condition": append(RULE, '\nreasons contains "grade_core" if {\n\ttrue\n}\n'),
    "default-permits": append(RULE, '\ndefault effect := "permit"\n'),
    "identically-named-tests": append(TEST, "\ntest_twice if 1 < 2\n\ntest_twice if 2 < 3\n"),
    "test-outside-test-package": append(RULE, "\ntest_here if input.now\n"),
    "reason-without-sentence": append(RULE, '\nreasons contains "made_up" if input.now\n'),
    "negation-in-permit": (RULE, packaged().files[RULE].replace(
        "_granted if {\n", "_granted if {\n\tnot input.object.closed\n", 1)),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_what_it_is_named_after(rule: str) -> None:
    path, text = BROKEN[rule]
    assert text != packaged().files[path]
    found = lint(PolicySet({**packaged().files, path: text}))
    assert rule in {fault.rule for fault in found}
    assert {fault.path for fault in found} == {path}


def test_a_reason_of_the_catalogue_that_no_rule_gives_is_found() -> None:
    text = packaged().files[RULE].replace('reasons contains "quota_exhausted"', 'reasons contains "grade_core"')
    assert "quota_exhausted" in str(lint(PolicySet({**packaged().files, RULE: text}))[0])
