"""Arguments of ``govopen`` and the commands behind them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from ops.cli import search, stack
from ops.cli.words import complain, say
from ops.stack import StackError

Handler = Callable[[argparse.Namespace], int]


def parser() -> argparse.ArgumentParser:
    """Every command with its options; ``handler`` is the function that does it."""
    top = argparse.ArgumentParser(
        prog="govopen",
        description=say("公共数据开放与授权运营平台", "Open government data and authorised operation of public data"),
    )
    top.add_argument(
        "--home", help=say("数据目录（默认 GOVOPEN_HOME 或 .govopen）", "folder of the stack (GOVOPEN_HOME, .govopen)")
    )
    commands = top.add_subparsers(dest="command", metavar=say("命令", "COMMAND"), required=True)

    def add(name: str, zh: str, en: str, handler: Handler) -> argparse.ArgumentParser:
        words = say(zh, en)
        command = commands.add_parser(name, help=words, description=words)
        command.set_defaults(handler=handler)
        return command

    up = add("up", "启动全部组件", "start every part", stack.run_up)
    up.add_argument("--detach", "-d", action="store_true", help=say("在后台运行", "run in the background"))
    up.add_argument("--port", type=_port, help=say("端口（默认 GOVOPEN_PORT 或 8600）", "port (GOVOPEN_PORT, 8600)"))
    add("down", "停止全部组件", "stop every part", stack.run_down)
    status = add("status", "显示各组件状态", "show the state of every part", stack.run_status)
    status.add_argument("--json", action="store_true")
    doctor = add("doctor", "检查问题并给出下一步", "find what is wrong and say what to do", stack.run_doctor)
    doctor.add_argument("--json", action="store_true")
    demo = add("demo", "装载演示城市并走完主流程", "load the demo city and play the main job", _run_demo)
    demo.add_argument("rest", nargs=argparse.REMAINDER)
    bench = add("bench", "运行基准测试", "run a benchmark", _run_bench)
    bench.add_argument("name", nargs="?")
    bench.add_argument("--json", metavar="FILE", dest="json_file")
    audit = add("audit", "导出或核验审计日志", "export or verify the audit log", _run_audit)
    audit.add_argument("rest", nargs=argparse.REMAINDER)
    certificate = add("certificate", "离线校验登记凭证", "verify a certificate offline", _run_certificate)
    certificate.add_argument("rest", nargs=argparse.REMAINDER)
    _add_search(add("search", "检索索引的状态与重建", "state and rebuild of the search index", search.run_status))
    usage = add("usage", "用量事件按月归档与恢复", "move months of usage events out to files and back", _run_usage)
    usage.add_argument("rest", nargs=argparse.REMAINDER)
    database = add("db", "升级业务数据库", "upgrade the service's database", _run_database)
    database.add_argument("verb", choices=["upgrade"])
    return top


def _add_search(command: argparse.ArgumentParser) -> None:
    verbs = command.add_subparsers(dest="verb", metavar=say("动作", "VERB"), required=True)
    words = say("显示文档数、占用空间与重建进度", "show documents, disk and how far a rebuild is")
    status = verbs.add_parser("status", help=words, description=words)
    status.add_argument("--json", action="store_true")
    status.set_defaults(handler=search.run_status)
    words = say("由 CKAN 数据库重建索引，旧索引照常服务", "build the index anew from CKAN while the old one serves")
    rebuild = verbs.add_parser("rebuild", help=words, description=words)
    rebuild.add_argument(
        "--full", action="store_true",
        help=say("逐个重新生成文档，不沿用核对无误的", "make every document, also those found right"),
    )
    rebuild.add_argument(
        "--anew", action="store_true",
        help=say("从空索引开始，逐个生成并编入", "begin with an empty index; make and index every document"),
    )
    rebuild.add_argument("--restart", action="store_true", help=say("放弃上次未完成的重建", "drop an unfinished one"))
    rebuild.add_argument("--workers", type=int, help=say("进程数（默认处理器数）", "processes (one for each CPU)"))
    rebuild.set_defaults(handler=search.run_rebuild)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(say(f"端口不正确：{text}", f"not a port: {text}"))
    return int(text)


def _run_demo(arguments: argparse.Namespace) -> int:
    from ops.demo.main import main as run

    return run(arguments.rest)


def _run_bench(arguments: argparse.Namespace) -> int:
    from ops.bench import run

    return run(arguments.name, arguments.json_file)


def _run_audit(arguments: argparse.Namespace) -> int:
    from ops.audit.cli import main as run

    return run(arguments.rest)


def _run_certificate(arguments: argparse.Namespace) -> int:
    from licensing.certificates.cli import main as run

    return run(arguments.rest)


def _run_usage(arguments: argparse.Namespace) -> int:
    from ops.cli.usage import main as run

    return run(arguments.rest)


def _run_database(_: argparse.Namespace) -> int:
    from ops.database import upgrade

    url = os.environ.get("GOVOPEN_DATABASE_URL") or stack.database_url()
    upgrade(url)
    return 0


PASS_THROUGH = ("demo", "audit", "certificate", "usage")
"""Commands that read their own options."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code: 0 done, 1 not done, 2 wrong arguments, 130 interrupted."""
    given = list(sys.argv[1:] if argv is None else argv)
    top = parser()
    arguments, unknown = top.parse_known_args(given)
    if unknown and arguments.command not in PASS_THROUGH:
        top.error(say(f"未知参数：{' '.join(unknown)}", f"unknown arguments: {' '.join(unknown)}"))
    if arguments.command in PASS_THROUGH:
        arguments.rest = given[given.index(arguments.command) + 1 :]
    if arguments.home:
        os.environ["GOVOPEN_HOME"] = arguments.home
    try:
        handler: Handler = arguments.handler
        return handler(arguments)
    except StackError as error:
        complain(error.zh, error.en, error.next_zh, error.next_en)
        return 1
    except KeyboardInterrupt:
        return 130
