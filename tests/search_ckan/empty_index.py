"""An index that finds nothing, whatever it is asked: ``python empty_index.py PORT``.

CKAN's tests that fail against it are those that judge a search engine's answers; all others pass with anything.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SCHEMA = b'<?xml version="1.0"?><schema name="ckan-2.12" version="1.6"/>'


class Empty(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        form = body.decode("utf-8", "replace") if "/select" in address.path else ""
        asked = parse_qs(f"{address.query}&{form}")
        kind, content = "application/json", b""
        if "/schema" in address.path or "/admin/file" in address.path:
            kind, content = "application/xml", SCHEMA
        else:
            facets = {"facet_fields": {name: [] for name in asked.get("facet.field", [])}, "facet_queries": {}}
            content = json.dumps({
                "responseHeader": {"status": 0, "QTime": 0}, "status": "OK", "facet_counts": facets,
                "response": {"numFound": 0, "start": 0, "docs": []},
            }).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Empty).serve_forever()
