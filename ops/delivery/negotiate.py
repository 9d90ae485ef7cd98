"""Which format a caller gets that names none by ``format``: what its Accept header rates highest."""

from __future__ import annotations

from ops.delivery.formats import FORMATS
from ops.delivery.formats.refusals import NotAcceptable

DEFAULT = "csv"
ORDER = ("csv", "json", "jsonl", "parquet", "arrow", "xlsx", "geojson")
"""Among formats that are rated alike, the first."""


def preferred_format(accept: str | None) -> str:
    """The best format for an Accept header (RFC 9110, 12.5.1); CSV without one. Raises NotAcceptable."""
    if not accept or not accept.strip():
        return DEFAULT
    rated = _ratings(accept)
    best, quality = DEFAULT, 0.0
    for name in ORDER:
        form = FORMATS[name]
        found = max(_quality(kind, rated) for kind in (form.media_type.split(";")[0], *form.accept))
        if found > quality:
            best, quality = name, found
    if quality <= 0.0:
        raise NotAcceptable(formats="、".join(FORMATS[name].media_type.split(";")[0] for name in ORDER))
    return best


def _ratings(accept: str) -> dict[str, float]:
    rated: dict[str, float] = {}
    for item in accept.lower().split(","):
        kind, *parameters = [part.strip() for part in item.split(";")]
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = min(1.0, max(0.0, float(parameter[2:])))
                except ValueError:
                    quality = 0.0
        rated[kind] = max(quality, rated.get(kind, 0.0))
    return rated


def _quality(kind: str, rated: dict[str, float]) -> float:
    """The rating of a media type: the most specific range that covers it."""
    for covering in (kind, f"{kind.split('/')[0]}/*", "*/*"):
        if covering in rated:
            return rated[covering]
    return 0.0
