"""``citus``: the tables of usage on one server and spread over several, by the product's own code.

Needs a PostgreSQL into which Citus has been installed; ``GOVOPEN_CITUS_BIN`` names the folder of its programs. The
servers are started for the measurement, with the stack's settings, on ports of their own, and removed afterwards.
``GOVOPEN_CITUS_LAYOUTS`` chooses what is measured (all of it by default):

* ``plain``: one server without Citus; ``alone``: one server with it, which holds the shards;
  ``w1``, ``w2``, ``w3``: a coordinator without shards and one to three workers.
* ``kills``: two workers; servers die at random while events are taken in (``GOVOPEN_CITUS_KILLS`` of them).
* ``grow``: two workers, then a third one, to which shards move while events are taken in.

All servers share the machine's cores: what several of them take in at once shows what distribution costs, not what
more machines bring. That is told by the processor time of each server for one event.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext

from ops.bench.citus import looking, taking_in, trouble
from ops.bench.citus.figures import Results
from ops.bench.citus.layout import lay_out
from ops.bench.citus.nodes import Cluster, Missing, cluster
from ops.bench.citus.statements import on_citus
from ops.bench.framework import Figure, Say, register
from ops.database import upgrade

WORKERS = {"plain": 0, "alone": 0, "w1": 1, "w2": 2, "w3": 3, "kills": 2, "grow": 2}
VARIABLE = "GOVOPEN_CITUS_LAYOUTS"


@register("citus", "usage tables on Citus beside plain PostgreSQL (GOVOPEN_CITUS_BIN: a PostgreSQL with Citus)")
def measure(say: Say) -> list[Figure]:
    """Every layout in turn, each on servers of its own."""
    try:
        return [figure for name in layouts() for figure in _measured(name, say)]
    except Missing as problem:
        raise SystemExit(str(problem)) from problem


def layouts() -> list[str]:
    """Those that were asked for, in their order. Raises Missing when one of them is unknown."""
    asked = os.environ.get(VARIABLE, "").replace(",", " ").split() or list(WORKERS)
    for name in asked:
        if name not in WORKERS:
            raise Missing(f"{VARIABLE}: 没有布局 {name}，可选 / no layout {name}, there are {', '.join(WORKERS)}")
    return asked


def _measured(name: str, say: Say) -> list[Figure]:
    results = Results(name, [])
    citus = name != "plain"
    with cluster(WORKERS[name], citus=citus) as servers:
        if citus:
            lay_out(servers)
        else:
            upgrade(servers.coordinator.url)
        with on_citus() if citus else nullcontext():
            asyncio.run(_trouble(servers, results, say) if name in ("kills", "grow") else _all(servers, results, say))
    for figure in results.figures:
        say(f"{figure.name} {figure.value:,g} {figure.unit}")
    return results.figures


async def _all(servers: Cluster, results: Results, say: Say) -> None:
    async with taking_in.service(servers) as runtime:
        await taking_in.warm(runtime.pool, results)
        await taking_in.batches(servers, runtime, results, say)
        await taking_in.singles(servers, runtime, results)
        await taking_in.shards(runtime, results)
        await looking.fill(runtime.pool, say)
        await looking.queries(runtime.pool, results)
        await looking.sums(runtime.pool, results)
        await looking.size(runtime.pool, results, citus=results.layout != "plain")
        await looking.months(runtime.pool, results)
        await taking_in.once(runtime, results)


async def _trouble(servers: Cluster, results: Results, say: Say) -> None:
    if results.layout == "kills":
        await trouble.kills(servers, results, say)
        return
    async with taking_in.service(servers) as runtime:
        await taking_in.warm(runtime.pool, results)
        await looking.fill(runtime.pool, say)
    await trouble.grow(servers, results, say)
