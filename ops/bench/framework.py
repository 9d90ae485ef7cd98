"""The registry of benchmarks and the form of what they report."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from ops.stack.interpreter import is_optimized

Say = Callable[[str], None]


@dataclass(frozen=True)
class Figure:
    """One measured value. ``reach`` is what is to be reached: a value, or a ratio when there is a peer."""

    name: str
    value: float
    unit: str
    better: str
    """``higher`` or ``lower``."""
    reach: float | None = None
    peer: str | None = None
    peer_value: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return round(self.value / self.peer_value, 3) if self.peer_value else None

    @property
    def is_reached(self) -> bool | None:
        judged = self.ratio if self.peer_value else self.value
        if self.reach is None or judged is None:
            return None
        return judged >= self.reach if self.better == "higher" else judged <= self.reach

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio}


@dataclass(frozen=True)
class Bench:
    """A named benchmark; ``measure`` gets a function for progress lines and returns the figures."""

    name: str
    summary: str
    measure: Callable[[Say], list[Figure]]


_registry: dict[str, Bench] = {}


def register(name: str, summary: str) -> Callable[[Callable[[Say], list[Figure]]], Callable[[Say], list[Figure]]]:
    """Make a function known as ``govopen bench NAME``."""

    def keep(measure: Callable[[Say], list[Figure]]) -> Callable[[Say], list[Figure]]:
        _registry[name] = Bench(name, summary, measure)
        return measure

    return keep


def load() -> dict[str, Bench]:
    """Import every module of ``ops.bench`` so that each registers itself."""
    package = importlib.import_module("ops.bench")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"ops.bench.{module.name}")
    return dict(sorted(_registry.items()))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpus": os.cpu_count(), "usable_cpus": len(psutil.Process().cpu_affinity()),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1), "system": platform.platform(),
        "python": platform.python_version(), "python_is_optimized": is_optimized(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def run(name: str | None, json_file: str | None = None) -> int:
    """Measure, print a table, write JSON; 0 when measured, 2 when there is no such benchmark."""
    known = load()
    if name not in known:
        if name:
            print(f"没有这个基准 / no such benchmark: {name}", file=sys.stderr)
        for bench in known.values():
            print(f"  {bench.name:<10} {bench.summary}")
        return 2 if name else 0
    about = machine()
    figures = known[name].measure(lambda line: print(f"  … {line}", file=sys.stderr, flush=True))
    _table(figures)
    if json_file:
        report = {"bench": name, "figures": [figure.as_dict() for figure in figures], "machine": about}
        Path(json_file).write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0


def _table(figures: list[Figure]) -> None:
    for figure in figures:
        peer = f"{figure.peer} {figure.peer_value:g}, ratio {figure.ratio}" if figure.peer_value else ""
        mark = {True: "✓", False: "✗", None: " "}[figure.is_reached]
        reach = f"reach {figure.reach:g}" if figure.reach is not None else ""
        print(f"{mark} {figure.name:<22} {figure.value:>12,.2f} {figure.unit:<8} {reach:<12} {peer}".rstrip())
