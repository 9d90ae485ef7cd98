"""Throwaway stacks for tests, benchmarks and the demo."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.stack.control import Stack, down, up
from ops.stack.home import Home, is_free

TEST_PORTS = range(18000, 20000)


def free_port() -> int:
    """A port nobody listens at, outside the range outgoing connections use."""
    while True:
        port = secrets.choice(TEST_PORTS)
        if is_free(port):
            return port


@contextmanager
def running_stack(
    home: str | Path | None = None, port: int | None = None, env: dict[str, str] | None = None,
    ckan_settings: dict[str, str] | None = None,
) -> Iterator[Stack]:
    """A stack that answers, ended afterwards; without ``home`` its folder is a temporary one and goes with it.

    ``env`` adds to the environment (for example ``{"GOVOPEN_DEMO": "1"}``); ``ckan_settings`` are lines of
    CKAN's ini. Gives ``stack.site_url``, ``stack.ports``, ``stack.home.secret(name)`` and ``stack.ckan(...)``.
    """
    folder = Path(home) if home else Path(tempfile.mkdtemp(prefix="govopen-"))
    place = Home.at(folder)
    if ckan_settings:
        place.path.mkdir(parents=True, exist_ok=True)
        lines = [f"{key} = {value}" for key, value in ckan_settings.items()]
        place.ckan_local_ini.write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {"GOVOPEN_SITE_URL": "", **(env or {})}
    try:
        yield up(place, port or free_port(), env=settings, attached=True)
    finally:
        down(place)
        if home is None:
            shutil.rmtree(folder, ignore_errors=True)
