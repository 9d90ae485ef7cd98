"""``govopen usage``: months of usage events out of the database into files, and back."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from datetime import UTC, date, datetime
from typing import Any

import asyncpg

from authz import Refusal, SystemClock, prepare_connection
from billing.periods import Period
from billing.usage import archive, archive_back, archive_out
from ops.audit import PostgresAuditLog
from ops.cli import stack
from ops.cli.words import complain, say, tell
from ops.stack import Home


def main(arguments: list[str]) -> int:
    """Run the command; returns 0 when done, 1 when refused, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(
        prog="govopen usage", description=say("用量事件按月归档与恢复", "months of usage events: out to files and back")
    )
    parser.add_argument(
        "--folder", help=say("归档目录（默认数据目录下的 archive）", "folder of the files (archive in the stack's)")
    )
    commands = parser.add_subparsers(dest="verb", required=True)
    commands.add_parser("months", help=say("各月所在", "where each month is"))
    for verb, zh, en in (
        ("archive", "将已结账的月份移出到 Parquet 文件", "move a closed month out to a Parquet file"),
        ("restore", "将月份恢复到数据库", "bring a month back into the database"),
    ):
        commands.add_parser(verb, help=say(zh, en)).add_argument("month", metavar="YYYY-MM")
    given = parser.parse_args(arguments)
    folder = given.folder or os.environ.get("GOVOPEN_ARCHIVE") or str(Home.at().path / "archive")
    try:
        month = None if given.verb == "months" else _month(given.month)
        return asyncio.run(_run(given.verb, folder, month))
    except Refusal as refusal:
        complain(refusal.detail("zh"), refusal.detail("en"), refusal.next("zh"), refusal.next("en"))
        for fault in refusal.errors:
            complain(fault.zh, fault.en)
        return 1


def _month(text: str) -> date:
    period = Period.parse(text)
    return date(period.year, period.month, 1)


async def _run(verb: str, folder: str, month: date | None) -> int:
    connection: asyncpg.Connection = await asyncpg.connect(
        os.environ.get("GOVOPEN_DATABASE_URL") or stack.database_url()
    )
    try:
        await prepare_connection(connection)
        if month is None:
            _show(await archive.whereabouts(connection))
            return 0
        now, audit = datetime.now(UTC), PostgresAuditLog(SystemClock())
        move: Any = archive_out.move_out if verb == "archive" else archive_back.bring_back
        await move(connection, audit, folder, month, now, _progress)
        return 0
    finally:
        await connection.close()


def _show(months: list[dict[str, Any]]) -> None:
    for one in months:
        where = say("数据库", "database") if one["in_database"] else "–"
        files = ", ".join(
            f"{file['file']} ({file['events']:,}, {say(*STATES[file['state']])})" for file in one["files"]
        )
        tell(*(f"{one['month']}  {where:<8}  {files}",) * 2)


STATES = {"written": ("已写入", "written"), "archived": ("已归档", "archived"), "restored": ("已恢复", "restored")}


def _progress(line: str) -> None:
    """One line that is written over where somebody looks on, one line each where it goes into a file."""
    end = "\r" if sys.stdout.isatty() else "\n"
    print(f"  {line}" + (" " * 10 if end == "\r" else ""), end=end, flush=True)


