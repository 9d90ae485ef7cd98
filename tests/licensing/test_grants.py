"""Grants and keys: issued once, shown once, revoked at once and announced."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from authz import FixedClock, beijing_date
from licensing import grants
from licensing.errors import KeyInvalid
from licensing.jobs import expire_applications, expire_grants
from licensing.testing import City


async def new_key(city: City, grant_id: str, who: str = "chen", label: str = "生产") -> dict[str, str]:
    answer = await city.post(who, f"/v1/grants/{grant_id}/keys", label=label)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return dict(answer.json())


async def opened(city: City, key: str) -> grants.Grant:
    async with city.runtime.snapshot() as tx:
        return await grants.by_key(tx, key, city.runtime.clock.now())


async def test_a_key_opens_its_grant_and_is_kept_as_a_hash(city: City) -> None:
    grant_id = (await city.granted())["grant_id"]
    made = await new_key(city, grant_id)
    assert made["key"].startswith(made["prefix"] + "_")
    grant = await opened(city, made["key"])
    assert (grant.id, grant.key.id) == (grant_id, made["id"])
    rows = await city.runtime.pool.fetch("SELECT k::text AS row FROM licensing.access_key k")
    assert all(made["key"].rsplit("_", 1)[1] not in row["row"] for row in rows)
    listed = (await city.get("chen", f"/v1/grants/{grant_id}/keys")).json()["items"]
    assert "key" not in listed[0]
    async with city.runtime.transaction() as tx:
        await grants.note_use(tx, grant, city.runtime.clock.now())
    listed = (await city.get("chen", f"/v1/grants/{grant_id}/keys")).json()["items"]
    assert listed[0]["last_used_on"] == beijing_date(city.runtime.clock.now()).isoformat()


async def test_wrong_keys_are_refused_alike(city: City) -> None:
    made = await new_key(city, (await city.granted())["grant_id"])
    prefix, secret = made["key"].rsplit("_", 1)
    other = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    for wrong in ("", "gok_", f"{prefix}_{other}", f"gok_{'0' * 12}_{secret}", made["key"] + "x", "gok_é_" + secret,
                  made["key"].upper(), made["key"] + "\n", "gok_\x00"):
        with pytest.raises(KeyInvalid):
            await opened(city, wrong)


async def test_a_revoked_key_stops_and_a_rotated_one_overlaps(city: City, clock: FixedClock) -> None:
    grant_id = (await city.granted())["grant_id"]
    old = await new_key(city, grant_id)
    turned = await city.post("chen", f"/v1/grants/{grant_id}/keys/{old['id']}/rotate", overlap_hours=24)
    new = turned.json()
    assert (await opened(city, old["key"])).id == (await opened(city, new["key"])).id
    clock.advance(hours=25)
    with pytest.raises(KeyInvalid):
        await opened(city, old["key"])
    gone = await city.client.delete(f"/v1/grants/{grant_id}/keys/{new['id']}", headers=city.as_("chen"))
    assert gone.json()["state"] == "revoked"
    with pytest.raises(KeyInvalid):
        await opened(city, new["key"])


async def test_a_rotated_key_ends_when_the_old_one_was_to_end(city: City, clock: FixedClock) -> None:
    grant_id = (await city.granted())["grant_id"]
    path = f"/v1/grants/{grant_id}/keys"
    day = (clock.now() + timedelta(days=10)).date().isoformat()
    old = (await city.post("chen", path, label="k", expires_on=day)).json()
    new = (await city.post("chen", f"{path}/{old['id']}/rotate", overlap_hours=24)).json()
    assert new["expires_at"] == old["expires_at"] is not None
    clock.advance(days=12)
    with pytest.raises(KeyInvalid):
        await opened(city, new["key"])


async def test_keys_are_bounded_even_when_asked_for_at_once(city: City) -> None:
    grant_id = (await city.granted())["grant_id"]
    answers = await asyncio.gather(*(
        city.post("chen", f"/v1/grants/{grant_id}/keys", label=f"k{n}") for n in range(8)
    ))
    assert sorted(one.status_code for one in answers) == [201] * 5 + [409] * 3


async def test_revocation_is_announced_and_holds_at_once(city: City) -> None:
    done = await city.granted()
    key = (await new_key(city, done["grant_id"]))["key"]
    heard: list[str] = []
    listener = await asyncpg.connect(city.runtime.settings.database_url)
    await listener.add_listener("govopen_grant", lambda *message: heard.append(message[-1]))
    silent = await city.post("li", f"/v1/grants/{done['grant_id']}/events", event="revoke", version=1)
    assert silent.status_code == 422
    revoked = await city.post(
        "li", f"/v1/grants/{done['grant_id']}/events", event="revoke", version=1, reason="超出约定用途"
    )
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    for _ in range(50):
        if heard:
            break
        await asyncio.sleep(0.02)
    await listener.close()
    assert heard == [done["grant_id"]]
    assert (await opened(city, key)).facts().state == "revoked"
    again = await city.post(
        "li", f"/v1/grants/{done['grant_id']}/events", event="resume", version=2, reason="恢复使用"
    )
    assert (again.status_code, again.json()["code"]) == (409, "transition_refused")
    new = await city.post("chen", f"/v1/grants/{done['grant_id']}/keys", label="新")
    assert (new.status_code, new.json()["code"]) == (409, "grant_not_active")
    history = (await city.get("chen", f"/v1/grants/{done['grant_id']}")).json()["history"]
    assert (history[0]["reason"], "行政复议" in history[0]["remedy"]["zh"]) == ("超出约定用途", True)


async def test_suspended_grants_resume_and_terminated_agreements_revoke(city: City) -> None:
    done = await city.granted()
    path = f"/v1/grants/{done['grant_id']}/events"
    await city.post("wang", path, event="suspend", version=1, reason="安全检查")
    resumed = await city.post("wang", path, event="resume", version=2, reason="检查完毕")
    assert resumed.json()["state"] == "active"
    ended = await city.post(
        "zhao", f"/v1/agreements/{done['agreement_id']}/events", event="terminate", version=3, reason="双方协商一致"
    )
    assert ended.json()["state"] == "terminated"
    grant = (await city.get("chen", f"/v1/grants/{done['grant_id']}")).json()
    assert (grant["state"], grant["state_reason"]) == ("revoked", "协议终止：双方协商一致")


async def test_a_suspended_party_suspends_its_grants(city: City) -> None:
    done = await city.granted()
    key = (await new_key(city, done["grant_id"]))["key"]
    await city.post(
        "wang", f"/v1/parties/{done['party']['id']}/verify", verdict="suspend", version=2, reason="资质过期"
    )
    assert (await opened(city, key)).facts().state == "suspended"


async def test_the_worker_expires_grants_and_their_agreements(city: City, clock: FixedClock) -> None:
    done = await city.granted(term_months=1)
    grant = (await city.get("chen", f"/v1/grants/{done['grant_id']}")).json()
    assert grant["valid_until"] == "2026-12-22T16:00:00+00:00"
    clock.advance(days=29)
    await expire_grants(city.runtime)
    assert (await city.get("chen", f"/v1/grants/{done['grant_id']}")).json()["state"] == "active"
    clock.advance(days=1)
    await expire_grants(city.runtime)
    await expire_applications(city.runtime)
    assert (await city.get("chen", f"/v1/grants/{done['grant_id']}")).json()["state"] == "expired"
    agreement = (await city.get("chen", f"/v1/agreements/{done['agreement_id']}")).json()
    assert agreement["state"] == "expired"


async def test_exhausted_grants_are_replenished(city: City) -> None:
    from licensing.testing import a_call

    done = await city.granted()
    call = a_call("meter", city.runtime.clock.now())
    async with city.runtime.transaction() as tx:
        spent = await grants.exhaust(tx, call, done["grant_id"], audit=city.runtime.audit)
        assert spent.facts().state == "exhausted"
        again = await grants.replenish(tx, call, done["grant_id"], audit=city.runtime.audit)
    assert again.facts().state == "active"
