"""Every change to what the catalogue says or who may change it leaves a row in the outbox, in the same transaction.

The rows are written while SQLAlchemy flushes, on the flush's own connection: if the row cannot be written the flush
fails and nothing is committed. Values of fields are not copied, only the names of what changed, except for the few
that classify data or give power (``TOLD``).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import ckan.plugins as p
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan import model
from ckanext.govopen.gateway import Gateway
from ckanext.govopen.model import Outbox
from flask import has_request_context
from sqlalchemy import event
from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

KINDS: dict[type, str] = {
    model.Package: "dataset", model.Resource: "resource",
    model.Group: "organisation", model.Member: "membership", model.PackageMember: "collaborator",
    model.User: "user", model.ApiToken: "api_token",
}
CLASSIFYING = frozenset({"open_attribute", "grade", "has_personal_info", "items", "govopen_fields"})
TOLD = frozenset({
    "open_attribute", "grade", "has_personal_info", "govopen_access", "state", "private", "owner_org", "capacity",
    "sysadmin", "table_name", "table_id", "group_id", "package_id", "user_id", "name",
})
SILENT = frozenset({
    "metadata_modified", "metadata_created", "last_modified", "last_active", "last_access", "reset_key", "password",
    "created", "timestamp", "activity_streams_email_notifications", "plugin_extras", "plugin_data", "url_changed",
})
PENDING = "govopen_outbox"
BATCH = 500
LOCK = 4_701_926_001
KEPT_DAYS = 30
SOURCE = re.compile(r"[^a-z0-9_.:-]")

_actor: ContextVar[str | None] = ContextVar("govopen_actor", default=None)


@contextmanager
def acting(name: str | None) -> Iterator[None]:
    """Changes made inside are attributed to this user unless an outer call already named one."""
    token = _actor.set(_actor.get() or name)
    try:
        yield
    finally:
        _actor.reset(token)


def actor() -> str:
    """Who is making the change; ``system`` for maintenance without a user."""
    known = _actor.get()
    if known:
        return known
    if has_request_context():
        name = getattr(tk.current_user, "name", "")
        if name:
            return str(name)
    return "system"


@cache
def listen() -> None:
    """Attach to CKAN's session, once."""
    event.listen(model.Session, "after_flush", _after_flush)
    event.listen(model.Session, "do_orm_execute", _on_bulk)
    event.listen(model.Session, "after_commit", _forget)
    event.listen(model.Session, "after_soft_rollback", _forget)


def _forget(session: Session, *_: Any) -> None:
    session.info.pop(PENDING, None)


def _after_flush(session: Session, _context: Any) -> None:
    if not p.plugin_loaded("govopen"):
        return
    for objects, verb in ((session.new, "created"), (session.dirty, "updated"), (session.deleted, "purged")):
        for found in list(objects):
            kind = KINDS.get(type(found))
            if kind and not _is_site_user(found):
                _record(session, kind, found, verb)


def _is_site_user(found: Any) -> bool:
    """CKAN's own account, which it makes for itself at its first start, before any extension has its tables."""
    return isinstance(found, model.User) and found.name == tk.config.get("ckan.site_id")


def _record(session: Session, kind: str, found: Any, verb: str) -> None:
    changed, told = _changes(found, verb)
    if verb == "updated" and not changed:
        return
    identity = str(found.id)
    if told.get("state") == "deleted":
        verb = "deleted"
    if verb == "updated" and CLASSIFYING.intersection(changed):
        verb = "classified"
    organisation = getattr(found, "owner_org", None) or getattr(found, "group_id", None)
    _write(session, kind, identity, verb, changed, told, organisation)


def _changes(found: Any, verb: str) -> tuple[list[str], dict[str, Any]]:
    """Names of the columns that changed, and the values of those that are told."""
    changed, told = [], {}
    state = sa.inspect(found)
    for column in state.mapper.column_attrs:
        history = state.attrs[column.key].history
        name = column.key.lstrip("_")
        if name in SILENT or not (history.has_changes() or verb == "created"):
            continue
        if name == "extras":
            before = history.deleted[0] if history.deleted and history.deleted[0] else {}
            after = history.added[0] if history.added and history.added[0] else {}
            keys = [key for key in {*before, *after} if before.get(key) != after.get(key)]
            changed += keys
            told.update({key: after.get(key) for key in keys if key in TOLD})
            continue
        value = history.added[0] if history.added else None
        if verb == "created" and value is None:
            continue
        changed.append(name)
        if name in TOLD:
            told[name] = value
    return sorted(changed), told


RANK = {"updated": 0, "classified": 1, "created": 2, "deleted": 3, "purged": 4}


def _write(
    session: Session, kind: str, identity: str, verb: str, changed: list[str], told: dict[str, Any],
    organisation: str | None,
) -> None:
    """One row per object and transaction: later flushes of the same transaction add to it."""
    known: dict[tuple[str, str], tuple[int, str, dict[str, Any]]] = session.info.setdefault(PENDING, {})
    connection = session.connection()
    table = Outbox.__table__
    if (kind, identity) in known:
        number, before, body = known[kind, identity]
        verb = max(before, verb, key=RANK.__getitem__)
        body["changed"] = sorted({*body["changed"], *changed})
        body["values"].update(told)
        if organisation:
            body["organisation_id"] = organisation
        connection.execute(
            sa.update(table).where(table.c.id == number).values(action=f"{kind}.{verb}", body=_plain(body))
        )
    else:
        body = {"actor": actor(), "organisation_id": organisation, "changed": changed, "values": dict(told)}
        number = connection.execute(
            sa.insert(table).values(action=f"{kind}.{verb}", object=identity, body=_plain(body))
            .returning(table.c.id)
        ).scalar_one()
    known[kind, identity] = (number, verb, body)


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(body, default=str))
    return plain


def _on_bulk(state: Any) -> None:
    """UPDATE and DELETE statements through the ORM, which no flush sees."""
    if not (state.is_update or state.is_delete) or not p.plugin_loaded("govopen"):
        return
    mapper = state.bind_mapper
    kind = KINDS.get(mapper.class_) if mapper is not None else None
    if kind is None:
        return
    columns = [] if state.is_delete else sorted(
        str(getattr(column, "key", column)) for column in getattr(state.statement, "_values", None) or {}
    )
    if columns and set(columns) <= SILENT:
        return
    verb = "bulk_purged" if state.is_delete else "bulk_updated"
    state.session.connection().execute(sa.insert(Outbox.__table__).values(
        action=f"{kind}.{verb}", object="*", body={"actor": actor(), "changed": columns, "values": {}},
    ))


def drain(limit: int = BATCH) -> int:
    """Hand waiting rows to the service in order; returns how many. One drainer at a time; others get 0.

    Raises ServiceRefusal or ServiceAway; then the rows wait. Sending twice is harmless: the service knows
    (source, sequence), the source being CKAN's site id.
    """
    session = model.Session
    if not session.execute(sa.text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": LOCK}).scalar():
        session.rollback()
        return 0
    try:
        rows = session.query(Outbox).filter(Outbox.drained_at.is_(None)).order_by(Outbox.id).limit(limit).all()
        if not rows:
            return 0
        Gateway.for_system().post("/v1/audit/outbox", {
            "source": SOURCE.sub("-", str(tk.config["ckan.site_id"]).lower())[:64],
            "records": [_record_of(row) for row in rows],
        })
        ids = [row.id for row in rows]
        session.query(Outbox).filter(Outbox.id.in_(ids)).update(
            {"drained_at": sa.func.now()}, synchronize_session=False
        )
        session.execute(
            sa.text("DELETE FROM govopen_outbox WHERE drained_at < now() - make_interval(days => :days)"),
            {"days": KEPT_DAYS},
        )
        session.commit()
        return len(ids)
    finally:
        session.rollback()


def _record_of(row: Outbox) -> dict[str, Any]:
    """A row as the audit log takes it."""
    return {
        "sequence": row.id, "at": row.at.isoformat(), "action": row.action, "actor": str(row.body["actor"])[:200],
        "object_kind": row.action.partition(".")[0], "object_id": row.object[:128],
        "organisation_id": row.body.get("organisation_id"),
        "details": {"changed": row.body["changed"], "values": row.body["values"]},
    }


def waiting() -> int:
    """Rows that the service has not been given yet."""
    return int(model.Session.query(Outbox).filter(Outbox.drained_at.is_(None)).count())
