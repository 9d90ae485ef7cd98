"""The service is killed at random instants, also while it is rebuilt: everything acknowledged is there, and whole."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.search.testing import SITE, Service, dataset

HERE = Path(__file__).parent
KILLS = int(os.environ.get("GOVOPEN_SEARCH_KILLS", "6"))
WRITERS, NAMES, STILL = 3, 8, 40


class Builder(threading.Thread):
    """Rebuilds again and again from the file that the writers take for CKAN's database."""

    def __init__(self, service: Service, database: Path) -> None:
        super().__init__(daemon=True)
        self.service = service
        self.database = database
        self.stop = threading.Event()
        self.finished = self.resumed = 0

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self._rebuild()
            except (OSError, AssertionError):
                time.sleep(0.05)

    def _post(self, query: str, content: Any) -> dict[str, Any]:
        status, text = self.service.get(f"/rebuild?{query}", json.dumps(content).encode())
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def _state(self) -> dict[str, Any]:
        status, text = self.service.get("/rebuild")
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def wait_for(self, changes: int) -> None:
        """Until so many changes were made, or the service is too slow for them."""
        deadline = time.monotonic() + 20
        before: int | None = None
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, AssertionError):
                now = int(self._state()["sequence"])
                before = min(now, before if before is not None else now)
                if now - before >= changes:
                    return
            time.sleep(0.02)

    def _rebuild(self) -> None:
        names = [f"still-{n}" for n in range(STILL)] + [f"w{w}-{n}" for w in range(WRITERS) for n in range(NAMES)]
        rebuild = self._state()["rebuild"]
        if rebuild is None:
            ranges = [names[at : at + 8] for at in range(0, len(names), 8)]
            rebuild = self._post("action=start", {"ranges": ranges, "datasets": len(names)})["rebuild"]
        elif rebuild["done"]:
            self.resumed += 1
        for number, chosen in enumerate(rebuild["ranges"]):
            if number not in rebuild["done"] and not self.stop.is_set():
                since = self._state()["sequence"]
                documents = [revision(name, title) for name, title in self._rows() if name in chosen]
                time.sleep(0.02)
                self._post(f"action=add&range={number}&since={since}", {"documents": documents})
        if not self.stop.is_set():
            since = self._state()["sequence"]
            alive = [dataset(name)["index_id"] for name, _ in self._rows()]
            self._post(f"action=finish&since={since}", {"site_id": SITE, "alive": alive})
            self.finished += 1

    def _rows(self) -> list[tuple[str, str]]:
        with sqlite3.connect(self.database, timeout=60) as connection:
            found = connection.execute("SELECT name, title FROM packages WHERE title IS NOT NULL").fetchall()
        connection.close()
        return found


def revision(name: str, title: str) -> dict[str, Any]:
    text = json.dumps({"title": title, "filling": "x" * 600})
    return dataset(name, title=title, tags=[title], data_dict=text, validated_data_dict=text)


class Writer(subprocess.Popen[bytes]):
    """One of ``kill_writer.py``; ends by itself when it sees something wrong."""

    def __init__(self, number: int, url: str, database: Path, folder: Path) -> None:
        self._report = folder / f"w{number}"
        names = ",".join(f"w{number}-{n}" for n in range(NAMES))
        command = [sys.executable, str(HERE / "kill_writer.py"), url, str(database), names, str(number)]
        super().__init__([*command, str(self._report)], cwd=HERE.parents[1])

    @property
    def report(self) -> str:
        return self._report.read_text(encoding="utf-8") if self._report.exists() else "no report"

    def finish(self) -> int:
        self._report.with_suffix(".stop").touch()
        return self.wait(300)


@contextlib.contextmanager
def writing(service: Service, database: Path, folder: Path) -> Iterator[list[Writer]]:
    """Writers at work; neither they nor the service outlive a failure."""
    url = service.url.replace("//", f"//ckan:{service.password}@")
    writers = [Writer(number, url, database, folder) for number in range(WRITERS)]
    try:
        yield writers
    except BaseException:
        service.stop(signal.SIGKILL)
        raise
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()


def test_what_was_acknowledged_survives_any_kill(tmp_path: Path) -> None:
    chance = random.Random(20261123)
    service, database = Service(tmp_path / "home"), tmp_path / "ckan.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE packages (name TEXT PRIMARY KEY, title TEXT)")
        still = [(f"still-{n}", f"still-{n}") for n in range(STILL)]
        connection.executemany("INSERT INTO packages VALUES (?, ?)", still)
    connection.close()
    service.start()
    service.solr().add([revision(f"still-{n}", f"still-{n}") for n in range(STILL)], commit=True)
    with writing(service, database, tmp_path) as writers:
        builder = Builder(service, database)
        builder.start()
        try:
            for _ in range(KILLS):
                builder.wait_for(chance.randrange(60))
                time.sleep(chance.uniform(0, 0.2))
                service.stop(signal.SIGKILL)
                service.start()
                assert [writer.report for writer in writers if writer.poll() is not None] == []
                assert builder.is_alive()
        finally:
            builder.stop.set()
        builder.join(120)
        codes = [writer.finish() for writer in writers]
    reports = [json.loads(writer.report) for writer in writers]
    total = {name: sum(report[name] for report in reports) for name in ("acknowledged", "refused", "looks")}
    print(f"{KILLS} kills, {total}, {builder.finished} rebuilds finished, {builder.resumed} times one went on")
    assert [report["wrong"] for report in reports] == [[]] * WRITERS
    assert codes == [0] * WRITERS
    found = {one["name"]: one["title"] for one in service.solr().search(q="name:still-*", rows=100, fl="name title")}
    assert found == {f"still-{n}": f"still-{n}" for n in range(STILL)}
    assert service.stop() in (0, -signal.SIGTERM)
