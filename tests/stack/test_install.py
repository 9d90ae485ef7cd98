"""Which Python ``make install`` makes the environment with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

STUB = """#!/bin/sh
case "$*" in
*version_info*) exit {is_old:d} ;;
*interpreter.py*) exit {is_slow:d} ;;
*ensurepip*) exit {is_bare:d} ;;
"-m venv"*) echo "made by {name}"; exit 1 ;;
esac
exit 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pythons that say what they are and make nothing."""
    found = tmp_path / "bin"
    found.mkdir()
    return found


def put(folder: Path, name: str, *, is_old: bool = False, is_slow: bool = False, is_bare: bool = False) -> None:
    file = folder / name
    file.write_text(STUB.format(name=name, is_old=is_old, is_slow=is_slow, is_bare=is_bare), encoding="ascii")
    file.chmod(0o755)


def said(folder: Path, **given: str) -> str:
    """What installing says up to the environment, which no stub makes."""
    done = subprocess.run(
        ["bash", "ops/install.sh", f"{folder.parent}/venv"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": f"{folder}:{os.environ['PATH']}", "LANG": "en_US.UTF-8", **given}, timeout=60,
    )
    assert done.returncode == 1
    return done.stdout


def test_the_usual_python_is_taken_when_it_is_optimized(folder: Path) -> None:
    put(folder, "python3")
    put(folder, "python3.13")
    found = said(folder)
    assert "made by python3\n" in found
    assert "slow" not in found


def test_an_optimized_python_is_preferred_and_that_is_said(folder: Path) -> None:
    put(folder, "python3", is_slow=True)
    put(folder, "python3.13", is_slow=True)
    put(folder, "python3.12")
    found = said(folder)
    assert "made by python3.12\n" in found
    assert f"{folder}/python3 was built without optimizations and is slow: taking {folder}/python3.12." in found
    assert f"make clean && make install PYTHON={folder}/python3" in found


def test_a_python_that_cannot_make_an_environment_is_not_preferred(folder: Path) -> None:
    put(folder, "python3", is_slow=True)
    put(folder, "python3.13", is_bare=True)
    put(folder, "python3.12")
    assert "made by python3.12\n" in said(folder)


def test_a_python_that_is_too_old_is_passed_over(folder: Path) -> None:
    put(folder, "python3", is_old=True)
    put(folder, "python3.13")
    found = said(folder)
    assert "made by python3.13\n" in found
    assert "slow" not in found


def test_the_python_that_is_named_is_taken_even_when_it_is_slow(folder: Path) -> None:
    put(folder, "python3", is_slow=True)
    put(folder, "python3.12")
    found = said(folder, PYTHON="python3")
    assert "made by python3\n" in found
    assert "slow" not in found
