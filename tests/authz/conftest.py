"""A real OPA server for the tests that compare engines; they say so when there is none."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest


@pytest.fixture(scope="session")
def opa_binary() -> str:
    """The ``opa`` program named by GOVOPEN_TEST_OPA or found on the path."""
    found = os.environ.get("GOVOPEN_TEST_OPA") or shutil.which("opa")
    if found is None:
        print("did not run: no OPA; put opa on the path or name it in GOVOPEN_TEST_OPA")
        pytest.skip("no OPA: put opa on the path or name it in GOVOPEN_TEST_OPA")
    return found


@pytest.fixture(scope="session")
def opa_url(opa_binary: str) -> Iterator[str]:
    """An OPA server on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [opa_binary, "run", "--server", "--addr", f"127.0.0.1:{port}", "--log-level", "error"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                break
        except httpx.HTTPError:
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait(10)
