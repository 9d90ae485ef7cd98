"""Scheduled work of operations."""

from authz import Job, Runtime
from ops.audit import tree
from ops.delivery import jobs as delivery


async def sequence_audit(runtime: Runtime) -> None:
    """Give new audit entries their place in the tree."""
    async with runtime.transaction() as tx:
        await tree.sequence(tx)


async def sign_checkpoint(runtime: Runtime) -> None:
    """Keep a signed checkpoint of the log as it grows."""
    async with runtime.transaction() as tx:
        await tree.checkpoint(tx, runtime.signing_key, runtime.clock.now())


JOBS: list[Job] = [
    Job("audit.sequence", 1, sequence_audit), Job("audit.checkpoint", 60, sign_checkpoint), *delivery.JOBS,
]
