"""Scheduled work of the authz package."""

from authz.foundation.runtime import Job

JOBS: list[Job] = []
