"""Datasets shown together for the index are what CKAN shows of each alone; where they are not, CKAN's way is gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from ckan import logic, model
from ckan.tests import factories
from ckanext.govopen import dictionary, figures, search_feed, search_range
from ckanext.govopen.logic import schema
from ckanext.govopen.plugin import GovOpenPlugin
from ckanext.govopen.testing import conditional, dataset_dict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Write = Callable[..., str]
MOMENT = datetime(2026, 1, 5, 7, 8, 9, 10)  # noqa: DTZ001 - CKAN's columns have none


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that CKAN's database is given meanwhile."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sa.event.listen(model.meta.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(model.meta.engine, "before_cursor_execute", note)


def alone(dataset_id: str) -> search_range.Both:
    shown: search_range.Both = logic.package_show_default_and_custom_schemas({"ignore_auth": True}, dataset_id)
    return shown


def together(*dataset_ids: str) -> dict[str, search_range.Both]:
    return search_range._show(search_range.Range(dataset_ids))


def text(both: search_range.Both) -> str:
    """To the letter, order of keys included; tags have no order in the database."""
    for shown in both:
        shown.get("tags", []).sort(key=lambda tag: tag["name"])
    return json.dumps(both, ensure_ascii=False)


def test_what_departments_publish_is_shown_to_the_letter(act: Any, people: Any) -> None:
    group = factories.Group(title="地理", users=[{"name": people["editor"]["name"], "capacity": "editor"}])
    org = people["org"]["id"]
    made = [
        dataset_dict(org, tags=[{"name": "区划"}, {"name": "村居"}], groups=[{"id": group["id"]}]),
        dataset_dict(org, resources=[
            {"name": "表", "url": "https://data.example.gov.cn/a.csv", "format": "csv"},
            {"name": "无协议", "url": "data.example.gov.cn/b", "format": "XLS"},
        ]),
        dataset_dict(org, private=True, license_id="cc-by", url="https://example.gov.cn", version="2"),
        dataset_dict(org, extras=[{"key": "自己的", "value": "值"}, {"key": "空", "value": "x"}]),
        conditional(org, resources=[{"name": "登记", "url": "", "format": "CSV"}]),
    ]
    ids = [act("editor", "package_create", **one)["id"] for one in made]
    act("editor", "package_delete", id=ids[0])
    model.Session.expire_all()  # or extras stand in the order in which they were given, until memory is cleared
    found = together(*ids)
    for one in ids:
        assert text(found[one]) == text(alone(one))


@pytest.mark.parametrize("resource", [
    {"url": "https://x/某 文件.CSV", "url_type": "upload", "format": "csv", "name": None},
    {"url": "https://x/" + "长" * 300 + "%2F?.xlsx", "url_type": "upload", "format": "Excel"},
    {"url": "_datastore_only_resource", "url_type": "datastore", "extras": {"datastore_active": True}},
    {"url": "", "format": None, "hash": None, "created": None, "last_modified": MOMENT},
    {"url": "  ftp://x/y  ", "size": 10**12, "extras": {"govopen_fields": [{"name": "a"}], "x": None, "state": "s"}},
    {"url": "x", "extras": {"format": "json", "datastore_active": None, "url": " y ", "position": 7}},
    {"url": "x", "state": "deleted"},
    {"url": "x", "state": "draft"},
])
def test_a_resource_is_shown_to_the_letter(write: Write, resource: dict[str, Any]) -> None:
    one = write([resource, {"url": "https://x/second", "format": "tsv", "state": "active"}])
    assert text(together(one)[one]) == text(alone(one))


@pytest.mark.parametrize("columns", [
    {"title": "  空格  "}, {"title": ""}, {"title": None}, {"owner_org": None}, {"owner_org": "gone"},
    {"private": True}, {"state": "draft"}, {"state": "deleted"}, {"type": None}, {"license_id": "odc-by"},
    {"license_id": "made-up"}, {"license_id": ""}, {"notes": None, "author": "", "maintainer_email": "no mail"},
    {"extras": {}}, {"extras": {"items": "[]"}}, {"extras": {"grade": "", "title": "another", "z": ""}},
    {"name": "UPPER 大写 with spaces"}, {"metadata_created": None}, {"plugin_data": {"a": {"b": 1}}},
])
def test_a_dataset_is_shown_to_the_letter(write: Write, columns: dict[str, Any]) -> None:
    one = write(**columns)
    assert text(together(one)[one]) == text(alone(one))


VALUES = st.none() | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
NAMES = st.sampled_from([*schema.KEYS, "title", "own", "自己的"])
EXTRAS = st.dictionaries(NAMES, VALUES.filter(lambda value: value is not None), max_size=6)
RESOURCES = st.lists(st.fixed_dictionaries({"url": VALUES.filter(lambda value: value is not None)}, optional={
    "format": VALUES, "description": VALUES, "hash": VALUES, "name": VALUES, "mimetype": VALUES,
    "resource_type": VALUES, "url_type": st.sampled_from([None, "upload", "datastore", ""]),
    "size": st.none() | st.integers(0, 2**60), "created": st.none() | st.datetimes(MOMENT),
    "state": st.sampled_from(["active", "deleted"]),
    "extras": st.dictionaries(st.sampled_from(["govopen_access", "grade", "own", "name"]), VALUES | st.booleans()),
}), max_size=3)
COLUMNS = st.fixed_dictionaries({}, optional={
    "title": VALUES, "notes": VALUES, "url": VALUES, "author": VALUES, "version": VALUES, "license_id": VALUES,
    "private": st.booleans(), "state": st.sampled_from(["active", "draft", "deleted"]), "extras": EXTRAS,
})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=COLUMNS, resources=RESOURCES, tags=st.sets(st.sampled_from(["甲", "乙", "丙"])))
def test_whatever_is_in_the_tables_is_shown_to_the_letter_or_not_at_all(
    write: Write, columns: dict[str, Any], resources: list[dict[str, Any]], tags: set[str]
) -> None:
    with model.Session.begin_nested() as saved:
        one = write(resources, sorted(tags), **columns)
        found = together(one)
        try:
            real = text(alone(one))
        except Exception:
            assert one not in found
        else:
            assert one not in found or text(found[one]) == real
        saved.rollback()


def test_datasets_with_relations_and_of_other_forms_go_the_usual_way(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = (write() for _ in range(3))
    model.Session.add(model.PackageRelationship(
        subject_package_id=one, object_package_id=two, type="depends_on", state="active"))
    model.Session.flush()
    assert set(together(one, two, three)) == {three}
    search_range._is_ours.cache_clear()
    monkeypatch.setattr(GovOpenPlugin, "show_package_schema", lambda self: {})
    assert together(three) == {}
    search_range._is_ours.cache_clear()


def test_hooks_of_plugins_are_called_as_ckan_calls_them(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(self: Any, context: Any, dataset: dict[str, Any]) -> None:
        dataset["hooked"] = [context["package"].id, len(dataset["resources"])]

    monkeypatch.setattr(GovOpenPlugin, "after_dataset_show", shown)
    one = write([{"url": "https://x/y"}])
    assert together(one)[one][1]["hooked"] == [one, 1]
    assert text(together(one)[one]) == text(alone(one))


def test_one_difference_and_every_dataset_is_read_by_itself(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = write(), write()
    warned: list[str] = []
    shower = search_range.Shower()
    assert set(shower.show([one, two], 0)) == {one, two}
    monkeypatch.setattr(search_range, "_custom", lambda default: {**default, "title": "another"})
    monkeypatch.setattr(search_range.log, "warning", lambda sentence, *values: warned.append(sentence % values))
    assert shower.show([one, two], 1) == {}
    assert [sentence[: len(two) + 8] for sentence in warned] == [f"Dataset {two}"]
    monkeypatch.undo()
    assert shower.show([one, two], 0) == {}


@pytest.mark.parametrize("broken", ["_groups", "_is_as_ckan_shows"])
def test_what_fails_for_all_leaves_each_its_usual_way(
    write: Write, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fails(*_: Any) -> None:
        model.Session.execute(sa.text("SELECT 1 / 0"))

    one = write()
    model.Session.commit()
    shower = search_range.Shower()
    with monkeypatch.context() as patched:
        patched.setattr(search_range, broken, fails)
        assert shower.show([one], 0) == {}
    assert set(shower.show([one], 0)) == {one}
    model.Session.delete(model.Package.get(one))
    model.Session.commit()


def test_a_change_between_the_two_readings_is_no_difference(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(title="before")
    real, shown = search_range._show, []

    def changed_after(read: search_range.Range) -> Any:
        shown.append(real(read))
        if len(shown) == 1:
            model.Session.execute(model.package_table.update().values(title="after").where(
                model.package_table.c.id == one))
            model.Session.expire_all()
        return shown[-1]

    monkeypatch.setattr(search_range, "_show", changed_after)
    shower = search_range.Shower()
    assert set(shower.show([one], 0)) == {one}
    assert shower.is_trusted


def test_one_dataset_of_many_ranges_goes_both_ways(monkeypatch: pytest.MonkeyPatch, act: Any, people: Any) -> None:
    dataset_id = act("editor", "package_create", **dataset_dict(people["org"]["id"]))["id"]
    tested: list[str] = []
    monkeypatch.setattr(search_range, "_is_as_ckan_shows", lambda one, _: tested.append(one) or True)
    shower = search_range.Shower()
    for number in range(search_range.TESTED_FIRST + 2 * search_range.TESTED_EACH):
        assert shower.show([dataset_id], number)
    assert tested == [dataset_id] * (search_range.TESTED_FIRST + 2)


def test_what_indexing_asks_for_besides_is_read_once_for_all(act: Any, people: Any) -> None:
    org = people["org"]["id"]
    ids = [act("editor", "package_create", **dataset_dict(org, resources=[
        {"name": "表", "url": "https://data.example.gov.cn/a.csv", "format": "csv"}]))["id"] for _ in range(4)]
    feeder = search_feed.Feeder(search_feed.Service(), everything=True)
    feeder.make(ids[:1], 0)
    with counted() as few:
        feeder.make(ids[:2], 0)
    with counted() as many:
        assert len(feeder.make(ids, 0)[0]) == 4
    assert len(many) == len(few) > 0


def test_read_ahead_gives_the_same_figures_and_columns(act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], resources=[
        {"name": "表", "url": "https://data.example.gov.cn/a.csv", "format": "csv"}]))
    resource = made["resources"][0]["id"]
    before = figures.of_dataset(made), dictionary.columns([resource])
    with search_range.read_ahead([made]):
        assert (figures.of_dataset(made), dictionary.columns([resource])) == before
