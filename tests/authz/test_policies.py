"""Every policy folder is whole, and its tests and examples hold in process and on an OPA server."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from authz.pdp import bundle
from authz.pdp.engine import EmbeddedEngine
from authz.pdp.opa import OpaEngine

FOLDERS = [bundle.POLICIES / name for name in bundle.packaged().names]
EXAMPLES = [(folder, name) for folder in FOLDERS for name in ("example_allowed", "example_denied")]
TEST_NAME = re.compile(r"^(test_\w+) if", re.MULTILINE)


def plain(value: Any) -> Any:
    """An answer with sets, which JSON gives as lists in any order, made comparable."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return sorted((plain(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
    return value


def example(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_folder_is_whole(folder: Path) -> None:
    """Rule, test, both examples and the page are there; the rule states what it is and its legal basis."""
    rule = (folder / f"{folder.name}.rego").read_text(encoding="utf-8")
    assert rule.startswith("# METADATA\n# title: ")
    assert "# description:" in rule
    assert "#   basis:" in rule
    assert f"package govopen.{folder.name}\n" in rule
    names = TEST_NAME.findall((folder / f"{folder.name}_test.rego").read_text(encoding="utf-8"))
    assert len(names) == len(set(names))
    assert any(name.startswith("test_permit") for name in names)
    assert any(name.startswith("test_deny") for name in names)
    page = (folder / "README.md").read_text(encoding="utf-8")
    for part in ("**Summary.**", "**Avoid.**", "**Prefer.**", "**Rationale 适用依据.**", "**Configuration.**"):
        assert part in page


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_rego_tests_in_process(folder: Path) -> None:
    text = (folder / f"{folder.name}_test.rego").read_text(encoding="utf-8")
    engine = bundle.packaged().engine([f"{folder.name}/{folder.name}.rego", f"{folder.name}/{folder.name}_test.rego"])
    failed = []
    for name in TEST_NAME.findall(text):
        engine.set_input_json("{}")
        if engine.eval_rule_as_json(f"data.govopen.{folder.name}_test.{name}").strip() != "true":
            failed.append(name)
    assert failed == []


@pytest.mark.parametrize(("folder", "name"), EXAMPLES, ids=lambda one: getattr(one, "name", one))
def test_example_in_process(folder: Path, name: str) -> None:
    found = example(folder, name)
    answer = EmbeddedEngine().evaluate(folder.name, found["input"])
    assert plain(answer) == plain(found["decision"])
    assert answer["effect"] == ("permit" if name == "example_allowed" else "deny")


def test_empty_input_is_denied() -> None:
    """Whatever is missing denies, in every policy."""
    for folder in FOLDERS:
        assert EmbeddedEngine().evaluate(folder.name, {})["effect"] == "deny"


def test_bundle_calls_only_allowed_builtins() -> None:
    files = bundle.packaged().files
    calls = 'package govopen.bad\n\ndecision := {"effect": http.send({"method": "get", "url": "x"}).body}\n'
    with pytest.raises(bundle.PolicyInvalid, match=r"http\.send"):
        bundle.PolicySet({**files, "bad/bad.rego": calls}).check()
    with pytest.raises(bundle.PolicyInvalid):
        bundle.PolicySet({**files, "bad/bad.rego": "package govopen.bad\n\ndecision := {\n"}).check()


def test_rego_tests_by_opa(opa_binary: str) -> None:
    done = subprocess.run(
        [opa_binary, "test", "--ignore", "*.json", str(bundle.POLICIES)], capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:]
    strict = subprocess.run(
        [opa_binary, "check", "--strict", "--ignore", "*.json", str(bundle.POLICIES)], capture_output=True, text=True,
        check=False,
    )
    assert strict.returncode == 0, strict.stderr


@pytest.mark.parametrize(("folder", "name"), EXAMPLES, ids=lambda one: getattr(one, "name", one))
async def test_example_on_opa_server(opa_url: str, folder: Path, name: str) -> None:
    """Sync and async, the server's answer is the one in process."""
    found = example(folder, name)
    engine = OpaEngine(opa_url, timeout_s=10)
    assert plain(engine.evaluate(folder.name, found["input"])) == plain(found["decision"])
    assert plain(await engine.evaluate_async(folder.name, found["input"])) == plain(found["decision"])
    await engine.close()
