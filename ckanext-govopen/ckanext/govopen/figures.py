"""What is counted of datasets (rows, downloads, ratings), kept beside the catalogue and told to the search index.

Rows are counted where PostgreSQL says that a table moved; downloads come from the service's own count, those of
uploaded files are counted here. A dataset whose figures changed is marked stale in the same transaction and indexed
again after it; a mark stays until the index has taken the new figures, whatever dies in between.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan import logic, model
from ckan.lib import search
from ckanext.govopen import presentation, ratings, rows
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


@dataclass(frozen=True)
class Figures:
    """Figures of a dataset; None is "not known or not applicable", zero is a figure."""

    rows: int | None = None
    downloads: int | None = None
    rating: ratings.Summary = field(default_factory=ratings.Summary)


@dataclass
class Outcome:
    counted: int = 0
    downloads: int = 0
    indexed: int = 0
    failed: int = 0
    service_away: bool = False


def of_dataset(dataset: dict[str, Any]) -> Figures:
    """Figures of a dataset as the pages have it: of its open tables and files only."""
    return of_datasets([dataset]).get(str(dataset.get("id")), Figures())


def of_datasets(datasets: list[dict[str, Any]]) -> dict[str, Figures]:
    """The same for a list, by dataset id, in two queries."""
    opened = {resource["id"]: str(dataset.get("id")) for dataset in datasets
              for resource in dataset.get("resources") or [] if not presentation.is_restricted(resource, dataset)}
    counted: dict[str, list[int]] = {}
    downloads: dict[str, list[int]] = {}
    for one in model.Session.query(ResourceFigures).filter(ResourceFigures.resource_id.in_(list(opened))):
        dataset_id = opened[one.resource_id]
        if one.rows is not None:
            counted.setdefault(dataset_id, []).append(one.rows)
        if one.deliveries is not None or one.files:
            downloads.setdefault(dataset_id, []).append((one.deliveries or 0) + one.files)
    wanted = [str(dataset.get("id")) for dataset in datasets]
    rated = ratings.of_datasets(wanted)
    return {
        dataset_id: Figures(
            sum(counted[dataset_id]) if dataset_id in counted else None,
            sum(downloads[dataset_id]) if dataset_id in downloads else None, rated.get(dataset_id, ratings.Summary()))
        for dataset_id in wanted
    }


def mark_stale(dataset_ids: Iterable[str]) -> None:
    """The index has to hear of these datasets again; the caller commits."""
    now = sa.func.clock_timestamp()
    for dataset_id in sorted(set(dataset_ids)):
        model.Session.execute(
            insert(Stale.__table__).values(dataset_id=dataset_id)
            .on_conflict_do_update(index_elements=["dataset_id"], set_={"since": now}))


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
    open_tables = dict(_open_resources(datastore=True))
    moved = rows.movements(open_tables)
    known = {one.resource_id: (one.moved, one.rows) for one in model.Session.query(ResourceFigures)}
    wanted = {name: number for name, number in moved.items() if known.get(name, (None, None))[0] != number}
    changed = 0
    for resource_id, counted in rows.counts(set(wanted)).items():
        _put(resource_id, open_tables[resource_id], moved=wanted[resource_id], rows=counted)
        if known.get(resource_id, (None, None))[1] != counted:
            mark_stale([open_tables[resource_id]])
            changed += 1
    changed += _forget(resource_id for resource_id, (_, counted) in known.items()
                       if counted is not None and resource_id not in moved)
    model.Session.commit()
    return changed


def take_downloads(since: date | None = None) -> int:
    """Take over the service's count; open tables nobody has downloaded have zero. Tells how many figures changed."""
    datasets = dict(_open_resources(datastore=True))
    known = {one.resource_id: one.deliveries for one in model.Session.query(ResourceFigures)}
    told = dict(_downloads(since))
    if since is None:
        told = {**dict.fromkeys(datasets, 0), **told}
    changed = 0
    for resource_id, number in told.items():
        if resource_id in datasets and known.get(resource_id) != number:
            _put(resource_id, datasets[resource_id], deliveries=number)
            mark_stale([datasets[resource_id]])
            changed += 1
    model.Session.commit()
    return changed


def index_stale() -> tuple[int, int]:
    """Index again what is marked; tells how many were taken and how many have to wait."""
    taken = failed = 0
    while batch := model.Session.query(Stale.dataset_id, Stale.since).order_by(Stale.since).limit(BATCH).all():
        done = _index([(dataset_id, since) for dataset_id, since in batch])
        taken, failed = taken + done, failed + len(batch) - done
        if done < len(batch):
            break
    return taken, failed


def index_now(dataset_id: str) -> None:
    """Tell the index at once what is marked; if it is away, the next refresh does."""
    found = model.Session.query(Stale.since).filter_by(dataset_id=dataset_id).first()
    if found:
        _index([(dataset_id, found[0])])


def _index(marks: list[tuple[str, datetime]]) -> int:
    """Index these datasets with one commit, then take their marks away; tells how many were taken."""
    done: list[tuple[str, datetime]] = []
    for dataset_id, since in marks:
        package = model.Session.get(model.Package, dataset_id)
        if package is None or package.state == "deleted" or _indexed(dataset_id):
            done.append((dataset_id, since))
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


def _indexed(dataset_id: str) -> bool:
    try:
        with _request():
            logic.index_update_package({"ignore_auth": True}, dataset_id, True)
    except Exception as problem:  # whatever keeps the index from taking it, the mark stays
        model.Session.rollback()
        log.warning("dataset %s waits for the index: %s: %s", dataset_id, type(problem).__name__, problem)
        return False
    return True


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


def count_file(resource_id: str, dataset_id: str) -> None:
    """One download of an uploaded file; the index hears of it with the next refresh."""
    _put(resource_id, dataset_id, files=1)
    mark_stale([dataset_id])
    model.Session.commit()


def forget(dataset_id: str) -> None:
    """A purged dataset takes its figures and ratings along; the caller commits."""
    ratings.forget_dataset(dataset_id)
    for table in (ResourceFigures, Stale):
        model.Session.execute(sa.delete(table).where(table.dataset_id == dataset_id))


def _put(resource_id: str, dataset_id: str, **values: Any) -> None:
    table = ResourceFigures.__table__
    change = {**values, "dataset_id": dataset_id}
    if "files" in values:
        change["files"] = table.c.files + values["files"]
    model.Session.execute(
        insert(table).values(resource_id=resource_id, dataset_id=dataset_id, **values)
        .on_conflict_do_update(index_elements=["resource_id"], set_=change))


def _forget(resource_ids: Iterable[str]) -> int:
    """Tables that are no longer open, or gone, have no rows to tell of."""
    gone = list(resource_ids)
    for one in model.Session.query(ResourceFigures).filter(ResourceFigures.resource_id.in_(gone)) if gone else []:
        one.rows = one.moved = None
        mark_stale([one.dataset_id])
    return len(gone)


def _open_resources(datastore: bool) -> Iterator[tuple[str, str]]:
    """(resource, dataset) of what is active and not restricted; with ``datastore`` only what has a table."""
    found = model.Session.query(
        model.Resource.id, model.Resource.package_id, model.Resource.extras, model.Package.extras
    ).join(model.Package, model.Package.id == model.Resource.package_id).filter(
        model.Resource.state == "active", model.Package.state == "active")
    for resource_id, dataset_id, extras, entry in found:
        known = extras or {}
        attribute = known.get("open_attribute") or (entry or {}).get("open_attribute")
        if presentation.is_restricted({"govopen_access": known.get("govopen_access")}, {"open_attribute": attribute}):
            continue
        if not datastore or known.get("datastore_active"):
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
