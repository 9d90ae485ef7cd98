"""``ckan govopen``: the outbox, and putting the service's facts right."""

from __future__ import annotations

import json
import signal
import sys
import time

import ckan.plugins.toolkit as tk
import click
from ckan import model
from ckanext.govopen import outbox, publication, recount, search_feed
from ckanext.govopen.gateway import SYSTEM, ServiceProblem
from ckanext.govopen.model import Publication

__all__ = ["govopen"]

PAUSE_S = 1.0
PAUSE_S_MAX = 30.0


@click.group()
def govopen() -> None:
    """Audit outbox and publication of the catalogue."""


@govopen.command()
@click.option("--follow", is_flag=True, help="Keep running and hand over each change within a second.")
def drain(follow: bool) -> None:
    """Hand the changes that wait in the outbox to the service's audit log."""
    if not follow:
        try:
            sent = _drain_all()
        except ServiceProblem as problem:
            raise click.ClickException(f"{outbox.waiting()} waiting; {problem}") from problem
        click.echo(f"{sent} drained, {outbox.waiting()} waiting")
        return
    running = [True]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.clear())
    pause = PAUSE_S
    while running:
        try:
            pause = PAUSE_S if _drain_all() >= 0 else pause
        except ServiceProblem as problem:
            pause = min(pause * 2, PAUSE_S_MAX)
            click.echo(f"waiting for the service: {problem}", err=True)
        except Exception as problem:  # the database went away: it is tried again, nothing is lost
            pause = min(pause * 2, PAUSE_S_MAX)
            model.Session.rollback()
            click.echo(f"{type(problem).__name__}: {problem}", err=True)
        deadline = time.monotonic() + pause
        while running and time.monotonic() < deadline:
            time.sleep(0.1)


def _drain_all() -> int:
    sent = 0
    while True:
        count = outbox.drain()
        sent += count
        if count < outbox.BATCH:
            model.Session.remove()
            return sent


@govopen.command()
@click.option("--all", "everything", is_flag=True, help="Also what the service has accepted before.")
def republish(everything: bool) -> None:
    """Put the facts of every public dataset to the service again; exits 1 when one is refused."""
    if everything:
        model.Session.query(Publication).update({"digest": ""}, synchronize_session=False)
        model.Session.commit()
    ids = [row.id for row in model.Session.query(model.Package.id).filter_by(state="active", private=False)]
    refused = 0
    with click.progressbar(ids, label="datasets") as listed:
        for dataset_id in listed:
            try:
                publication.synchronise(SYSTEM, dataset_id)
                model.Session.commit()
            except tk.ValidationError as problem:
                refused += 1
                click.echo(f"\n{dataset_id}: {problem.error_dict}", err=True)
    click.echo(f"{len(ids) - refused} published, {refused} refused")
    if refused:
        raise SystemExit(1)


@govopen.command()
def figures() -> None:
    """Count rows, take over downloads from the service, and tell the search index what changed; once."""
    outcome = recount.refresh()
    click.echo(f"{outcome.counted} tables counted anew, {outcome.downloads} downloads changed, "
               f"{outcome.indexed} datasets indexed")
    if outcome.service_away:
        click.echo("the service is away: downloads are as they were", err=True)
    if outcome.failed or outcome.service_away:
        raise SystemExit(1)


@govopen.command("search-feed")
@click.option("--parts", default=1, show_default=True, help="How many processes read datasets.")
@click.option("--full", is_flag=True, help="Make every document, also those that are as they should be.")
@click.option("--anew", is_flag=True, help="Begin with an empty index, and make every document.")
@click.option("--restart", is_flag=True, help="Drop one that is unfinished.")
def feed_search(parts: int, full: bool, anew: bool, restart: bool) -> None:
    """Rebuild the search index, or go on with it; ``govopen search rebuild`` does so and shows how far it is."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # in order, so that the other processes end as well
    try:
        documents, failed = search_feed.rebuild(parts, everything=full, anew=anew, restart=restart)
    except RuntimeError as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(json.dumps({"documents": documents, "failed": failed}))
