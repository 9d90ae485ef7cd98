"""Life cycles as data: every pair of state and event has an answer, and the picture is drawn from the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from authz import TransitionRefused

SYSTEM_WORK = "system"
"""Who: the clock or a rule, never a person."""


class IllegalTransition(TransitionRefused):
    """The event is not possible in this state; the sentence says what is."""

    zh = "当前状态“{state_zh}”下不能执行“{event_zh}”。"
    en = "'{event_en}' is not possible in state '{state_en}'."
    next_zh = "{possible_zh}"
    next_en = "{possible_en}"


S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True)
class Label:
    """A word in Chinese and English."""

    zh: str
    en: str

    def as_document(self) -> dict[str, str]:
        return {"label_zh": self.zh, "label_en": self.en}


@dataclass(frozen=True)
class Transition:
    """One row: in ``state``, ``event`` by whoever may do ``who`` leads to one of ``targets``.

    ``who`` is an action name of authz, or ``system``. Several targets mean that a rule of the procedure
    chooses, named in ``rule``. ``reason_required``: the act needs a stated reason and carries the remedy.
    """

    state: StrEnum
    event: StrEnum
    who: str
    targets: tuple[StrEnum, ...]
    guard: str = ""
    rule: str = ""
    reason_required: bool = False
    basis: str = ""

    @property
    def target(self) -> StrEnum:
        """The only state it leads to; raises ValueError when a rule has to choose."""
        (only,) = self.targets
        return only

    @property
    def by_system(self) -> bool:
        return self.who == SYSTEM_WORK


class TransitionTable:
    """A total table: ``answer`` gives a row or None for every pair, ``require`` refuses what is illegal."""

    def __init__(
        self,
        name: str,
        states: Mapping[S, Label],
        events: Mapping[E, Label],
        initial: StrEnum,
        rows: Iterable[Transition],
    ) -> None:
        self.name = name
        self.states: Mapping[StrEnum, Label] = dict(states.items())
        self.events: Mapping[StrEnum, Label] = dict(events.items())
        self.initial = initial
        self.rows = tuple(rows)
        self._by_pair: dict[tuple[StrEnum, StrEnum], Transition] = {}
        for row in self.rows:
            if row.state not in states or row.event not in events or set(row.targets) - set(states):
                raise ValueError(f"{name}: unknown state or event in {row}")
            if not row.targets or (len(row.targets) > 1 and not row.rule):
                raise ValueError(f"{name}: a choice of targets needs a rule: {row}")
            if (row.state, row.event) in self._by_pair:
                raise ValueError(f"{name}: answered twice: {row.state} {row.event}")
            self._by_pair[row.state, row.event] = row

    def answer(self, state: StrEnum, event: StrEnum) -> Transition | None:
        """The row for a pair, None when the event is illegal in that state."""
        return self._by_pair.get((state, event))

    def require(self, state: StrEnum, event: StrEnum) -> Transition:
        """The row for a pair; raises IllegalTransition (409)."""
        row = self.answer(state, event)
        if row is None:
            here = [r.event for r in self.rows if r.state == state and not r.by_system]
            end = ("该事项已办结。", "It has come to its end.")
            raise IllegalTransition(
                state=state.value, event=event.value,
                state_zh=self.states[state].zh, state_en=self.states[state].en,
                event_zh=self.events[event].zh, event_en=self.events[event].en,
                possible_zh="当前可以：" + "、".join(self.events[e].zh for e in here) + "。" if here else end[0],
                possible_en="Possible now: " + ", ".join(self.events[e].en for e in here) + "." if here else end[1],
            )
        return row

    def chosen(self, row: Transition, target: StrEnum) -> StrEnum:
        """``target`` when the row may lead there; raises ValueError, a fault of ours, otherwise."""
        if target not in row.targets:
            raise ValueError(f"{self.name}: {row.state} {row.event} does not lead to {target}")
        return target

    def possible(self, state: StrEnum) -> tuple[Transition, ...]:
        return tuple(row for row in self.rows if row.state == state)

    @property
    def terminal(self) -> frozenset[StrEnum]:
        """States that nothing leads out of."""
        return frozenset(self.states) - {row.state for row in self.rows}

    def mermaid(self) -> str:
        """The state diagram in Mermaid's notation, Chinese labels, in table order."""
        lines = ["stateDiagram-v2"]
        lines += [f"    {state.value}: {label.zh} {state.value}" for state, label in self.states.items()]
        lines.append(f"    [*] --> {self.initial.value}")
        for row in self.rows:
            lines += [
                f"    {row.state.value} --> {target.value}: {self.events[row.event].zh}" for target in row.targets
            ]
        lines += [f"    {state.value} --> [*]" for state in self.states if state in self.terminal]
        return "\n".join(lines)

    def markdown(self) -> str:
        """The rows as a Markdown table."""
        lines = [
            "| State | Event | Who | Guard | Next |",
            "|---|---|---|---|---|",
        ]
        for row in self.rows:
            following = " / ".join(f"`{t.value}`" for t in row.targets) + (f" ({row.rule})" if row.rule else "")
            guard = "; ".join(part for part in (row.guard, "reason" if row.reason_required else "") if part)
            lines.append(
                f"| {self.states[row.state].zh} `{row.state.value}` | {self.events[row.event].zh} `{row.event.value}`"
                f" | `{row.who}` | {guard or '–'} | {following} |"
            )
        return "\n".join(lines)
