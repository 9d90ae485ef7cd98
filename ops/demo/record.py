"""What the demo saw: each step with its actor, address, checks and figures, on the screen and as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class StepFailed(AssertionError):
    """A check of the main job does not hold."""


@dataclass
class Step:
    """One step of the main job as it is played."""

    number: int
    name: str
    actors: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)
    status: str = "running"
    seconds: float = 0.0
    error: str | None = None

    def see(self, address: str, what: str = "") -> None:
        """Name an address where a person can see the outcome."""
        self.addresses.append(address)
        print(f"     {what + '：' if what else ''}{address}", flush=True)

    def figure(self, name: str, value: Any) -> None:
        self.figures[name] = value
        print(f"     {name} = {value:,}" if isinstance(value, int) else f"     {name} = {value}", flush=True)

    def check(self, holds: object, what: str) -> None:
        """A fact that must hold; the step fails with its sentence when it does not."""
        self.checks.append({"what": what, "holds": bool(holds)})
        if not holds:
            raise StepFailed(what)

    def by(self, *names: str) -> None:
        self.actors += [name for name in names if name not in self.actors]


class Record:
    """All steps of a run."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.started = time.time()
        self.facts: dict[str, Any] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Play a step; a failure is recorded and the run goes on where it can. Step 0 is the loading."""
        step = Step(len(self.steps), name)
        self.steps.append(step)
        print(f"\n[{step.number:>2}] {name}", flush=True)
        began = time.monotonic()
        try:
            yield step
            step.status = "ok"
        except Exception as problem:
            step.status = "failed"
            step.error = f"{type(problem).__name__}: {problem}"
            print(f"     ✗ {step.error}", file=sys.stderr, flush=True)
            if not isinstance(problem, StepFailed):
                import traceback

                traceback.print_exc(limit=-4)
        finally:
            step.seconds = round(time.monotonic() - began, 2)
            held = sum(1 for check in step.checks if check["holds"])
            mark = "✓" if step.status == "ok" else "✗"
            print(f"     {mark} {held}/{len(step.checks)} 项核对，{step.seconds:.1f} 秒", flush=True)

    @property
    def held(self) -> bool:
        return bool(self.steps) and all(step.status == "ok" for step in self.steps)

    def write(self, path: Path) -> None:
        document = {
            "held": self.held, "seconds": round(time.time() - self.started, 1), **self.facts,
            "steps": [vars(step) for step in self.steps],
        }
        partial = path.with_suffix(path.suffix + ".part")
        partial.write_text(json.dumps(document, ensure_ascii=False, indent=1, default=str), encoding="utf-8")
        partial.replace(path)
