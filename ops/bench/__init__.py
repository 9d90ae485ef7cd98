"""Benchmarks: figures that are measured by a command, never by a timed test."""

from ops.bench.framework import Bench, Figure, register, run

__all__ = ["Bench", "Figure", "register", "run"]
