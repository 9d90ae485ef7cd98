"""Scheduled work of operations."""

from authz import Job

JOBS: list[Job] = []
