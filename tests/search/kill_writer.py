"""A process as CKAN's workers are: it writes to its database, then to the index, and now and then looks what is there.

    python kill_writer.py URL DATABASE NAMES SEED REPORT

The database is a file that the rebuild reads from. The index is killed under it all the time: a write that was not
acknowledged may be there or not, everything else must be, whole. REPORT gets one line of counts; exit code 1 when
something was wrong.
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import pysolr

from ops.search.testing import dataset

PARTS = "name,title,tags,data_dict,validated_data_dict"


class Writer:
    def __init__(self, url: str, database: Path, names: list[str], seed: int) -> None:
        self.solr = pysolr.Solr(url, timeout=60)
        self.database = sqlite3.connect(database, isolation_level=None, timeout=60)
        self.database.execute("PRAGMA synchronous=OFF")
        self.names = names
        self.dice = random.Random(seed)
        self.allowed: dict[str, set[str | None]] = {name: {None} for name in names}
        self.step = self.acknowledged = self.refused = self.looks = 0
        self.wrong: list[str] = []

    def write(self) -> None:
        self.step += 1
        name = self.dice.choice(self.names)
        title = f"{name}-r{self.step}" if self.dice.random() < 0.75 else None
        commit = self.dice.random() < 0.5
        self.database.execute("INSERT OR REPLACE INTO packages VALUES (?, ?)", (name, title))
        self.allowed[name].add(title)
        try:
            if title is None:
                self.solr.delete(q=f'+entity_type:package AND +(id:"id-{name}" OR name:"{name}")', commit=commit)
            else:
                self.solr.add([revision(name, title)], commit=commit)
        except (pysolr.SolrError, OSError):
            self.refused += 1
            time.sleep(0.05)
            return
        self.acknowledged += 1
        self.allowed[name] = {title}

    def look(self) -> None:
        """Every document of ours is one that we wrote, and all of its parts are of one writing."""
        chosen = " OR ".join(f'"{name}"' for name in self.names)
        try:
            self.solr.commit()
            found = self.solr.search(q=f"name:({chosen})", rows=1000, fl=PARTS)
        except (pysolr.SolrError, OSError):
            time.sleep(0.05)
            return
        self.looks += 1
        seen: dict[str, str | None] = {}
        for document in found.docs:
            name, title = document["name"], document["title"]
            if name in seen:
                self.wrong.append(f"{name} twice")
            seen[name] = title
            parts = {
                document["tags"][0], json.loads(document["data_dict"])["title"],
                json.loads(document["validated_data_dict"])["title"],
            }
            if parts != {title}:
                self.wrong.append(f"{name} is of several writings: {title} {parts}")
        for name in self.names:
            if seen.get(name) not in self.allowed[name]:
                self.wrong.append(f"{name} is {seen.get(name)}, not of {sorted(map(str, self.allowed[name]))[:5]}")


def revision(name: str, title: str) -> dict[str, Any]:
    """A document that says in every part of which writing it is."""
    text = json.dumps({"title": title, "filling": "x" * 600})
    return dataset(name, title=title, tags=[title], data_dict=text, validated_data_dict=text)


def main(url: str, database: str, names: str, seed: str, report: str) -> int:
    writer = Writer(url, Path(database), names.split(","), int(seed))
    stop = Path(report).with_suffix(".stop")
    while not stop.exists() and not writer.wrong:
        for _ in range(writer.dice.randrange(1, 12)):
            writer.write()
        writer.look()
    while not writer.wrong and writer.looks >= 0:
        before = writer.looks
        writer.look()
        if writer.looks > before:
            break
    counts = {"acknowledged": writer.acknowledged, "refused": writer.refused, "looks": writer.looks}
    Path(report).write_text(json.dumps({**counts, "wrong": writer.wrong[:5]}), encoding="utf-8")
    return int(bool(writer.wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
