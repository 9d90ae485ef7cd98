"""What a proposed version must hold before anyone may approve it: it parses, its tests and examples pass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from authz.foundation.errors import FieldError
from authz.foundation.identity import Role
from authz.pdp.bundle import PolicyInvalid, PolicySet, packaged
from authz.pdp.engine import EmbeddedEngine, EngineFailure
from authz.pdp.lint import lint
from authz.roles.index import RoleIndex, RolePolicy, RolePolicyInvalid

FILE_LENGTH_MAX = 200_000
TEST_NAME = re.compile(r"^(test_\w+) if", re.MULTILINE)

NEVER_TOGETHER: tuple[tuple[str, str], ...] = (
    ("policy:propose", "policy:approve"),
    ("application:price_propose", "application:price_approve"),
    ("settlement:run", "settlement:approve"),
    ("role:assign", "audit:read"),
)
"""Actions that no single role may hold both of: separation of duties, and 三员."""


def plain(value: Any) -> Any:
    """An answer made comparable: sets come as lists in any order."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return sorted((plain(one) for one in value), key=lambda one: orjson.dumps(one, option=orjson.OPT_SORT_KEYS))
    return value


def faults_of(policies: PolicySet) -> list[FieldError]:
    """Everything that stands against putting these policies in force; empty when nothing does."""
    known = packaged().files.keys()
    faults = [
        _fault(path, "unknown_file", "没有这个策略文件", "there is no such policy file")
        for path in policies.files if path not in known
    ]
    faults += [
        _fault(path, "too_long", "文件过长", "the file is too long")
        for path, text in policies.files.items() if len(text) > FILE_LENGTH_MAX
    ]
    if faults:
        return faults
    try:
        policies.check()
    except PolicyInvalid as fault:
        path, _, why = str(fault).partition(" ")
        return [_fault(path.rstrip(":"), "does_not_compile", f"不能编译：{why}", f"does not compile: {why}")]
    style = [
        _fault(one.path, "lint", f"第 {one.line} 行：{one.rule}", f"line {one.line}: {one.rule}: {one.what}")
        for one in lint(policies)
    ]
    return [*style, *_role_faults(policies), *_test_faults(policies), *_example_faults(policies)]


def _fault(path: str, code: str, zh: str, en: str) -> FieldError:
    return FieldError(f"files.{path}", code, zh, en)


def _role_faults(policies: PolicySet) -> list[FieldError]:
    path = "roles.csv"
    if policies.files["roles.conf"] != packaged().files["roles.conf"]:
        return [_fault("roles.conf", "fixed_file", "该文件不能修改", "this file cannot be changed")]
    try:
        policy = RolePolicy.parse(policies.files[path])
    except RolePolicyInvalid as fault:
        return [_fault(path, "malformed_line", f"格式不正确：{fault}", f"is malformed: {fault}")]
    roles = {role for role, _, _ in policy.permissions} | {role for pair in policy.inherits for role in pair}
    unknown = sorted(roles - {role.value for role in Role})
    if unknown:
        zh, en = "没有这些角色：" + "、".join(unknown), "unknown roles: " + ", ".join(unknown)
        return [_fault(path, "unknown_role", zh, en)]
    index = RoleIndex.compile(policy)
    return [
        _fault(
            path, "duties_not_separate", f"角色 {role} 不能同时拥有 {one} 和 {other}",
            f"the role {role} may not hold both {one} and {other}",
        )
        for one, other in NEVER_TOGETHER for role in sorted(index.holders(one) & index.holders(other))
    ]


def _test_faults(policies: PolicySet) -> list[FieldError]:
    """The policies' own tests, run in process; those of the release must still be there."""
    faults = []
    for name in policies.names:
        path = f"{name}/{name}_test.rego"
        tests = TEST_NAME.findall(policies.files[path])
        gone = sorted(set(TEST_NAME.findall(packaged().files[path])) - set(tests))
        if gone:
            zh, en = "缺少测试：" + "、".join(gone), "tests are missing: " + ", ".join(gone)
            faults.append(_fault(path, "tests_missing", zh, en))
        try:
            engine = policies.engine([f"{name}/{name}.rego", path])
        except PolicyInvalid as fault:
            faults.append(_fault(path, "does_not_compile", f"不能编译：{fault}", f"does not compile: {fault}"))
            continue
        failed = []
        for test in tests:
            engine.set_input_json("{}")
            try:
                passed = engine.eval_rule_as_json(f"data.govopen.{name}_test.{test}").strip() == "true"
            except RuntimeError:
                passed = False
            if not passed:
                failed.append(test)
        if failed:
            zh, en = "测试未通过：" + "、".join(failed), "tests fail: " + ", ".join(failed)
            faults.append(_fault(path, "tests_fail", zh, en))
    return faults


def _example_faults(policies: PolicySet) -> list[FieldError]:
    """Both examples of each policy as they say, and nothing permitted when nothing is known."""
    faults, engine = [], EmbeddedEngine(policies)
    for name in policies.names:
        for kind, effect in (("example_allowed", "permit"), ("example_denied", "deny")):
            path = f"{name}/{kind}.json"
            try:
                example: Mapping[str, Any] = orjson.loads(policies.files[path])
                answer = engine.evaluate(name, example["input"])
                held = plain(answer) == plain(example["decision"]) and answer["effect"] == effect
            except (EngineFailure, ValueError, KeyError, TypeError):
                held = False
            if not held:
                faults.append(_fault(path, "example_fails", "示例的判定结果不符", "the example is decided otherwise"))
        try:
            empty = engine.evaluate(name, {}).get("effect")
        except EngineFailure:
            empty = None
        if empty != "deny":
            faults.append(_fault(
                f"{name}/{name}.rego", "not_closed", "空输入必须拒绝", "an empty input must be denied",
            ))
    return faults
