"""The service as a process: its wire protocol, its doors, and what is left after it is killed."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pysolr
import pytest

from ops.search.testing import SITE, Service, dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    started = Service(tmp_path_factory.mktemp("service"))
    started.start()
    started.solr().add([dataset(f"set-{n}", title=f"数据集 {n}", tags=["空气"]) for n in range(5)], commit=True)
    yield started
    started.stop()


def test_ckans_calls(service: Service) -> None:
    solr = service.solr()
    found = solr.search(q="*:*", rows=1)
    assert found.hits == 5
    assert found.qtime >= 0
    query = f'+entity_type:package AND +(id:"set-1" OR name:"set-1") AND +site_id:"{SITE}"'
    solr.delete(q=query, commit=True)
    assert solr.search(q="*:*").hits == 4
    solr.add([dataset("set-1")], commit=False)
    solr.commit(waitSearcher=False)
    assert solr.search(q='name:"set-1" OR id:"set-1"').hits == 1
    status, text = service.get("/schema?wt=schema.xml")
    assert status == 200
    assert '<schema name="ckan-2.12"' in text
    assert service.get("/admin/file/?file=schema.xml")[1] == text


def test_only_who_knows_the_password_is_answered(service: Service) -> None:
    assert stat.S_IMODE((service.home / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE(service.home.stat().st_mode) == 0o700
    assert len(service.password) == 40
    with pytest.raises(pysolr.SolrError, match="401"):
        pysolr.Solr(service.url, timeout=20).search("*:*")
    assert service.get("/admin/ping", headers={"Authorization": "x"})[0] == 200
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(service.url + "/select?q=*:*", timeout=20)  # noqa: S310 - our own loopback address
    assert refused.value.headers["WWW-Authenticate"].startswith("Basic")
    refused.value.close()


def test_long_searches_come_by_post(service: Service) -> None:
    labels = " OR ".join(f'"member-{n:030d}"' for n in range(400))
    found = service.solr().search(q="空气", df="text", fq=[f'+permission_labels:("public" OR {labels})'], fl="name")
    assert found.hits == 4 or found.hits == 5
    body = urllib.parse.urlencode({"q": "name:set-2", "fl": "name", "wt": "json"}).encode()
    for path in ("/select", "/select/"):
        status, text = service.get(path, body)
        assert status == 200
        assert json.loads(text)["response"]["docs"] == [{"name": "set-2"}]
    assert service.get("/select/", b"{}", {"Content-Type": "application/json"})[0] == 415


@pytest.mark.parametrize(("path", "data", "headers", "status"), [
    ("/select?q=(", None, {}, 400),
    ("/select?q=%FF", None, {}, 400),
    ("/select?q=*:*&sort=x", None, {}, 400),
    ("/select?q=*:*", None, {"Origin": "http://evil.example"}, 403),
    ("/select?q=*:*", None, {"X-Forwarded-For": "10.0.0.1"}, 403),
    ("/select?q=*:*", None, {"Forwarded": "for=10.0.0.1"}, 403),
    ("/select?q=*:*", None, {"Authorization": "Basic Y2thbjpndWVzcw=="}, 401),
    ("/select?q=*:*", None, {"Authorization": ""}, 401),
    ("/suggest?q=a", None, {"Authorization": "Bearer x"}, 401),
    ("/schema", None, {"Authorization": "x"}, 401),
    ("/update", b"[]", {"Authorization": "Basic !"}, 401),
    ("/admin/file/?file=schema.xml", None, {"Authorization": "x"}, 401),
    ("/config", None, {}, 404),
    ("/update", None, {}, 405),
    ("/update", b"[1]", {"Content-Type": "application/json"}, 400),
    ("/update", b"{", {"Content-Type": "application/json"}, 400),
    ("/update", b'[{"id": "x"}]', {"Content-Type": "application/json"}, 400),
    ("/update", b'{"rollback": {}}', {"Content-Type": "application/json"}, 400),
    ("/update", b"<delete><query>(</query></delete>", {"Content-Type": "text/xml"}, 400),
    ("/update", b"<delete><query>x</delete>", {"Content-Type": "text/xml"}, 400),
    ("/update", b'<!DOCTYPE a [<!ENTITY b "c">]><delete><id>&b;</id></delete>', {"Content-Type": "text/xml"}, 400),
    ("/update", b"<rollback/>", {"Content-Type": "text/xml"}, 400),
    ("/update", b"a=b", {"Content-Type": "text/csv"}, 415),
])
def test_refusals_have_solrs_shape(
    service: Service, path: str, data: bytes | None, headers: dict[str, str], status: int
) -> None:
    code, text = service.get(path, data, headers)
    assert code == status
    error = json.loads(text)["error"]
    assert error["code"] == status
    assert error["msg"]


def test_bad_values_are_refused_and_change_nothing(service: Service) -> None:
    before = service.solr().search(q="*:*").hits
    for bad in (dataset("bad", some_date="soon"), dataset("bad", views_total="many"), dataset("bad", nested={"a": 1})):
        with pytest.raises(pysolr.SolrError, match="ERROR"):
            service.solr().add([dataset("good"), bad], commit=True)
    assert service.solr().search(q="*:*").hits == before


def test_it_listens_on_loopback_only_and_holds_its_folder_alone(service: Service) -> None:
    command = [sys.executable, "-m", "ops.search", "--home", str(service.home), "--port", "1"]
    outside = subprocess.run([*command, "--host", "0.0.0.0"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S104
    assert outside.returncode == 2
    assert "loopback" in outside.stderr
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "in use" in second.stderr
