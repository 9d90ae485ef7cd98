"""What is counted of datasets (rows, downloads, ratings), kept beside the catalogue; ``recount.py`` counts it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from ckan import model
from ckanext.govopen import presentation, ratings
from ckanext.govopen.model import ResourceFigures, Stale
from sqlalchemy.dialects.postgresql import insert


@dataclass(frozen=True)
class Figures:
    """Figures of a dataset; None is "not known or not applicable", zero is a figure."""

    rows: int | None = None
    downloads: int | None = None
    rating: ratings.Summary = field(default_factory=ratings.Summary)


_ahead: ContextVar[dict[str, Figures]] = ContextVar("figures read ahead")


@contextmanager
def read_ahead(datasets: list[dict[str, Any]]) -> Iterator[None]:
    """Within it the figures of these datasets are known."""
    token = _ahead.set(of_datasets(datasets))
    try:
        yield
    finally:
        _ahead.reset(token)


def of_dataset(dataset: dict[str, Any]) -> Figures:
    """Figures of a dataset as the pages have it: of its open tables and files only."""
    name = str(dataset.get("id"))
    known = _ahead.get({}).get(name)
    return known or of_datasets([dataset]).get(name, Figures())


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


def count_file(resource_id: str, dataset_id: str) -> None:
    """One download of an uploaded file; the index hears of it with the next refresh."""
    put(resource_id, dataset_id, files=1)
    mark_stale([dataset_id])
    model.Session.commit()


def forget(dataset_id: str) -> None:
    """A purged dataset takes its figures and ratings along; the caller commits."""
    ratings.forget_dataset(dataset_id)
    for table in (ResourceFigures, Stale):
        model.Session.execute(sa.delete(table).where(table.dataset_id == dataset_id))


def put(resource_id: str, dataset_id: str, **values: Any) -> None:
    table = ResourceFigures.__table__
    change = {**values, "dataset_id": dataset_id}
    if "files" in values:
        change["files"] = table.c.files + values["files"]
    model.Session.execute(
        insert(table).values(resource_id=resource_id, dataset_id=dataset_id, **values)
        .on_conflict_do_update(index_elements=["resource_id"], set_=change))
