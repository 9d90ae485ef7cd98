"""Whole files of open data, made once for each version of the rows."""

from ops.delivery.files.build import Files, Plan
from ops.delivery.files.store import FileStore, Manifest

__all__ = ["FileStore", "Files", "Manifest", "Plan"]
