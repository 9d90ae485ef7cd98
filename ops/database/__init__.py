"""Migrations of all packages, each its own branch, run together."""

from ops.database.migrate import upgrade

__all__ = ["upgrade"]
