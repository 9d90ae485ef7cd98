"""Events of operators' own products: counted once, refused with a reason, never on behalf of somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from authz import FixedClock, Role, Runtime
from billing.testing.operator import TYPE, Operator, OperatorMaker
from billing.usage import ingest
from billing.usage.cloudevents import BATCH, BATCH_MAX, DATA_BYTES_MAX, SINGLE
from billing.usage.staging import fold_late


async def test_an_event_is_recorded_once_and_told_so(operator: Operator) -> None:
    event = operator.event()
    first, again = await operator.send(event), await operator.send(event)
    assert (first.status_code, first.json()["status"]) == (201, "recorded")
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    (day,) = (await operator.usage())["days"]
    assert (day["rows"], day["calls"], day["bytes"]) == (3, 1, 30)


@pytest.mark.parametrize(
    "change", [{"data": {"rows": 4}}, {"time": "2026-11-22T10:00:00+08:00"}, {"sequence": "7"}], ids=str
)
async def test_other_content_under_the_same_identity_is_refused_by_name(
    operator: Operator, change: dict[str, Any]
) -> None:
    event = operator.event()
    await operator.send(event)
    answer = await operator.send({**event, **change})
    assert (answer.status_code, answer.json()["code"]) == (409, "usage_event_conflict")
    assert event["id"] in answer.json()["detail"]
    assert event["source"] in answer.json()["detail"]
    assert (await operator.usage())["days"][0]["rows"] == 3


async def test_a_time_in_another_zone_is_the_same_time(operator: Operator) -> None:
    event = operator.event()
    await operator.send(event)
    assert (await operator.send({**event, "time": "2026-11-23T10:00:00+08:00"})).json()["status"] == "duplicate"


async def test_each_event_of_a_batch_is_answered_for_itself(operator: Operator) -> None:
    known, fresh, other = operator.event(), operator.event(), operator.event()
    await operator.send(known)
    changed = {**fresh, "data": {"rows": 9}}
    answer = await operator.send(known, fresh, fresh, changed, {**other, "time": "gestern"}, {"id": "x"}, 7, other)
    assert answer.status_code == 207
    found = answer.json()
    assert (found["recorded"], found["duplicates"], found["refused"]) == (2, 2, 4)
    assert [one["status"] for one in found["results"]] == [
        "duplicate", "recorded", "duplicate", "refused", "refused", "refused", "refused", "recorded",
    ]
    assert [one.get("code") for one in found["results"]][3:7] == [
        "usage_event_conflict", "time_malformed", "specversion_unknown", "dict_type",
    ]
    assert (await operator.usage())["days"][0]["rows"] == 9


async def test_binary_mode(operator: Operator) -> None:
    event = operator.event()
    headers = {f"ce-{name}": str(event[name]) for name in ("specversion", "id", "source", "type", "subject", "time")}
    address, body = "/v1/usage/events", {"rows": 3, "calls": 1, "bytes": 30}
    sent = [await operator.client.post(address, json=body, headers={**operator.headers(), **headers}) for _ in "12"]
    assert [one.status_code for one in sent] == [201, 200]
    assert (await operator.send(event)).json()["status"] == "duplicate"


async def test_what_comes_in_is_bounded_and_understood(operator: Operator) -> None:
    good = operator.event()
    faults = {
        "specversion": {"specversion": "0.3"}, "source": {"source": "/data/v1"}, "id": {"id": "a b"},
        "subject": {"subject": ""}, "time": {"time": "2026-11-23T10:00:00"}, "data": {"data": []},
        "data.rows": {"data": {"rows": 1.5}}, "data.calls": {"data": {"calls": -1}}, "partition": {"partition": "x"},
        "sequence": {"sequence": "0"}, "datacontenttype": {"datacontenttype": "text/xml"},
    }
    for field, change in faults.items():
        answer = await operator.send({**good, **change})
        assert answer.status_code == 422, (field, answer.text)
        assert [one["field"] for one in answer.json()["errors"]] == [field]
    for data in ({"x": "a" * DATA_BYTES_MAX}, {"x": "\0"}, {"x": 2**60}, {"x": [[[[[[[[[1]]]]]]]]]}):
        assert (await operator.send({**good, "data": data})).status_code == 422
    kind = {"Content-Type": BATCH, **operator.headers()}
    many = await operator.client.post("/v1/usage/events", json=[1] * (BATCH_MAX + 1), headers=kind)
    assert (many.status_code, many.json()["code"]) == (413, "batch_too_large")
    plain = await operator.client.post("/v1/usage/events", json=good, headers=operator.headers())
    assert (plain.status_code, plain.json()["code"]) == (415, "media_type_unknown")
    broken = {"Content-Type": SINGLE, **operator.headers()}
    assert (await operator.client.post("/v1/usage/events", content=b"{", headers=broken)).status_code == 422
    assert (await operator.usage())["days"] == []


async def test_nobody_reports_on_another_s_grant(
    operator: Operator, make_operator: OperatorMaker, token_for: Callable[..., dict[str, str]],
    give_role: Callable[..., Any],
) -> None:
    other = await make_operator()
    await give_role("exchange-officer", Role.EXCHANGE_OFFICER, "pty_exchange")
    mine = operator.event()
    for event, headers in (
        ({**mine, "subject": other.grant}, operator.headers()),
        ({**mine, "source": other.source}, operator.headers()),
        ({**mine, "source": other.source, "subject": other.grant}, operator.headers()),
        ({**mine, "type": "cn.example.unregistered"}, operator.headers()),
        (mine, other.headers()), (mine, token_for("nobody")), (mine, token_for("exchange-officer")),
    ):
        answer = await operator.send(event, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "usage_not_permitted")
    unsigned = await operator.client.post("/v1/usage/events", json=mine, headers={"Content-Type": SINGLE})
    assert unsigned.status_code == 401
    assert (await operator.send(mine)).status_code == 201


async def test_only_times_within_the_grant_count(operator: Operator, clock: FixedClock) -> None:
    now = clock.now()
    for at, code in ((now + timedelta(hours=1), "time_in_future"), (now - timedelta(days=91), "grant_not_valid_then")):
        answer = await operator.send(operator.event(at=at))
        assert [one["code"] for one in answer.json()["errors"]] == [code]
    assert (await operator.send(operator.event(at=now - timedelta(days=89)))).status_code == 201


async def test_products_are_registered_by_the_holder_for_own_grants(
    operator: Operator, make_operator: OperatorMaker, give_role: Callable[..., Any],
    token_for: Callable[..., dict[str, str]],
) -> None:
    other = await make_operator()
    source = f"{operator.source}/b"
    body = {"party_id": operator.party, "source": source, "title": "乙产品", "types": [TYPE], "grants": []}
    address = "/v1/usage/products"

    async def register(headers: dict[str, str], **change: Any) -> httpx.Response:
        return await operator.client.post(address, json={**body, **change}, headers=headers)

    assert (await register(other.headers())).status_code == 404
    assert (await register(operator.headers(), grants=[other.grant])).status_code == 404
    await give_role("member", Role.ENTERPRISE_MEMBER, operator.party)
    assert (await register(token_for("member"))).status_code == 403
    assert (await register(operator.headers(), types=["cn.govopen.x"])).status_code == 422
    assert (await register(operator.headers(), source=other.source)).json()["code"] == "usage_source_taken"
    made = (await register(operator.headers())).json()
    event = operator.event(source=made["source"])
    assert (await operator.send(event)).status_code == 403
    change = await operator.client.patch(
        f"{address}/{made['id']}", json={"grants": [operator.grant]}, headers=operator.headers()
    )
    assert change.json()["grants"] == [operator.grant]
    assert (await operator.send(event)).status_code == 201
    assert (await operator.client.patch(f"{address}/{made['id']}", json={"retire": True}, headers=other.headers())
            ).status_code == 404
    await operator.client.patch(f"{address}/{made['id']}", json={"retire": True}, headers=operator.headers())
    assert (await operator.send(operator.event(source=made["source"]))).status_code == 403
    listed = (await operator.client.get(address, headers=operator.headers())).json()["items"]
    assert {one["source"] for one in listed} == {operator.source, made["source"]}


async def test_a_key_reports_only_when_it_was_made_for_it_and_only_on_its_grant(
    operator: Operator, pool: asyncpg.Pool
) -> None:
    key = {"Authorization": f"Bearer {operator.key}"}
    refused = await operator.send(operator.event(), headers=key)
    assert (refused.status_code, refused.json()["code"]) == (403, "key_scope")
    await pool.execute("UPDATE licensing.access_key SET scopes = '{report}' WHERE grant_id = $1", operator.grant)
    assert (await operator.send(operator.event(), headers=key)).status_code == 201
    assert (await operator.send(operator.event(subject="gra_other"), headers=key)).status_code == 403
    await pool.execute("UPDATE licensing.access_key SET ip_allow = '{10.0.0.0/8}' WHERE grant_id = $1", operator.grant)
    assert (await operator.send(operator.event(), headers=key)).status_code == 403
    unknown = {"Authorization": f"Bearer {operator.key[:-1]}x"}
    assert (await operator.send(operator.event(), headers=unknown)).status_code == 401


async def test_what_is_missing_of_a_sender_s_numbers_can_be_read(operator: Operator) -> None:
    numbers = [1, 2, 3, 6, 9, 8, 3]
    await operator.send(*(operator.event(sequence=str(number)) for number in numbers))
    await operator.send(operator.event(sequence=12), operator.event())
    answer = await operator.client.get(f"/v1/grants/{operator.grant}/usage/sequences", headers=operator.headers())
    assert answer.json() == {
        "grant_id": operator.grant, "recorded": 9,
        "sources": [{
            "source": operator.source, "highest": 12, "received": 7, "holes": 3, "missing": [[4, 5], [7, 7], [10, 11]],
        }],
    }
    listed = await operator.client.get(f"/v1/usage/events?grant_id={operator.grant}", headers=operator.headers())
    assert sorted(one["recordnumber"] for one in listed.json()["items"]) == list(range(1, 10))
    assert listed.json()["items"][0]["data"] == {"rows": 3, "calls": 1, "bytes": 30}


async def test_many_senders_of_the_same_events_at_once_count_each_once(
    operator: Operator, make_operator: OperatorMaker, pool: asyncpg.Pool
) -> None:
    senders = [operator, await make_operator(), await make_operator()]
    batches = [[one.event(at=one.clock.now() - timedelta(days=day)) for day in range(40)] for one in senders]
    answers = await asyncio.gather(*(
        sender.send(*(events if turn % 2 else reversed(events)))
        for turn in range(6) for sender, events in zip(senders, batches, strict=True)
    ))
    assert [answer.status_code for answer in answers] == [200] * 18
    assert sum(answer.json()["recorded"] for answer in answers) == 120
    async with pool.acquire() as connection, connection.transaction():
        await fold_late(connection)
    for sender in senders:
        row = await pool.fetchrow(
            "SELECT count(*) AS n, sum(rows) AS rows, max(sequence) AS last FROM billing.usage_event"
            " WHERE subject = $1",
            sender.grant,
        )
        days = await pool.fetchval(
            "SELECT sum(rows) FROM billing.usage_counter WHERE grant_id = $1 AND span = 'day'", sender.grant
        )
        assert (row["n"], row["rows"], row["last"], days) == (40, 120, 40, 120)


async def test_the_database_going_away_loses_and_doubles_nothing(
    operator: Operator, runtime: Runtime, pool: asyncpg.Pool
) -> None:
    """Connections are cut while events are sent again until each is answered: each counts exactly once."""
    events = [operator.event() for _ in range(60)]

    async def send(event: dict[str, Any]) -> None:
        while True:
            answer = await operator.send(event)
            if answer.status_code in (200, 201):
                return
            assert answer.status_code >= 500, answer.text

    async def cut() -> None:
        connection = await asyncpg.connect(pool._connect_args[0])
        for _ in range(15):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.05)
        await connection.close()

    await asyncio.gather(cut(), *(send(event) for event in events))
    await asyncio.gather(*(send(event) for event in events))
    (day,) = (await operator.usage())["days"]
    assert (day["calls"], day["rows"]) == (60, 180)


@pytest.mark.parametrize("code", ["58030", "XX000"], ids=["a file cannot be read", "something inside"])
async def test_what_a_dying_server_says_once_is_tried_again(operator: Operator, pool: asyncpg.Pool, code: str) -> None:
    await pool.execute(
        f"""
        CREATE SEQUENCE billing.said;
        CREATE FUNCTION billing.say() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('billing.said') = 1 THEN RAISE EXCEPTION 'dying' USING ERRCODE = '{code}'; END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER dying AFTER INSERT ON billing.usage_event FOR EACH STATEMENT EXECUTE FUNCTION billing.say();
        """
    )
    try:
        answer = await operator.send(operator.event())
        assert await pool.fetchval("SELECT last_value FROM billing.said") == 2
    finally:
        await pool.execute("DROP FUNCTION billing.say CASCADE; DROP SEQUENCE billing.said")
    assert (answer.status_code, answer.json()["status"]) == (201, "recorded")


async def test_what_goes_wrong_inside_at_every_attempt_harms_no_neighbor(
    operator: Operator, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "RETRY_AFTER_S", 0.01)
    bad, good = operator.event(), [operator.event() for _ in range(5)]
    await pool.execute(
        f"""
        CREATE FUNCTION billing.say() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.id = '{bad["id"]}' THEN RAISE EXCEPTION 'wrong inside' USING ERRCODE = 'XX000'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER wrong BEFORE INSERT ON billing.usage_event FOR EACH ROW EXECUTE FUNCTION billing.say();
        """
    )
    try:
        answers = await asyncio.gather(*(operator.send(one) for one in (*good[:2], bad, *good[2:])))
    finally:
        await pool.execute("DROP FUNCTION billing.say CASCADE")
    assert [one.status_code for one in answers] == [201, 201, 500, 201, 201, 201]
    assert (await operator.send(bad)).status_code == 201


async def test_evidence_names_who_reported_how_much(operator: Operator, pool: asyncpg.Pool) -> None:
    await operator.send(operator.event(), operator.event())
    leaf = await pool.fetchval("SELECT leaf FROM audit.entry WHERE action = 'usage.reported' ORDER BY id DESC LIMIT 1")
    assert '"events":2' in leaf
    assert operator.grant in leaf
