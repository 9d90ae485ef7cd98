"""What is sent to the index and what it is asked: words of fields, figures, filters, nothing beyond one's rights."""

from __future__ import annotations

import itertools
import json
import uuid
from datetime import date
from typing import Any

import ckan.plugins.toolkit as tk
import pysolr
import pytest
from ckan import model
from ckan.lib import search
from ckanext.govopen import figures, presentation, ratings, recount, regions, search_range, search_service
from ckanext.govopen.codes import economic_section
from ckanext.govopen.search_question import Question
from ckanext.govopen.testing import ServiceDouble, conditional, dataset_dict
from werkzeug.datastructures import MultiDict

Found = dict[str, Any]


def word() -> str:
    """A word that no other dataset has."""
    return uuid.uuid4().hex.translate(str.maketrans("0123456789", "ghijklmnop"))


def names(act: Any, who: str | None, query: str, **more: Any) -> list[str]:
    found = act(who, "package_search", q=query, rows=50, include_private=True, **more)
    return [one["name"] for one in found["results"]]


@pytest.fixture
def table(act: Any, people: Any) -> Any:
    """Make an open dataset with a DataStore table of ``rows`` rows."""

    def make(rows: int = 0, **changes: Any) -> Found:
        made = act("editor", "package_create", **dataset_dict(people["org"]["id"], **{
            "resources": [{"name": "表", "url_type": "datastore", "url": "", "format": "CSV"}], **changes}))
        act("editor", "datastore_create", resource_id=made["resources"][0]["id"], force=True,
            fields=[{"id": "n", "type": "int"}], records=[{"n": number} for number in range(rows)])
        return dict(act("editor", "package_show", id=made["id"]))

    return make


def test_fields_are_found_by_name_title_description_and_values(act: Any, people: Any) -> None:
    words = [word() for _ in range(4)]
    items = [{"name": words[0], "title": words[1], "type": "text", "description": words[2], "range": words[3]}]
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], items=items))
    for one in words:
        assert names(act, None, one) == [made["name"]]


def test_the_dictionary_of_an_open_table_is_found_and_shown(app: Any, act: Any, table: Any) -> None:
    label, note = word(), word()
    made = table()
    act("editor", "datastore_create", resource_id=made["resources"][0]["id"], force=True,
        fields=[{"id": "n", "type": "int", "info": {"label": label, "notes": note}}])
    recount.refresh()
    assert names(act, None, label) == names(act, None, note) == [made["name"]]
    page = app.get(f"/dataset/{made['name']}").get_data(as_text=True)
    assert label in page
    assert note in page


def test_only_what_the_page_prints_of_a_field_is_sent(act: Any, people: Any) -> None:
    items = [{"name": "phone", "title": "电话", "type": "text", "grade": "general-2", "open_attribute": "conditional",
              "mask": "partial:phone"}]
    made = act("editor", "package_create", **conditional(people["org"]["id"], items=items))
    sent = search.show(made["id"])["extras_items"]
    assert sent == "电话; phone"


def test_a_dictionary_is_gone_with_the_openness_of_its_table(act: Any, table: Any) -> None:
    secret = word()
    made = table()
    act("editor", "datastore_create", resource_id=made["resources"][0]["id"], force=True,
        fields=[{"id": "n", "type": "int", "info": {"label": secret}}])
    recount.refresh()
    assert names(act, None, secret) == [made["name"]]
    act("editor", "package_patch", id=made["id"], open_attribute="conditional", open_mode="a", use_requirements="b",
        security_measures="c")
    for who in (None, "editor", "sysadmin"):
        assert names(act, who, secret) == []
    assert names(act, "sysadmin", f'govopen_rows:[0 TO *] AND name:"{made["name"]}"') == []


def test_values_under_chinese_keys_of_ones_own_are_found(act: Any, people: Any) -> None:
    words = [word() for _ in range(3)]
    keys = ("主管处室", "采集方式", "Latin")
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], extras=[
        {"key": key, "value": value} for key, value in zip(keys, words, strict=True)]))
    for one in words:
        assert names(act, None, one) == [made["name"]]


def test_words_of_a_private_dataset_are_for_its_department(act: Any, people: Any) -> None:
    secret = word()
    made = act("editor", "package_create", **dataset_dict(
        people["org"]["id"], private=True, items=[{"name": "n", "title": secret, "type": "text"}]))
    assert names(act, "editor", secret) == [made["name"]]
    for who in (None, "outsider", "stranger"):
        assert names(act, who, secret) == []


def test_figures_are_counted_sorted_by_and_missing_ones_come_last(
    act: Any, service: ServiceDouble, table: Any, people: Any
) -> None:
    tag = word()
    few, many = (table(rows, tags=[{"name": tag}]) for rows in (3, 20))
    none = act("editor", "package_create", **conditional(
        people["org"]["id"], tags=[{"name": tag}], resources=[{"name": "登记表"}]))
    service.downloads = {one["resources"][0]["id"]: n for one, n in ((few, 7), (many, 2), (none, 99))}
    recount.refresh()
    order = {"rows": [many, few, none], "downloads": [few, many, none]}
    for name, expected in order.items():
        found = names(act, None, "*:*", fq=f"+tags:{tag}", sort=f"govopen_{name} desc")
        assert found == [one["name"] for one in expected], name
    assert figures.of_dataset(few).downloads == 7
    assert (figures.of_dataset(few).rows, figures.of_dataset(none).rows) == (3, None)


def test_open_tables_are_those_of_the_pages(write: Any) -> None:
    made: dict[str, bool] = {}
    for access, own, entry in itertools.product(
        (None, "", "open", "restricted"), (None, "", "unconditional", "conditional"), (None, "unconditional", "closed")
    ):
        extras = {"govopen_access": access, "open_attribute": own, "datastore_active": True}
        dataset_id = write([{"url": "x", "extras": {key: value for key, value in extras.items() if value is not None}}],
                           extras={"open_attribute": entry} if entry else {})
        made[dataset_id] = not presentation.is_restricted(extras, {"open_attribute": own or entry})
    found = {dataset_id for _, dataset_id in recount._open_tables()}
    assert {one: one in found for one in made} == made


@pytest.mark.parametrize(("resource", "told"), [
    ({"extras": {"datastore_active": True}}, True), ({"extras": {"datastore_active": False}}, False),
    ({"extras": {}}, False), ({"extras": None}, False), ({"extras": {"datastore_active": None}}, False),
    ({"extras": {"datastore_active": True, "note": "\x00"}}, True),
    ({"extras": {"datastore_active": True}, "state": "deleted"}, False),
])
def test_only_what_has_a_table_is_counted(write: Any, resource: Found, told: bool) -> None:
    dataset_id = write([{"url": "x", **resource}], extras={"open_attribute": "unconditional"})
    assert (dataset_id in {one for _, one in recount._open_tables()}) == told


def test_downloads_stay_when_the_service_is_away(service: ServiceDouble, table: Any) -> None:
    made = table(1)
    service.downloads = {made["resources"][0]["id"]: 5}
    recount.refresh()
    service.stop()
    outcome = recount.refresh()
    assert outcome.service_away
    assert figures.of_dataset(made).downloads == 5


def test_a_mark_stays_until_the_index_has_taken_it(
    act: Any, table: Any, monkeypatch: pytest.MonkeyPatch, ckan_config: Any
) -> None:
    made = table(2)
    recount.refresh()
    with monkeypatch.context() as away:
        away.setitem(ckan_config, "solr_url", "http://127.0.0.1:9/solr/ckan")
        figures.mark_stale([made["id"]])
        model.Session.commit()
        assert recount.index_stale()[1] >= 1
    assert recount.index_stale() == (1, 0)


def test_an_upgrade_renews_the_whole_index(act: Any, people: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    recount.refresh()
    assert recount.renew() == 0
    monkeypatch.setattr(recount, "VERSION", word())
    outcome = recount.refresh()
    assert outcome.indexed >= 1
    assert outcome.failed == 0


def test_regions_industries_and_days_are_filters(act: Any, people: Any) -> None:
    tag = word()
    made = act("editor", "package_create", **dataset_dict(
        people["org"]["id"], region="320508001002", industry="C39", tags=[{"name": tag}]))
    for clause in ('vocab_govopen_region:"320000"', 'vocab_govopen_region:"320500"', 'vocab_govopen_region:"320508"',
                   'govopen_industry:"C"', "govopen_updated_date:[NOW-1DAY TO *]"):
        assert names(act, None, "*:*", fq=f"+tags:{tag} +{clause}") == [made["name"]], clause
    assert names(act, None, "*:*", fq=f'+tags:{tag} +vocab_govopen_region:"110000"') == []
    assert names(act, None, "姑苏区", fq=f"+tags:{tag}") == [made["name"]]


@pytest.mark.parametrize(("code", "section"), [
    ("C", "C"), ("c39", "C"), ("39", "C"), ("3911", "C"), ("97", "T"), ("D39", None), ("00", None), ("98", None),
    ("制造业", None), ("", None), ("CC", None), ("391", "C"),
])
def test_sections_of_industries(code: str, section: str | None) -> None:
    assert economic_section(code) == section


@pytest.mark.parametrize(("code", "name"), [
    ("320000", "江苏省"), ("320500", "江苏省苏州市"), ("320508", "苏州市姑苏区"), ("110101", "北京市东城区"),
    ("999999", "999999"), ("x", "x"),
])
def test_names_of_regions(code: str, name: str) -> None:
    assert regions.name(code) == name


def test_the_service_is_asked_under_the_filters_that_ckan_sends(
    people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    real = pysolr.Solr.search
    monkeypatch.setattr(pysolr.Solr, "search", lambda self, q, **more: sent.append(more) or real(self, q, **more))
    wanted = "+dataset_type:dataset"
    for who in (None, "outsider", "editor", "sysadmin"):
        user = model.User.get(people[who]["name"]) if who else model.AnonymousUser()
        for private in (True, False):
            sent.clear()
            context = {"user": user.name, "auth_user_obj": user}
            tk.get_action("package_search")(context, {"q": "*:*", "fq": wanted, "include_private": private})
            assert search_service.viewer_filters(user, wanted, private) == sent[0]["fq"]


def test_suggestions_show_only_what_one_may_see(app: Any, act: Any, people: Any, headers_of: Any) -> None:
    title = f"隐秘水库水位{word()}"
    act("editor", "package_create", **dataset_dict(people["org"]["id"], title=title, private=True))
    for who, seen in ((None, False), ("stranger", False), ("editor", True), ("sysadmin", True)):
        answer = app.get("/search/suggest", query_string={"q": "隐秘水库"}, headers=headers_of(who))
        assert (title in {one["text"] for one in answer.json["items"]}) is seen, who


def test_any_text_gets_an_answer(app: Any, migrated: None) -> None:
    for text in ("", " ", "<script>", '"', "a:b(", "{!bool must=x}", "长" * 2000, "\ue000", "&amp;"):
        answer = app.get("/search/suggest", query_string={"q": text})
        assert answer.status_code == 200, text
        assert isinstance(answer.json["items"], list)


def test_a_search_service_that_is_away_is_told_not_a_500(
    app: Any, service: ServiceDouble, monkeypatch: pytest.MonkeyPatch, ckan_config: Any
) -> None:
    monkeypatch.setitem(ckan_config, "solr_url", "http://127.0.0.1:9/solr/ckan")
    page = app.get("/dataset/", query_string={"q": "x", "govopen_domain": "credit"}, status=503)
    assert "搜索服务没有应答" in page.get_data(as_text=True)
    assert app.get("/search/suggest", query_string={"q": "x"}, status=503).json["items"] == []
    assert app.get("/", status=200)
    assert app.get("/organization/", status=200)


def test_snippets_are_text_with_our_marks_only() -> None:
    given = "a &lt;b&gt; \ue000<img src=x>\ue001 <script>1</script> &amp;lt;"
    shown = str(search_service.marked(given))
    assert shown == "a &lt;b&gt; <mark>&lt;img src=x&gt;</mark> &lt;script&gt;1&lt;/script&gt; &amp;lt;"


def test_of_a_list_of_fields_those_with_a_hit_are_told() -> None:
    given = "\ue000region\ue001_code; 抄表日期; a &amp; \ue000b\ue001; read_on"
    assert [str(one) for one in search_service.hits(given)] == [
        "<mark>region</mark>_code", "a &amp; <mark>b</mark>"]


def test_one_opinion_a_person_changeable_and_withdrawn(act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    assert act(None, "govopen_rating_show", id=made["name"]) == {
        "average": None, "count": 0, "mine": None, "may_rate": False}
    act("outsider", "govopen_rating_create", id=made["id"], stars=5)
    act("stranger", "govopen_rating_create", id=made["id"], stars="2")
    assert act("outsider", "govopen_rating_create", id=made["id"], stars=4) == {"average": 3.0, "count": 2, "mine": 4}
    assert search_score(act, made) == ratings.Summary(2, 6).score == 300
    act("stranger", "govopen_rating_delete", id=made["id"])
    shown = act("outsider", "govopen_rating_show", id=made["id"])
    assert (shown["average"], shown["count"], shown["may_rate"]) == (4.0, 1, True)


def search_score(act: Any, made: Found) -> int:
    low, high = 100, 500
    while low < high:
        middle = (low + high) // 2
        below = names(act, None, f'govopen_rating:[{low} TO {middle}] AND name:"{made["name"]}"')
        low, high = (low, middle) if below else (middle + 1, high)
    return low


def test_odd_stars_are_refused(act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    for stars in (0, 6, "", None, "5.0", "x", [5], {"a": 1}, True):
        with pytest.raises(tk.ValidationError):
            act("outsider", "govopen_rating_create", id=made["id"], stars=stars)


def test_who_may_not_rate(act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    hidden = act("editor", "package_create", **dataset_dict(people["org"]["id"], private=True))
    for who, dataset in ((None, made), ("editor", made), ("sysadmin", hidden), ("outsider", hidden)):
        with pytest.raises(tk.NotAuthorized):
            act(who, "govopen_rating_create", id=dataset["id"], stars=5)
    with pytest.raises(tk.ObjectNotFound):
        act("outsider", "govopen_rating_create", id="none", stars=5)


def test_changes_within_an_hour_are_limited(
    act: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ratings, "CHANGES_PER_HOUR", 0)
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    with pytest.raises(tk.ValidationError):
        act("outsider", "govopen_rating_create", id=made["id"], stars=5)


def test_a_purged_dataset_takes_its_ratings_along(act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    act("outsider", "govopen_rating_create", id=made["id"], stars=5)
    act("sysadmin", "dataset_purge", id=made["id"])
    assert ratings.of_dataset(made["id"]).count == 0


def test_filters_of_one_kind_widen_and_of_two_kinds_narrow(app: Any, act: Any, people: Any) -> None:
    tag = word()
    for domain, cycle in (("credit", "daily"), ("health", "daily"), ("health", "yearly"), ("energy", "daily")):
        act("editor", "package_create", **dataset_dict(
            people["org"]["id"], domain=domain, update_cycle=cycle, tags=[{"name": tag}]))
    both = app.get("/dataset/", query_string={"tags": tag, "govopen_domain": ["credit", "health"]})
    assert "<strong class=\"go-num\">3</strong>" in both.get_data(as_text=True)
    narrowed = app.get("/dataset/", query_string={
        "tags": tag, "govopen_domain": ["credit", "health"], "govopen_update_cycle": "daily"}).get_data(as_text=True)
    assert "<strong class=\"go-num\">2</strong>" in narrowed
    for label in ("资源能源", "信用服务"):
        assert label in narrowed  # what another value of the same filter would find stays in sight


def test_days_of_ones_own() -> None:
    asked = Question.from_address(MultiDict({"from": "2026-02-01", "to": "2026-01-01", "updated": "week"}))
    assert (asked.since, asked.until, asked.updated) == (date(2026, 1, 1), date(2026, 2, 1), "")
    assert "[2025-12-31T16:00:00Z TO 2026-02-01T16:00:00Z}" in asked.filter_query()
    assert Question.from_address(MultiDict({"from": "soon", "to": ""})).misread == ["from"]


def test_values_cannot_leave_their_quotes() -> None:
    asked = Question.from_address(MultiDict({"tags": 'x") OR +capacity:private \\'}))
    assert asked.filter_query() == '+dataset_type:dataset +tags:("x\\") OR +capacity:private \\\\")'
    assert json.dumps(asked.pairs())


def test_many_marks_are_taken_together_and_one_by_itself(
    act: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recount.index_stale()
    made = [act("editor", "package_create", **dataset_dict(people["org"]["id"]))["id"] for _ in range(5)]
    alone: list[str] = []
    real = search_range.make_document

    def noted(dataset_id: str, shown: Any) -> None:
        if shown is None:
            alone.append(dataset_id)
        real(dataset_id, shown)

    monkeypatch.setattr(search_range, "make_document", noted)
    figures.mark_stale(made)
    model.Session.commit()
    assert recount.index_stale() == (5, 0)
    assert alone == []
    figures.mark_stale(made[:1])
    model.Session.commit()
    recount.index_now(made[0])
    assert alone == made[:1]
