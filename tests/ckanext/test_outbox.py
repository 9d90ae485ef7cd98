"""No change without its row in the outbox; rows go to the service in order and only once."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan import model
from ckan.tests.helpers import call_action
from ckanext.govopen import cli as commands
from ckanext.govopen import outbox
from ckanext.govopen.gateway import ServiceAway
from ckanext.govopen.model import Outbox
from ckanext.govopen.testing import ServiceDouble, dataset_dict


def rows(identity: str) -> list[Outbox]:
    model.Session.remove()
    return model.Session.query(Outbox).filter_by(object=identity).order_by(Outbox.id).all()


@pytest.fixture
def made(act: Any, people: Any) -> dict[str, Any]:
    return act("editor", "package_create", **dataset_dict(
        people["org"]["id"], resources=[{"name": "a", "url": "http://data.gov.cn/a.csv"}]))


def test_a_creation_is_one_row_with_its_actor_and_classification(made: Any, people: Any) -> None:
    (row,) = rows(made["id"])
    assert row.action == "dataset.created"
    assert row.body["actor"] == people["editor"]["name"]
    assert row.body["organisation_id"] == people["org"]["id"]
    assert row.body["values"]["open_attribute"] == "unconditional"
    assert "notes" in row.body["changed"]
    assert "notes" not in row.body["values"]
    (resource,) = rows(made["resources"][0]["id"])
    assert resource.action == "resource.created"
    assert resource.body["values"]["govopen_access"] == "open"


def test_updates_classification_and_deletion_are_told_apart(act: Any, made: Any) -> None:
    act("editor", "package_patch", id=made["id"], title="新名")
    act("editor", "package_patch", id=made["id"], grade="general-2")
    act("editor", "package_delete", id=made["id"])
    found = rows(made["id"])
    assert [row.action for row in found] == [
        "dataset.created", "dataset.updated", "dataset.classified", "dataset.deleted"]
    assert found[2].body["values"]["grade"] == "general-2"


def test_memberships_are_recorded(act: Any, people: Any) -> None:
    act("sysadmin", "organization_member_create", id=people["org"]["id"], username=people["outsider"]["name"],
        role="editor")
    model.Session.remove()
    last = model.Session.query(Outbox).filter(Outbox.action.like("membership.%")).order_by(Outbox.id.desc()).first()
    assert last.body["values"]["capacity"] == "editor"
    assert last.body["values"]["table_id"] == people["outsider"]["id"]
    assert last.body["actor"] == people["sysadmin"]["name"]
    act("sysadmin", "organization_member_delete", id=people["org"]["id"], username=people["outsider"]["name"])


def test_bulk_statements_are_recorded(made: Any) -> None:
    before = model.Session.query(Outbox).filter_by(action="dataset.bulk_updated").count()
    model.Session.query(model.Package).filter_by(id=made["id"]).update({"title": "直接改"})
    model.Session.commit()
    assert model.Session.query(Outbox).filter_by(action="dataset.bulk_updated").count() == before + 1


def test_without_the_row_the_change_cannot_commit(act: Any, people: Any) -> None:
    model.Session.remove()
    data = dataset_dict(people["org"]["id"])
    model.Session.execute(sa.text("ALTER TABLE govopen_outbox RENAME TO govopen_outbox_away"))
    model.Session.commit()
    try:
        with pytest.raises(sa.exc.ProgrammingError):
            act("editor", "package_create", **data)
        model.Session.rollback()
        assert model.Package.by_name(data["name"]) is None
    finally:
        model.Session.rollback()
        model.Session.execute(sa.text("ALTER TABLE govopen_outbox_away RENAME TO govopen_outbox"))
        model.Session.commit()


def test_a_change_that_is_rolled_back_leaves_no_row(act: Any, people: Any, service: ServiceDouble) -> None:
    before = model.Session.query(Outbox).count()
    service.refusals["PUT"] = (409, {"code": "publish_gate", "detail": "不"})
    with pytest.raises(tk.ValidationError):
        act("editor", "package_create", **dataset_dict(
            people["org"]["id"], resources=[{"name": "a", "url": "http://data.gov.cn/a.csv"}]))
    model.Session.remove()
    assert model.Session.query(Outbox).count() == before


def test_rows_are_drained_in_order_once(made: Any, service: ServiceDouble) -> None:
    while outbox.drain():
        pass
    sent = [entry["sequence"] for body in service.named("POST", "/v1/audit/outbox") for entry in body["records"]]
    assert sent == sorted(sent)
    assert outbox.waiting() == 0
    service.calls.clear()
    assert outbox.drain() == 0
    assert service.calls == []


def test_rows_wait_while_the_service_is_away(act: Any, made: Any, service: ServiceDouble) -> None:
    waiting = outbox.waiting()
    assert waiting
    service.stop()
    with pytest.raises(ServiceAway):
        outbox.drain()
    assert outbox.waiting() == waiting


def test_only_one_drains_at_a_time(made: Any, service: ServiceDouble) -> None:
    other = model.meta.engine.connect()
    other.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": outbox.LOCK})
    try:
        assert outbox.drain() == 0
        assert service.named("POST", "/v1/audit/outbox") == []
    finally:
        other.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": outbox.LOCK})
        other.close()


def test_draining_is_for_administrators(act: Any, people: Any, service: ServiceDouble) -> None:
    for who in (None, "editor"):
        with pytest.raises(tk.NotAuthorized):
            act(who, "govopen_outbox_drain")
    assert act("sysadmin", "govopen_outbox_drain")["waiting"] == 0
    assert call_action("govopen_outbox_show") == {"waiting": 0}


def test_the_command_says_what_happened(cli: Any, service: ServiceDouble, made: Any) -> None:
    answer = cli.invoke(commands.govopen, ["drain"])
    assert answer.exit_code == 0, answer.output
    assert "0 waiting" in answer.output
