"""Scheduled work of the licensing package."""

from authz import Job

JOBS: list[Job] = []
