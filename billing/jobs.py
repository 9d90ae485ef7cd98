"""Scheduled work of the billing package."""

from authz import Job

JOBS: list[Job] = []
