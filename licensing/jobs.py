"""Scheduled work of the licensing package: limits that have passed are acted on, nothing is approved by silence."""

from authz import SYSTEM, Call, Job, Runtime, new_id
from licensing import agreements, applications, grants


def _call(runtime: Runtime) -> Call:
    return Call(identity=SYSTEM, now=runtime.clock.now(), request_id=new_id("job"))


async def expire_applications(runtime: Runtime) -> None:
    """Drafts, supplements, offers and unsigned agreements whose last day has passed."""
    while True:
        async with runtime.transaction() as tx:
            done = await applications.expire_due(tx, _call(runtime), audit=runtime.audit)
        if not done:
            return


async def expire_grants(runtime: Runtime) -> None:
    """Grants whose term has ended, and the agreements they came from."""
    while True:
        async with runtime.transaction() as tx:
            call = _call(runtime)
            done = await grants.expire_due(tx, call, audit=runtime.audit)
            done += await agreements.expire_due(tx, call, audit=runtime.audit)
        if not done:
            return


JOBS: list[Job] = [
    Job("licensing.applications", 60.0, expire_applications),
    Job("licensing.grants", 30.0, expire_grants),
]
