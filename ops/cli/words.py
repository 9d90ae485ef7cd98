"""Sentences of the command line in the operator's language: Chinese unless the locale says English."""

from __future__ import annotations

import os
import sys

STATES = {
    "waiting": "等待", "starting": "启动中", "running": "执行中", "ready": "正常", "done": "完成", "silent": "无应答",
    "restarting": "重启中", "stopped": "已停止", "failed": "失败", "stopping": "停止中", "dead": "已退出",
}


def is_english() -> bool:
    """By LC_ALL, LC_MESSAGES, LANG, the first that is set and is not the neutral C."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return value.lower().startswith("en")
    return False


def say(zh: str, en: str) -> str:
    return en if is_english() else zh


def state_word(state: str) -> str:
    return say(STATES.get(state, state), state)


def tell(zh: str, en: str) -> None:
    """Print a line at once, also where output goes into a pipe."""
    print(say(zh, en), flush=True)


def complain(zh: str, en: str, next_zh: str = "", next_en: str = "") -> None:
    print(say(zh, en), file=sys.stderr)
    if following := say(next_zh, next_en):
        print(say("下一步：", "Next: ") + following, file=sys.stderr, flush=True)
