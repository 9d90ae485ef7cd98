"""Whether a part answers. Each probe returns quickly and never raises."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Callable

Probe = Callable[[], bool]
PROBE_TIMEOUT_S = 8.0


def http_ok(port: int, path: str) -> Probe:
    """A GET that is answered with anything below 400."""

    def probe() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_TIMEOUT_S)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            return connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe


def redis_ok(port: int, password: str) -> Probe:
    def probe() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=PROBE_TIMEOUT_S) as wire:
                wire.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                answer = b""
                while b"PONG" not in answer:
                    received = wire.recv(256)
                    answer += received
                    if not received or b"-" in answer:  # an error, such as -LOADING
                        return False
                return True
        except OSError:
            return False

    return probe


def postgres_ok(port: int, role: str) -> Probe:
    """Whether the server is asked for a password, as ``pg_isready`` has it; while it starts or recovers it refuses."""
    words = b"user\0" + role.encode() + b"\0database\0" + role.encode() + b"\0\0"
    greeting = struct.pack("!II", len(words) + 8, 3 << 16) + words

    def probe() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=PROBE_TIMEOUT_S) as wire:
                wire.sendall(greeting)
                return wire.recv(4096)[:1] == b"R"  # read whole, or closing would be a reset, which the server logs
        except OSError:
            return False

    return probe


def listens(port: int) -> Probe:
    def probe() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PROBE_TIMEOUT_S).close()
        except OSError:
            return False
        return True

    return probe
