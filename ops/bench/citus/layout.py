"""The product's tables of usage, as its migrations make them, laid out over the nodes of a Citus cluster.

What the distribution asks for beyond ``create_distributed_table`` is in ``BEFORE``; everything else stays as it is.
"""

from __future__ import annotations

from ops.bench.citus.nodes import Cluster
from ops.database import upgrade

SHARDS = 12
"""Of each table. As many on each of one, two, three or four nodes."""
BY_GRANT = (
    ("usage_event", "subject"),
    ("usage_effective", "subject"),
    ("usage_counter", "grant_id"),
    ("usage_counter_late", "grant_id"),
    ("usage_grant_sequence", "grant_id"),
    ("usage_source_sequence", "grant_id"),
    ("usage_reservation", "grant_id"),
    ("usage_key", "grant_id"),
)
BY_ID = (("usage_identity", "id"),)
REFERENCE = ("usage_product", "usage_product_grant", "meter", "usage_archive")
BEFORE = (
    "ALTER TABLE billing.usage_reservation DROP CONSTRAINT usage_reservation_pkey, ADD PRIMARY KEY (id, grant_id)",
)
UNSAFE = "SET citus.enable_unsafe_triggers = on"
"""Without it a table that has any trigger is not distributed."""


def lay_out(cluster: Cluster, shards: int = SHARDS) -> None:
    """Migrate the coordinator's database and distribute what grows with usage."""
    node = cluster.coordinator
    upgrade(node.url)
    node.ask(f"ALTER DATABASE govopen {UNSAFE}")
    for statement in BEFORE:
        node.ask(statement)
    first = f"billing.{BY_GRANT[0][0]}"
    for name, column in BY_GRANT:
        beside = f"shard_count => {shards}" if f"billing.{name}" == first else f"colocate_with => '{first}'"
        node.ask(f"SELECT create_distributed_table('billing.{name}', '{column}', {beside})")
    for name, column in BY_ID:
        node.ask(
            f"SELECT create_distributed_table('billing.{name}', '{column}', shard_count => {shards},"
            " colocate_with => 'none')"
        )
    for name in REFERENCE:
        node.ask(f"SELECT create_reference_table('billing.{name}')")
