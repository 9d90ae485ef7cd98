"""Which Python ``make install`` makes the environment with."""

from __future__ import annotations

import os
import subprocess
import venv
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
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("pythons", "python"),
    [
        ({"python3": {}, "python3.13": {}}, "python3"),
        ({"python3": {"is_slow": True}, "python3.13": {"is_slow": True}, "python3.12": {}}, "python3.12"),
        ({"python3": {"is_slow": True}, "python3.13": {"is_bare": True}, "python3.12": {}}, "python3.12"),
        ({"python3": {"is_bare": True}, "python3.13": {}}, "python3.13"),
        ({"python3": {"is_old": True}, "python3.13": {}}, "python3.13"),
    ],
    ids=["the usual", "the first optimized", "one that is whole", "none that is bare", "none that is old"],
)
def test_the_python_is_one_that_is_new_optimized_and_whole(
    folder: Path, pythons: dict[str, dict[str, bool]], python: str
) -> None:
    for name, kind in pythons.items():
        put(folder, name, **kind)
    found = said(folder)
    assert f"made by {python}\n" in found
    assert ("was built without optimizations and is slow" in found) is ("is_slow" in pythons["python3"])


def test_what_is_preferred_to_the_usual_python_is_said(folder: Path) -> None:
    put(folder, "python3", is_slow=True)
    put(folder, "python3.12")
    found = said(folder)
    assert f"{folder}/python3 was built without optimizations and is slow: taking {folder}/python3.12." in found
    assert f"make clean && make install PYTHON={folder}/python3" in found


def test_the_python_that_is_named_is_taken_even_when_it_is_slow(folder: Path) -> None:
    put(folder, "python3", is_slow=True)
    put(folder, "python3.12")
    found = said(folder, PYTHON="python3")
    assert "made by python3\n" in found
    assert "slow" not in found


@pytest.mark.parametrize("name", ["python3.9", "no-such-python"])
def test_no_other_python_is_taken_than_the_one_that_is_named(folder: Path, name: str) -> None:
    put(folder, "python3")
    put(folder, "python3.9", is_old=True)
    assert said(folder, PYTHON=name) == f"PYTHON={name} is no Python 3.11 or newer. Correct it, or leave PYTHON out.\n"


def test_an_environment_that_was_not_finished_is_made_again(folder: Path) -> None:
    put(folder, "python3")
    venv.create(folder.parent / "venv", with_pip=False)
    assert "made by python3\n" in said(folder)
