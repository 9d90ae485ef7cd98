"""Counting again what the catalogue's figures are made of, and telling the index of datasets that it has to hear of.

One round at a time: rows of tables that moved, downloads by the service's count, then the index. A dataset whose
figures changed is marked stale in the same transaction; the mark stays until the index has taken it, whatever dies.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan import model
from ckan.lib import search
from ckanext.govopen import figures, presentation, rows, search_range
from ckanext.govopen.gateway import Gateway, ServiceProblem
from ckanext.govopen.model import ResourceFigures, Stale
from flask import current_app, has_app_context, has_request_context
from sqlalchemy.dialects.postgresql import insert

log = logging.getLogger(__name__)

LOCK = 4_701_926_003
BATCH = 200
VERSION_KEY, VERSION = "govopen.index_version", "2"
"""Raised with every change to what ``indexing.py`` sends, so that each site's index is renewed by itself."""
PAGE = 5000
OVERLAP = timedelta(days=2)
"""Downloads are asked for again this far back, so that none is missed at midnight or between two clocks."""


@dataclass
class Outcome:
    counted: int = 0
    downloads: int = 0
    indexed: int = 0
    failed: int = 0
    service_away: bool = False


def refresh(since: date | None = None) -> Outcome:
    """Count what moved, ask the service for downloads since a day (None: all), and tell the index. One at a time."""
    outcome = Outcome()
    with model.meta.engine.connect() as guard:
        if not guard.execute(sa.select(sa.func.pg_try_advisory_lock(LOCK))).scalar():
            return outcome
        try:
            renew()
            outcome.counted = count_rows()
            try:
                outcome.downloads = take_downloads(since)
            except ServiceProblem as problem:
                outcome.service_away = True
                log.warning("downloads are not known: %s", problem)
            outcome.indexed, outcome.failed = index_stale()
        finally:
            guard.execute(sa.select(sa.func.pg_advisory_unlock(LOCK)))
            model.Session.remove()
    return outcome


def count_rows() -> int:
    """Count the open tables that moved since they were counted; tells how many had another number of rows."""
    open_tables = dict(_open_tables())
    moved = rows.movements(open_tables)
    known = {one.resource_id: (one.moved, one.rows) for one in model.Session.query(ResourceFigures)}
    wanted = {name: number for name, number in moved.items() if known.get(name, (None, None))[0] != number}
    changed = 0
    for resource_id, counted in rows.counts(set(wanted)).items():
        figures.put(resource_id, open_tables[resource_id], moved=wanted[resource_id], rows=counted)
        if known.get(resource_id, (None, None))[1] != counted:
            figures.mark_stale([open_tables[resource_id]])
            changed += 1
    changed += _forget(resource_id for resource_id, (_, counted) in known.items()
                       if counted is not None and resource_id not in moved)
    model.Session.commit()
    return changed


def take_downloads(since: date | None = None) -> int:
    """Take over the service's count; open tables nobody has downloaded have zero. Tells how many figures changed."""
    datasets = dict(_open_tables())
    known = {one.resource_id: one.deliveries for one in model.Session.query(ResourceFigures)}
    told = dict(_downloads(since))
    if since is None:
        told = {**dict.fromkeys(datasets, 0), **told}
    changed = 0
    for resource_id, number in told.items():
        if resource_id in datasets and known.get(resource_id) != number:
            figures.put(resource_id, datasets[resource_id], deliveries=number)
            figures.mark_stale([datasets[resource_id]])
            changed += 1
    model.Session.commit()
    return changed


def index_stale() -> tuple[int, int]:
    """Index again what is marked; tells how many were taken and how many have to wait."""
    taken = failed = 0
    shower = search_range.Shower()
    while batch := model.Session.query(Stale.dataset_id, Stale.since).order_by(Stale.since).limit(BATCH).all():
        done = _index([(dataset_id, since) for dataset_id, since in batch], shower)
        taken, failed = taken + done, failed + len(batch) - done
        if done < len(batch):
            break
    return taken, failed


def index_now(dataset_id: str) -> None:
    """Tell the index at once what is marked; if it is away, the next refresh does."""
    found = model.Session.query(Stale.since).filter_by(dataset_id=dataset_id).first()
    if found:
        _index([(dataset_id, found[0])])


def _index(marks: list[tuple[str, datetime]], shower: search_range.Shower | None = None) -> int:
    """Index these datasets with one commit, then take their marks away; tells how many were taken."""
    package = model.package_table.c
    alive = set(model.Session.scalars(sa.select(package.id).where(
        package.id.in_([dataset_id for dataset_id, _ in marks]), package.state != "deleted")))
    failed = set()
    with _request():
        wanted = [dataset_id for dataset_id, _ in marks if dataset_id in alive]
        for dataset_id, problem in search_range.index(wanted, shower):
            if problem is not None:  # whatever keeps the index from taking it, the mark stays
                log.warning("dataset %s waits for the index: %s: %s", dataset_id, type(problem).__name__, problem)
                failed.add(dataset_id)
    done = [(dataset_id, since) for dataset_id, since in marks if dataset_id not in failed]
    if not done:
        return 0
    try:
        search.commit()
    except search.SearchIndexError:
        return 0
    for dataset_id, since in done:
        model.Session.execute(sa.delete(Stale).where(Stale.dataset_id == dataset_id, Stale.since == since))
    model.Session.commit()
    return len(done)


def renew() -> int:
    """After an upgrade that sends other things to the index, mark every dataset; tells how many."""
    if model.get_system_info(VERSION_KEY) == VERSION:
        return 0
    statement = insert(Stale.__table__).from_select(
        ["dataset_id"], sa.select(model.Package.id).where(model.Package.state != "deleted")).on_conflict_do_nothing()
    marked = model.Session.execute(statement).rowcount
    model.set_system_info(VERSION_KEY, VERSION)
    model.Session.commit()
    return int(marked)


def _request() -> AbstractContextManager[Any]:
    """CKAN makes addresses while it reads a dataset, which takes a request; a process in the background has none."""
    if has_request_context() or not has_app_context():
        return nullcontext()
    return current_app.test_request_context(base_url=str(tk.config["ckan.site_url"]))


def _forget(resource_ids: Iterable[str]) -> int:
    """Tables that are no longer open, or gone, have no rows to tell of."""
    gone = list(resource_ids)
    for one in model.Session.query(ResourceFigures).filter(ResourceFigures.resource_id.in_(gone)) if gone else []:
        one.rows = one.moved = None
        figures.mark_stale([one.dataset_id])
    return len(gone)


def _open_tables() -> Iterator[tuple[str, str]]:
    """(resource, dataset) of what is active, not restricted and has a table.

    A province has 300,000 resources: those without a table are left out in the database, and no model is made of a row.
    """
    resource, package = model.resource_table.c, model.package_table.c
    extras = sa.type_coerce(resource.extras, sa.Text)
    found = model.Session.execute(
        sa.select(resource.id, resource.package_id, extras, package.extras.op("->>")("open_attribute"))
        .join_from(model.resource_table, model.package_table, package.id == resource.package_id)
        .where(resource.state == "active", package.state == "active", extras.contains('"datastore_active"')),
        execution_options={"yield_per": PAGE},
    )
    for resource_id, dataset_id, text, entry in found:
        known = json.loads(text)
        facts = {"open_attribute": known.get("open_attribute") or entry}
        if known.get("datastore_active") and not presentation.is_restricted(known, facts):
            yield resource_id, dataset_id


def _downloads(since: date | None) -> Iterator[tuple[str, int]]:
    gateway, cursor = Gateway.for_system(), ""
    while True:
        answer = gateway.get("/v1/usage/downloads", since=since.isoformat() if since else None, cursor=cursor,
                             limit=PAGE)
        for item in answer["items"]:
            yield str(item["resource_id"]), int(item["downloads"])
        if not answer.get("next"):
            return
        cursor = answer["next"]


def follow() -> Iterator[float]:
    """Refresh for ever; yields the seconds to wait between two rounds. The first one asks for everything."""
    since: date | None = None
    while True:
        outcome = refresh(since)
        if not outcome.service_away:
            since = (datetime.now(UTC) - OVERLAP).date()
        yield float(tk.config["ckanext.govopen.figures_every_s"])
