"""Builders for tests: valid datasets, and a double of the service that records what it was asked."""

from __future__ import annotations

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USCC = "11330100002489559L"
STOPS_WITHIN_S = 0.02
FIELDS = [
    {"name": "code", "title": "区划代码", "type": "text", "grade": "general-1", "open_attribute": "unconditional"},
    {"name": "name", "title": "村居名称", "type": "text", "description": "行政村或社区的名称"},
]


def dataset_dict(owner_org: str, **changes: Any) -> dict[str, Any]:
    """An open dataset with every required field; a value of None leaves the key out."""
    given: dict[str, Any] = {
        "name": f"dataset-{uuid.uuid4().hex[:10]}", "title": "村级行政区划", "notes": "全市村、社区的区划代码和名称。",
        "owner_org": owner_org, "category": "103001", "provider_code": USCC, "format": "database",
        "share_type": "unconditional", "open_attribute": "unconditional", "update_cycle": "yearly",
        "grade": "general-1", "domain": "geography", "issued": "2026-01-05", "items": FIELDS,
        "has_personal_info": "false", **changes,
    }
    return {key: value for key, value in given.items() if value is not None}


def conditional(owner_org: str, **changes: Any) -> dict[str, Any]:
    """A dataset that is open under conditions."""
    return dataset_dict(owner_org, **{
        "title": "企业登记信息", "open_attribute": "conditional", "grade": "general-3", "open_mode": "接口",
        "use_requirements": "仅用于申请时说明的用途", "security_measures": "加密存储，访问留痕",
        "items": [{"name": "uscc", "title": "统一社会信用代码", "type": "text", "grade": "general-2"}], **changes,
    })


class ServiceDouble:
    """Answers the calls of the publish gate and the outbox as the service's contract says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, str], Any]] = []
        self.objects: dict[str, Any] = {}
        self.refusals: dict[str, tuple[int, dict[str, Any]]] = {}
        self.downloads: dict[str, int] = {}
        self.stopped = False
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                return

            def _answer(self) -> None:
                if double.stopped:
                    self.close_connection = True
                    return
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(raw) if raw else None
                status, answer = double.take(self.command, self.path, dict(self.headers), body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = _answer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(STOPS_WITHIN_S,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, method: str, path: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        self.calls.append((method, path, headers, body))
        refusal = self.refusals.get(f"{method} {path}") or self.refusals.get(method)
        if refusal:
            return refusal[0], {"status": refusal[0], "title": "refused", **refusal[1]}
        if path == "/v1/data-objects/check":
            return 200, {"effect": "permit", "reasons": [], "findings": []}
        if path.startswith("/v1/usage/downloads"):
            return 200, {"items": [{"resource_id": key, "downloads": n} for key, n in self.downloads.items()]}
        resource_id = path.rpartition("/")[2]
        if method == "PUT":
            self.objects[resource_id] = body
            return 200, {**body, "version": 1}
        if method == "DELETE" and resource_id not in self.objects:
            return 404, {"status": 404, "code": "not_found", "detail": "不存在"}
        if method == "DELETE":
            del self.objects[resource_id]
            return 200, {}
        return 200, {"taken": len((body or {}).get("records", []))}

    def named(self, method: str, path: str) -> list[Any]:
        """Bodies of the calls to one address."""
        return [call[3] for call in self.calls if call[0] == method and call[1] == path]

    def stop(self) -> None:
        """From now on nobody answers, on connections that are open neither."""
        self.stopped = True
        self._server.shutdown()
        self._server.server_close()
