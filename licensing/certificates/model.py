"""What a certificate says. Facts as registered; nothing about a person (contacts are no part of it)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

KINDS = {"resource": ("公共数据资源", "Public data resource"), "product": ("数据产品和服务", "Data product or service"),
         "open_data": ("开放数据", "Open data")}


@dataclass(frozen=True)
class Certificate:
    """The facts behind a 登记结果查询码 (发改数据规〔2025〕26号, 第十三、十五条). Dates are Beijing dates."""

    code: str
    registration_id: str
    registrant: str
    registrant_code: str
    kind: str
    title: str
    summary: str
    domain: str
    source: str
    scale: str
    update_cycle: str
    region: str
    restrictions: str
    registrar: str
    coded_on: date
    valid_from: date
    valid_until: date
    evidence_algorithm: str
    evidence_digest: str
    evidence_at: str

    def as_claims(self) -> dict[str, Any]:
        return {key: value.isoformat() if isinstance(value, date) else value
                for key, value in asdict(self).items()}

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> Certificate:
        """Raises KeyError, TypeError or ValueError when a fact is missing or malformed."""
        values: dict[str, Any] = {}
        for spec in fields(cls):
            value = claims[spec.name]
            if not isinstance(value, str):
                raise TypeError(spec.name)
            values[spec.name] = date.fromisoformat(value) if spec.type == "date" else value
        return cls(**values)
