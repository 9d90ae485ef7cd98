"""``python -m ops.bench.peers.solr --home DIR --port N``: run Solr in the foreground until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from ops.bench.peers.solr import Unavailable, running, start, stop, version


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.bench.peers.solr", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder of the core; created when missing")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--heap", default="1g", help="memory of the Java machine (default %(default)s)")
    given = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        url = start(given.home, given.port, given.heap)
    except Unavailable as reason:
        print(reason, file=sys.stderr)
        return 1
    print(f"Solr {version()}: {url}", flush=True)
    try:
        while not ended.wait(1) and running(given.home) is not None:
            pass
    finally:
        stop(given.home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
