"""Waits for the supervisor's end and, unless that was an orderly one, becomes the next supervisor.

Usage: ``keeper.py LIFELINE STATE COMMAND…``: LIFELINE is the reading end of a pipe whose other end only the supervisor
holds, so that its end is seen at once, whatever the reason. Standard library only: it is to stay small.
"""

import json
import os
import sys
from pathlib import Path

ORDERLY = ("stopping", "stopped", "failed")


def main() -> None:
    lifeline, state, command = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    while os.read(lifeline, 1):
        pass
    os.close(lifeline)
    try:
        ended_as = json.loads(state.read_text(encoding="utf-8")).get("state")
    except (OSError, ValueError):
        ended_as = None
    if ended_as in ORDERLY:
        return
    os.execve(command[0], command, {**os.environ, "GOVOPEN_PART": "supervisor"})  # noqa: S606


if __name__ == "__main__":
    main()
