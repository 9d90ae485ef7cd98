"""What docs/api.md and docs/examples say is run: curl, Python and JavaScript against the running service."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from authz import Runtime, new_id
from billing import usage
from ops import testing
from ops.delivery.exports.make import make_waiting

ROOT = Path(__file__).parents[2]
FIELDS = [
    {"name": "code", "title": "代码", "type": "text"},
    {"name": "name", "title": "名称", "type": "text"},
    {"name": "size", "title": "规模", "type": "integer"},
]
SQL = {"code": "text", "name": "text", "size": "bigint"}
ROWS = [(f"{number:06d}", f"第{number}企业", number % 7) for number in range(1_200)]
BLOCKS = re.findall(r"^```(bash|python|javascript)\n(.*?)^```", (ROOT / "docs/api.md").read_text("utf-8"), re.S | re.M)
NAMES = [f"{place}-{kind}" for place, (kind, _) in enumerate(BLOCKS)]


@pytest.fixture
async def examples(site: Any, runtime: Runtime, pool: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """The environment of the examples, with a worker at work."""
    data = await testing.load_restricted(runtime, testing.data_object(new_id("res"), FIELDS), SQL, ROWS)
    granted = await testing.issue_grant(
        runtime, data, ["code", "name", "size"], quota={"rows_month": 1_000_000}, delivery=("api", "analysis", "verify")
    )
    open_id = new_id("res")
    await testing.fill_table(pool, "public", open_id, SQL, ROWS)
    await testing.publish(
        runtime, testing.data_object(open_id, FIELDS, open_attribute="unconditional", grade="general-1")
    )

    async def work() -> None:
        while True:
            await make_waiting(runtime)
            await asyncio.sleep(0.1)

    worker = asyncio.create_task(work())
    yield {
        **os.environ, "SITE": site.url, "RESOURCE": data.resource_id, "OPEN": open_id, "KEY": granted.key,
        "GRANT": granted.id, "PYTHONPATH": str(ROOT / "ops" / "sdk"),
    }
    worker.cancel()
    await asyncio.wait([worker])


async def run(command: list[str], text: str, env: dict[str, str], folder: Path) -> str:
    done = await asyncio.to_thread(
        subprocess.run, command, input=text, env=env, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    shown: str = done.stdout
    return shown


COMMANDS = {
    "bash": ["bash", "-euo", "pipefail", "-s"], "python": [sys.executable, "-P", "-"],
    "javascript": ["node", "--input-type=module", "-"],
}


@pytest.mark.parametrize(("kind", "text"), BLOCKS, ids=NAMES)
async def test_an_example_of_the_documentation_runs(
    examples: dict[str, str], tmp_path: Path, kind: str, text: str
) -> None:
    if shutil.which({"bash": "curl", "javascript": "node"}.get(kind, sys.executable)) is None:
        pytest.skip("not on this machine")
    shown = await run(COMMANDS[kind], text, examples, tmp_path)
    assert shown.strip() or " -o " in text or "def is_genuine" in text
    for file in (*tmp_path.glob("export.*"), *tmp_path.glob("all.*"), *tmp_path.glob("open.*")):
        assert file.stat().st_size > 1_000


async def test_the_quickstart_runs_from_schema_to_export(
    examples: dict[str, str], runtime: Runtime, tmp_path: Path
) -> None:
    env = {
        **examples, "GOVOPEN_SITE": examples["SITE"], "GOVOPEN_RESOURCE": examples["RESOURCE"],
        "GOVOPEN_KEY": examples["KEY"], "GOVOPEN_FOLDER": str(tmp_path),
    }
    shown = await run([sys.executable, "-P", str(ROOT / "docs/examples/quickstart.py")], "", env, tmp_path)
    assert "1200 rows" in shown
    assert "verified: True" in shown
    assert "invalid_input" in shown
    assert (tmp_path / "all.csv").stat().st_size > 10_000
    events = await usage.events(runtime.pool, [examples["GRANT"]])
    assert sum(one.rows for one in events) == 5 + 1_200 * 3 + 1, "a page, a file, a table, an export, a lookup"
    env = {**env, "GOVOPEN_KEY": "", "GOVOPEN_RESOURCE": examples["OPEN"]}
    shown = await run([sys.executable, "-P", str(ROOT / "docs/examples/quickstart.py")], "", env, tmp_path)
    assert "1200 rows" in shown
