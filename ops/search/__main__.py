"""``python -m ops.search --home DIR --port N``: run the search service in the foreground."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import sys
from pathlib import Path

import uvicorn

from ops.search import memory
from ops.search.access import read_password
from ops.search.app import build_search_app
from ops.search.chinese.lexicon import add_terms
from ops.search.engine import Engine
from ops.search.errors import SearchFault


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.search", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder of the index; created when missing")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default %(default)s)")
    parser.add_argument("--prefix", default="/solr/ckan", help="path of the core (default %(default)s)")
    parser.add_argument("--terms", type=Path, help="own synonyms.txt and words.txt (default HOME/terms, if any)")
    parser.add_argument(
        "--password-file", type=Path,
        help="what callers must know, with the user name ckan (default HOME/password, made when missing)",
    )
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if given.host != "localhost" and not ipaddress.ip_address(given.host).is_loopback:
        print(f"--host {given.host}: the search service listens on a loopback address only", file=sys.stderr)
        return 2
    terms = given.terms or given.home / "terms"
    try:
        if given.terms is not None or terms.is_dir():
            add_terms(terms)
    except (OSError, UnicodeDecodeError) as error:
        print(f"--terms {terms}: {error}", file=sys.stderr)
        return 2
    try:
        given.home.mkdir(parents=True, exist_ok=True)
        given.home.chmod(0o700)
        password = read_password(given.password_file or given.home / "password")
        engine = Engine(given.home)
    except SearchFault as fault:
        print(fault.message, file=sys.stderr)
        return 1
    memory.keep_pieces()
    memory.collect_seldom()
    uvicorn.run(
        build_search_app(engine, password, given.prefix), host=given.host, port=given.port,
        loop="uvloop", http="httptools",
        log_level="warning", access_log=False, proxy_headers=False, server_header=False, date_header=False,
        timeout_graceful_shutdown=15, timeout_keep_alive=75,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
