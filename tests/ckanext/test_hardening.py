"""Ways around the scanner, the search, the file routes and the names of accounts, each of them closed."""

from __future__ import annotations

import io
import json
import random
import time
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
from ckan import model
from ckanext.activity.model import Activity
from ckanext.govopen import scanning
from ckanext.govopen.indexing import Indexing
from ckanext.govopen.testing import ServiceDouble, dataset_dict
from werkzeug.datastructures import FileStorage

from authz.gate.scanner import PERSONAL_KINDS, scan

CHECK = "/v1/data-objects/check"
ID, PHONE, CARD = "11010519491231002X", "13800138000", "6222021234567890128"
LINK = [{"name": "表", "url": "http://data.gov.cn/a.csv"}]
CONDITIONS = {"open_attribute": "conditional", "open_mode": "a", "use_requirements": "b", "security_measures": "c"}


def personal(rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {one for one in scan(rows).counts if one[1] in PERSONAL_KINDS}


def shown(service: ServiceDouble) -> list[dict[str, Any]]:
    return [row for body in service.named("POST", CHECK) for row in body["sample"]]


@pytest.fixture
def table(act: Any, people: Any, service: ServiceDouble) -> str:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], resources=LINK))
    service.calls.clear()
    return str(made["resources"][0]["id"])


def test_terms_counted_zero_times_are_never_listed(act: Any, people: Any) -> None:
    hidden = act("editor", "package_create", **dataset_dict(
        people["org"]["id"], private=True, tags=[{"name": "secret-tag"}]))
    for given in ({"facet.mincount": 0}, {}):
        for field in ("tags", "{!facet.mincount=0}tags"):
            found = act(None, "package_search", **{"facet.field": [field], "facet.limit": -1, "rows": 0, **given})
            assert "secret-tag" not in json.dumps(found)
    for least in ("x", -1, None, "0"):
        assert Indexing().before_dataset_search({"facet.mincount": least})["facet.mincount"] == 1
    assert "secret-tag" in json.dumps(act("editor", "package_show", id=hidden["id"]))


@pytest.mark.parametrize("key", ["resource_id", "id"])
@pytest.mark.parametrize("row", [
    {"name": PHONE}, {"name": "字" * 5000 + PHONE}, {"name": {"a": [f"+86 {PHONE}"]}}, {"n": int(PHONE)}])
def test_every_row_and_whole_cells_are_shown(
    act: Any, service: ServiceDouble, table: str, key: str, row: dict[str, Any]
) -> None:
    rows = [{"name": f"{n:012}"} for n in range(3000)]
    rows[2345] = row
    with pytest.raises(tk.ValidationError):
        act("outsider", "datastore_create", **{key: "nothing-here"}, records=rows, force=True)
    service.refusals[f"POST {CHECK}"] = (200, {"effect": "deny", "reasons": []})
    with pytest.raises(tk.ValidationError):
        act("editor", "datastore_create", **{key: table}, records=rows, force=True)
    service.refusals.clear()
    act("editor", "datastore_create", **{key: table}, force=True,
        fields=[{"id": "name", "type": "text"}], records=[{"name": "甲"}])
    service.calls.clear()
    with pytest.raises((tk.ValidationError, tk.ObjectNotFound)):
        act("editor", "datastore_create", **{key: table}, records=[*rows, "no row"], force=True)
    assert {kind for _, kind in personal(shown(service))} == {"phone"}
    assert len(shown(service)) <= 1001


def test_rows_of_a_private_dataset_are_shown(act: Any, people: Any, service: ServiceDouble) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], private=True, resources=LINK))
    act("editor", "datastore_create", resource_id=made["resources"][0]["id"], records=[{"p": PHONE}], force=True,
        fields=[{"id": "p", "type": "text"}])
    assert personal(shown(service)) == {("p", "phone")}


def test_a_table_is_not_made_with_its_rows_at_once(act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    with pytest.raises(tk.ValidationError) as caught:
        act("editor", "datastore_create", resource={"package_id": made["id"]}, records=[{"p": PHONE}])
    assert caught.value.error_dict["resource"]


def test_the_rows_own_numbers_are_told(act: Any, service: ServiceDouble, table: str) -> None:
    take = service.take

    def scanned(method: str, path: str, headers: dict[str, str], body: Any) -> Any:
        answer = take(method, path, headers, body)
        found = scan(body["sample"]) if path == CHECK else None
        if found is None or not found.findings:
            return answer
        return 200, {"effect": "deny", "reasons": [{"detail": "手机"}],
                     "findings": [one.as_document() for one in found.findings]}

    service.take = scanned  # type: ignore[method-assign]
    rows = [{"name": f"{n:012}"} for n in range(3000)]
    rows[2344] = {"name": PHONE}
    with pytest.raises(tk.ValidationError) as caught:
        act("editor", "datastore_upsert", resource_id=table, records=rows, force=True)
    assert any("2345" in sentence for sentence in caught.value.error_dict["publish_gate"])


def test_what_is_sent_tells_the_scanner_as_much_as_all_rows(migrated: None) -> None:
    """Random texts around true and false numbers: what is sent gives the findings of all rows."""
    draw = random.Random(7)
    parts = [ID, PHONE, CARD, "１３８００１３８０００", "138-0013-8000", "6222 0212 3456 7890 128", "330106001000", "x",
             ".", " ", "-", "+86 ", "8", "甲", "110105 19491231 002X", "4111111111111111",
             "370101199001011234", "31.29"]
    for _ in range(1500):
        cell = "".join(draw.choices(parts, k=draw.randint(1, 6))) + "字" * draw.choice([0, 0, 300])
        rows = [{"a": "1"}] * 500 + [{"a": cell}]
        sent = [row for sample, _ in scanning.chunks(rows) for row in sample]
        assert personal(sent) == personal(rows), cell


def test_bodies_stay_small_and_a_page_of_open_data_is_quick(migrated: None) -> None:
    page = [{"code": f"{320000000000 + n}", "name": f"某某街道第{n}社区居民委员会", "lon": 120.123456789012 + n,
             "lat": 31.1, "on": "2026-01-05 12:30:00", "level": 5, "parent": f"{320000000 + n}", "kind": "社区"}
            for n in range(40_000)]
    began = time.perf_counter()
    sent = list(scanning.chunks(page))
    spent = time.perf_counter() - began
    print(f"40,000 rows looked through in {spent:.2f} s")
    assert [len(sample) for sample, _ in sent] == [500]
    assert spent < 1.5
    wide = [{f"c{m}": f"{PHONE} {'字' * 180}" for m in range(100)} for _ in range(300)]
    sizes = [len(json.dumps(sample)) for sample, _ in scanning.chunks(wide, 100_000)]
    assert max(sizes) < 880_000
    assert len(sizes) > 10


@pytest.mark.parametrize(("name", "content", "format"), [
    ("a.xlsx", b"PK\x03\x04", ""), ("a.xls", b"\xd0\xcf\x11\xe0", ""), ("a.ods", b"PK\x03\x04", ""),
    ("a.zip", b"PK\x03\x04", ""), ("a.csv.gz", b"\x1f\x8b\x08", ""), ("a.parquet", b"PAR1", ""),
    ("a.csv", b"PK\x03\x04", ""), ("a.csv", b"a\x00b\x01", ""), ("data", b"a\x00b", "CSV"), ("a.bin", b"\x1f\x8b", "")])
def test_tables_that_the_scanner_cannot_read_are_refused(
    act: Any, people: Any, name: str, content: bytes, format: str
) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    with pytest.raises(tk.ValidationError) as caught:
        act("editor", "resource_create", package_id=made["id"], name="a", url=name, format=format,
            upload=FileStorage(io.BytesIO(content), name))
    assert "CSV" in caught.value.error_dict["upload"][0]
    model.Session.remove()
    assert act(None, "package_show", id=made["id"])["resources"] == []


@pytest.mark.parametrize(("name", "content"), [
    ("a.pdf", b"%PDF-1.7\n\x00"), ("a.png", b"\x89PNG\r\n\x1a\n\x00"), ("a.docx", b"PK\x03\x04"),
    ("a.txt", "文".encode())])
def test_documents_and_pictures_are_taken_and_only_ever_saved(
    app: Any, act: Any, people: Any, name: str, content: bytes
) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    one = act("editor", "resource_create", package_id=made["id"], name="a", url=name,
              upload=FileStorage(io.BytesIO(content), name))
    answer = app.get(f"/dataset/{made['name']}/resource/{one['id']}/download/{name}")
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_script_in_a_file_never_runs_here(app: Any, act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    for name in ("x.html", "x.svg"):
        one = act("editor", "resource_create", package_id=made["id"], name="x", url=name,
                  upload=FileStorage(io.BytesIO(b"<script>alert(1)</script>"), name))
        for tail in ("", f"/{name}"):
            answer = app.get(f"/dataset/{made['name']}/resource/{one['id']}/download{tail}")
            assert answer.status_code == 200
            assert answer.headers["Content-Disposition"].startswith("attachment")
            assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["ckan-system", "system", " System "])
def test_names_of_the_platform_are_no_accounts(act: Any, people: Any, name: str) -> None:
    account = {"email": "a@example.gov.cn", "password": "correct-horse-1"}
    with pytest.raises(tk.ValidationError) as caught:
        act("sysadmin", "user_create", name=name, **account)
    assert caught.value.error_dict["name"]
    with pytest.raises(tk.ValidationError):
        act("sysadmin", "user_create", id=name, name="somebody-else", **account)
    for action in ("user_update", "user_patch", "user_invite"):
        with pytest.raises(tk.ValidationError):
            act("sysadmin", action, id=people["outsider"]["id"], name=name, **account)


@pytest.mark.parametrize("closing", ["dataset", "resource"])
def test_resources_deleted_before_the_restriction_are_scrubbed_too(
    act: Any, people: Any, closing: str
) -> None:
    secret = "http://internal.gov.cn/" + closing
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], resources=[
        {"name": "旧", "url": secret}, *LINK]))
    act("editor", "resource_delete", id=made["resources"][0]["id"])
    if closing == "dataset":
        act("editor", "resource_delete", id=made["resources"][1]["id"])
        act("editor", "package_patch", id=made["id"], **CONDITIONS)
    else:
        kept = [json.dumps(one.data) for one in model.Session.query(Activity).filter_by(object_id=made["id"])]
        assert any(secret in one for one in kept)
        act("editor", "package_patch", id=made["id"], **{**CONDITIONS, "open_attribute": "unconditional"})
        act("editor", "resource_patch", id=made["resources"][1]["id"], open_attribute="conditional")
    model.Session.remove()
    kept = [json.dumps(one.data) for one in model.Session.query(Activity).filter_by(object_id=made["id"])]
    assert kept
    assert not any(secret in one for one in kept)
