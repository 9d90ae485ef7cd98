"""Contrast of the tokens, worked out by WCAG's formula for both schemes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOKENS = Path(__file__).parents[2] / "ckanext-govopen/ckanext/govopen/assets/css/tokens.css"
COLOUR = re.compile(r"--go-([a-z0-9-]+):\s*(#[0-9a-f]{6})")
TEXT = [
    (ink, ground)
    for ground in ("ground", "band", "raised")
    for ink in ("ink", "ink-2", "brand", "open", "conditional", "closed", "danger")
] + [
    ("open", "open-wash"), ("conditional", "conditional-wash"), ("closed", "closed-wash"), ("danger", "danger-wash"),
    ("brand", "brand-wash"), ("ink", "brand-wash"),
    ("ink-2", "brand-wash"), ("ink", "mark"), ("brand", "mark"),
    ("ink-2", "mark"), ("ink", "code"),
    ("on-solid", "solid"), ("on-solid", "solid-hover"), ("on-solid", "danger-solid"), ("ink-2", "danger-wash"),
    ("ink-2", "closed-wash"), ("ink", "danger-wash"), ("ink", "conditional-wash"), ("ink", "open-wash"),
]
EDGES = [("line-strong", "ground"), ("line-strong", "raised"), ("focus", "ground"), ("solid", "ground")]


def tokens() -> dict[str, dict[str, str]]:
    light, _, dark = TOKENS.read_text(encoding="utf-8").partition("@media (prefers-color-scheme: dark)")
    found = dict(COLOUR.findall(light))
    return {"light": found, "dark": {**found, **dict(COLOUR.findall(dark))}}


def luminance(colour: str) -> float:
    channels = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(scheme: str) -> None:
    known = tokens()[scheme]
    faint = {pair: round(contrast(known[pair[0]], known[pair[1]]), 2) for pair in TEXT}
    assert {pair: value for pair, value in faint.items() if value < 4.5} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_edges_of_controls_are_visible(scheme: str) -> None:
    known = tokens()[scheme]
    faint = {pair: round(contrast(known[pair[0]], known[pair[1]]), 2) for pair in EDGES}
    assert {pair: value for pair, value in faint.items() if value < 3} == {}
