"""What can still be read of a damaged store."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ops.search.store import Row, Store


def salvage(damaged: Path, into: Store, chunk: int = 200) -> int:
    """Copy what can be read of a damaged store; how many documents that were."""
    kept = after = 0
    try:
        old = sqlite3.connect(damaged, isolation_level=None)
        upto = int(old.execute("SELECT max(seq) FROM docs").fetchone()[0] or 0)
    except sqlite3.DatabaseError:
        return 0
    columns = "seq, index_id, head, data_dict, validated_data_dict"
    while after < upto:
        for first, last in ((after, after + chunk), *((one, one + 1) for one in range(after, after + chunk))):
            try:
                rows = old.execute(
                    f"SELECT {columns} FROM docs WHERE seq > ? AND seq <= ? AND ended IS NULL", (first, last)
                ).fetchall()
            except sqlite3.DatabaseError:
                continue
            into.begin()
            for seq, index_id, head, data, validated in rows:
                into.put(seq, Row(index_id, head, (data, validated)))
            into.commit()
            kept += len(rows)
            if last - first == chunk:
                break
        after += chunk
    old.close()
    return kept
