"""What is registered (第九条, seven groups of materials), as request bodies with their limits."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from authz import Body


def _no_control(value: str) -> str:
    if any(ord(c) < 32 and c not in "\n\t" for c in value) or any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise ValueError("不能包含控制字符 / must not contain control characters")
    return value


Short = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_no_control)]
Optional = Annotated[str, Field(max_length=200), AfterValidator(_no_control)]
Long = Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_no_control)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


SOURCE_MODES = {
    "duty": "履职产生", "collection": "采集", "sharing": "共享取得", "agreement": "协议取得", "derived": "衍生",
}


class Source(Body):
    """(2) lawful and compliant origin."""

    mode: Literal["duty", "collection", "sharing", "agreement", "derived"]
    basis: Long
    upstream_codes: Annotated[list[Short], Field(max_length=20)] = []
    provider_consent: Optional = ""

    @model_validator(mode="after")
    def _consent(self) -> Source:
        if self.mode == "sharing" and not self.provider_consent:
            raise ValueError("共享取得的数据须填写提供单位同意书编号 / shared data needs the providing unit's consent")
        return self


class Evidence(Body):
    """(4) deposit of evidence, made before applying: who keeps which digest since when."""

    provider: Short
    number: Short
    algorithm: Literal["SM3", "SHA-256"]
    digest: Digest
    deposited_on: date


class Product(Body):
    """(5) the product or service, when one is registered."""

    category: Literal["public_interest", "industry"]
    form: Literal["dataset", "api", "model", "verification", "report"]
    agreement_number: Optional = ""
    agreement_ends_on: date | None = None
    price_source: Optional = ""


class Scenario(Body):
    """(6) where it is used."""

    name: Short
    description: Long
    audience: Optional = ""


class Security(Body):
    """(7) assessment of security risks."""

    assessed_on: date
    conclusion: Literal["low", "medium", "high"]
    measures: Long


class BusinessReview(Body):
    """The registrant's own review, passed before applying (第七条)."""

    reviewer: Short
    reviewed_on: date
    opinion: Long


class Content(Body):
    """Everything the registrant declares. ``contact_*`` are for the registrar and never public."""

    kind: Literal["resource", "product", "open_data"]
    title: Annotated[str, Field(min_length=2, max_length=40), AfterValidator(_no_control)]
    summary: Annotated[str, Field(min_length=10, max_length=400), AfterValidator(_no_control)]
    domain: Short
    industry: Optional = ""
    region: Short
    time_range: Optional = ""
    update_cycle: Short
    scale: Short
    format: Short
    grade: Literal["core", "important", "general-4", "general-3", "general-2", "general-1"]
    has_personal_info: bool
    restrictions: Annotated[str, Field(max_length=400), AfterValidator(_no_control)] = ""
    dataset_names: Annotated[list[Short], Field(max_length=20)] = []
    contact_name: Short
    contact_phone: Annotated[str, Field(pattern=r"^[0-9+() -]{5,20}$")]
    source: Source
    evidence: Evidence
    product: Product | None = None
    scenario: Scenario
    security: Security
    business_review: BusinessReview

    @model_validator(mode="after")
    def _whole(self) -> Content:
        if self.kind == "product" and self.product is None:
            raise ValueError("登记数据产品须填写产品和服务信息 / a product needs its product information")
        return self


PUBLIC_FIELDS = ("kind", "title", "summary", "domain", "region", "update_cycle", "scale", "restrictions")
"""What anyone may see of a registration; the notice itself shows the four items of 第十二条."""
