"""Bind our ``authz`` before CKAN's pytest plugin puts its own folder first on the path (see ops/decisions)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import authz  # noqa: F401
