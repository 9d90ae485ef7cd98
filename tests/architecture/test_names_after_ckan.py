"""CKAN puts its own folder first on ``sys.path``: what that does to our names, pinned (ops/decisions/0001)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("authz", "licensing", "billing", "ops")


def where(program: str) -> str:
    """Run a program in an interpreter of its own, outside the tree; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", program], cwd="/", capture_output=True, text=True, check=True
    )
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("name", PACKAGES)
def test_our_packages_are_ours_without_ckan(name: str) -> None:
    assert where(f"import {name}; print({name}.__file__)") == str(ROOT / name / "__init__.py")


@pytest.mark.parametrize("name", PACKAGES[1:])
def test_three_of_our_names_are_ours_after_ckan_too(name: str) -> None:
    find = f"import ckan, importlib.util; print(importlib.util.find_spec('{name}').origin)"
    assert where(find) == str(ROOT / name / "__init__.py")


def test_authz_after_ckan_is_ckans() -> None:
    """The reason for the rule: a process that has imported CKAN must never import our ``authz``."""
    find = "import ckan, importlib.util; print(importlib.util.find_spec('authz').origin)"
    assert where(find).endswith("ckan/authz.py")


def test_authz_stays_ours_when_it_was_first() -> None:
    """What the root conftest.py relies on."""
    assert where("import authz, ckan, sys; import authz as again; print(again.__file__)") == str(
        ROOT / "authz" / "__init__.py"
    )


def test_the_extension_imports_none_of_our_packages() -> None:
    folder = ROOT / "ckanext-govopen" / "ckanext" / "govopen"
    offenders = []
    for file in folder.rglob("*.py"):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            words = line.split()
            if len(words) > 1 and words[0] in ("import", "from") and words[1].split(".")[0] in PACKAGES:
                offenders.append(f"{file.relative_to(ROOT)}:{number}")
    assert offenders == []
