"""Pages while the table changes: what is there throughout comes exactly once, whatever is added or taken away."""

from __future__ import annotations

import asyncio
import random

import asyncpg
import httpx
import pytest

from authz import DataObject, Runtime, new_id
from ops import testing
from ops.testing import Granted

FIELDS = [
    {"name": "code", "title": "代码", "type": "integer"}, {"name": "even", "title": "偶数", "type": "boolean"},
]
SQL = {"code": "bigint", "even": "boolean"}
START = 120


@pytest.fixture
async def data(runtime: Runtime) -> DataObject:
    rows = [(number, number % 2 == 0) for number in range(START)]
    return await testing.load_restricted(runtime, testing.data_object(new_id("res"), FIELDS), SQL, rows)


async def change(pool: asyncpg.Pool, table: str, seeded: random.Random, added: list[int]) -> None:
    """A few rows in, a few rows out, a few rows changed; those with a code that 5 divides are left alone."""
    for _ in range(seeded.randrange(4)):
        match seeded.randrange(3):
            case 0:
                added.append(START + len(added))
                await pool.execute(f"INSERT INTO {table} (code, even) VALUES ($1, $2)", added[-1], added[-1] % 2 == 0)
            case 1:
                await pool.execute(
                    f"DELETE FROM {table} WHERE code = $1 AND code % 5 <> 0", seeded.randrange(START + len(added))
                )
            case 2:
                await pool.execute(
                    f"UPDATE {table} SET even = even WHERE code = $1", seeded.randrange(START + len(added))
                )


@pytest.mark.parametrize("seed", range(6))
async def test_rows_that_are_there_throughout_come_once(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool, seed: int
) -> None:
    seeded = random.Random(seed)
    granted = await testing.issue_grant(runtime, data, ["code", "even"])
    assert data.location is not None
    table = f'restricted."{data.location["table"]}"'
    added: list[int] = []
    filters = seeded.choice([{}, {"filter[even]": "true"}, {"filter[code][lte]": "99"}])
    seen = await read_all(client, data, granted, pool, table, seeded, added, filters)
    assert len(seen) == len(set(seen)), "nothing comes twice"
    steady = [number for number in range(0, START, 5) if wanted(number, filters)]
    assert set(steady) <= set(seen), "nothing that was there throughout is passed over"
    assert all(wanted(number, filters) for number in seen)


def wanted(number: int, filters: dict[str, str]) -> bool:
    return not ("filter[even]" in filters and number % 2) and not ("filter[code][lte]" in filters and number > 99)


async def read_all(
    client: httpx.AsyncClient, data: DataObject, granted: Granted, pool: asyncpg.Pool, table: str,
    seeded: random.Random, added: list[int], filters: dict[str, str],
) -> list[int]:
    seen: list[int] = []
    cursor: str | None = None
    while True:
        params = {**filters, "limit": str(seeded.randrange(1, 40)), **({"cursor": cursor} if cursor else {})}
        answer = await client.get(f"/data/v1/{data.resource_id}/rows", params=params, headers=granted.headers)
        assert answer.status_code == 200, answer.text
        seen += [one["code"] for one in answer.json()["items"]]
        cursor = answer.json()["next"]
        if cursor is None:
            return seen
        await change(pool, table, seeded, added)


async def test_many_readers_of_one_key_do_not_disturb_one_another(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    """All of them share what is remembered of the key; each gets what it asked for."""
    granted = await testing.issue_grant(runtime, data, ["code", "even"])

    async def ask(number: int) -> None:
        params = {"filter[code][gte]": str(number), "limit": "1", "columns": "code" if number % 3 else "code,even"}
        answer = await client.get(f"/data/v1/{data.resource_id}/rows", params=params, headers=granted.headers)
        (item,) = answer.json()["items"]
        assert item["code"] == number
        assert ("even" in item) == (number % 3 == 0)

    async def disturb() -> None:
        for _ in range(10):
            await pool.execute("UPDATE licensing.access_grant SET version = version + 1 WHERE id = $1", granted.id)
            await asyncio.sleep(0)

    await asyncio.gather(disturb(), *(ask(number) for number in range(100)))
