"""The leak matrix of CKAN, changes: whoever is not of the department changes nothing, by action or by form.

Before and after each handful of attempts every row of CKAN's and the DataStore's databases is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ckan.common import config
from ckanext.govopen.testing_town import HIDDEN, TARGETS, Town

from ops.leaks import ckan_surfaces
from ops.leaks.ckan_surfaces import OF_DATASETS
from ops.leaks.report import Tally
from ops.leaks.rows import Rows, changes
from ops.leaks.viewers import ATTRIBUTES, FULL, askers, turn

TALLY = Tally("CKAN changes by action")
REFUSED = {"401", "403", "404"}
BATCH = 12


def attempts(town: Town) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(action, viewer, attribute, document) of every attempt."""
    for action in ckan_surfaces.actions().values():
        if action.kind != "write":
            continue
        about = bool(action.places & OF_DATASETS)
        for attribute in ATTRIBUTES if about and FULL else (ATTRIBUTES[turn(action.name) % 3],):
            for target in TARGETS if about and FULL else ("main",):
                for viewer in askers(action.name, attribute, target, everybody=FULL and target == "main"):
                    for given in action.documents(town.places(viewer, attribute, target)):
                        if viewer != "owner":
                            yield action.name, viewer, attribute, given


def test_nobody_else_changes_anything_by_an_action(judging: Callable[..., Any], town: Town) -> None:
    judge = judging(TALLY)
    rows = Rows(*(str(config[name]) for name in ("sqlalchemy.url", "ckan.datastore.write_url")))
    before, tried = rows.now(), list(attempts(town))
    for at in range(0, len(tried), BATCH):
        batch = tried[at:at + BATCH]
        for name, viewer, attribute, given in batch:
            status = judge.asked(name, viewer, attribute, "POST", f"/api/3/action/{name}", given, json=given)
            if status not in REFUSED:
                judge.fault(f"{name}: {status}, not refused by a permission", f"{viewer}, {attribute}: {given}")
        after = rows.now()
        if changed := changes(before, after):
            judge.fault(f"changed {changed}", f"one of {sorted({one[0] for one in batch})}")
        before = after
    rows.close()
    judge.closes()


def test_what_changes_something_is_not_asked_by_get(judging: Callable[..., Any], town: Town) -> None:
    judge = judging(TALLY)
    for action in ckan_surfaces.actions().values():
        if action.kind == "write":
            path = f"/api/3/action/{action.name}"
            status = judge.asked(action.name, "owner", "any", "GET", path, query_string="id=x")
            if status != "400":
                judge.fault(f"GET {action.name}: {status}", "owner")
    judge.closes()


def test_what_is_hidden_cannot_be_searched_for(judging: Callable[..., Any], town: Town) -> None:
    """Counts are answers, too: nobody finds by a word what only the department may read, nor by its beginning."""
    judge = judging(TALLY)
    words = {one.label: one.text for one in town.book}
    hidden = [text for label, text in words.items() if label.split(".")[1] in HIDDEN and not label.endswith(".id")]
    sealed = [text for label, text in words.items() if label.startswith(("conditional.main", "closed.main"))]
    private = hidden + sealed
    asking = ("anonymous", "live", "other_editor") if FULL else ("other_editor",)
    for viewer, unknown in (*((one, private) for one in asking), ("owner", sealed)):
        for question in questions(unknown):
            count = judge.counted("package_search", viewer, {**question, "rows": 0, "include_private": True})
            if count:
                judge.fault(f"package_search finds {count}", f"{viewer}: {str(question)[:200]}")
        for name in ("url", "hash", "description", "name"):
            for text in unknown if FULL else unknown[::len(unknown) // 3]:
                if count := judge.counted("resource_search", viewer, {"query": f"{name}:{text[:9]}"}):
                    judge.fault(f"resource_search by {name} finds {count}", viewer)
    known = {"q": f"title:{words['conditional.private.title']}", "include_private": True}
    assert judge.counted("package_search", "owner", known) == 1
    assert judge.counted("package_search", "anonymous", {"q": f"res_url:*{words['unconditional.main.url']}*"}) == 1
    judge.closes()


def questions(texts: list[str]) -> Iterator[dict[str, Any]]:
    """What a searcher could try to learn whether a word is anywhere."""
    whole, begun = " OR ".join(texts), " OR ".join(f"{text[:9]}*" for text in texts)
    for name in ("text", "title", "notes", "tags", "name", "res_name", "res_description", "res_format", "res_url",
                 "urls", "extras_internal", "extras_contact_unit", "author", "organization"):
        yield {"q": f"{name}:({whole} OR {begun})"}
        if FULL or name in ("text", "res_url"):
            yield {"q": "*:*", "fq": f"+{name}:({begun})"}
    yield {"q": whole}
    yield {"q": " ".join(texts[:40]), "defType": "edismax", "mm": "1", "qf": "text title notes res_url"}
    yield {"q": f"+state:(draft OR deleted OR active) +text:({begun})", "include_drafts": True}


def test_an_entry_of_closed_data_is_seen_and_no_cell(judging: Callable[..., Any], town: Town) -> None:
    """Closed data has its place in the catalogue, with what is refused and why; nothing of it can be had."""
    judge = judging(TALLY)
    closed = town.worlds["closed"]["main"]
    for viewer in ("anonymous", "stranger", "live"):
        shown = judge.ask("POST", "/api/3/action/package_show", viewer, json={"id": closed["dataset"]}).json["result"]
        assert (shown["open_attribute"], shown["refuse_reason"]) == ("closed", "涉及商业秘密")
        page = judge.ask("GET", f"/dataset/{closed['name']}", viewer).get_data(as_text=True)
        assert all(one in page for one in ("登记信息 closed", "涉及商业秘密", "《反不正当竞争法》"))
    found = judge.ask("POST", "/api/3/action/package_search", "anonymous", json={"fq": f"id:{closed['dataset']}"})
    assert found.json["result"]["count"] == 1


def test_who_may_know_is_told(judging: Callable[..., Any], town: Town) -> None:
    """Where nobody is told who may know, nothing is proved by others' not being told."""
    for viewer, path in (("anonymous", "datastore_search"), ("anonymous", "resource_show"), ("owner", "package_show"),
                         ("owner", "user_show")):
        ids = {"package_show": town.worlds["closed"]["draft"]["dataset"], "user_show": town.people["owner"]["id"]}
        one = ids.get(path, town.worlds["unconditional"]["main"]["resource"])
        answer = judging(TALLY).ask("POST", f"/api/3/action/{path}", viewer, json={"id": one, "resource_id": one})
        town.book.leaks(viewer, answer.get_data())
    told = town.book.told
    assert {f"unconditional.main.{one}" for one in ("url", "row", "hash")} <= told["anonymous"]
    assert {f"closed.draft.{one}" for one in ("title", "notes", "tag", "resource", "contact")} <= told["owner"]
    assert {"owner.email", "owner.fullname"} <= told["owner"]
    assert not any(label.startswith(("conditional.main", "closed.main")) for label in told["anonymous"])
