"""What callers send about data objects, checked for form; the publish gate checks the sense."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator
from stdnum.cn import uscc

from authz.foundation.http import Body
from authz.model import DataObject, Grade, Mask, OpenAttribute
from authz.obligations.text import quoted

FIELDS_MAX = 500
SAMPLE_ROWS_MAX = 5_000

Id = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")]
Title = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
Text = Annotated[str, StringConstraints(max_length=5_000, pattern=r"^[^\x00]*$")]


class FieldBody(Body):
    """One column of a data object."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)]
    title: Title = ""
    type: Literal["text", "integer", "numeric", "date", "timestamp", "boolean"] = "text"
    grade: Grade = Grade.GENERAL_1
    open_attribute: OpenAttribute = OpenAttribute.UNCONDITIONAL
    sensitive: bool = False
    mask: Annotated[str, StringConstraints(max_length=60)] | None = None
    description: Text = ""

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        try:
            quoted(name)
        except ValueError as fault:
            raise ValueError("字段名不能作为列名 / cannot be the name of a column") from fault
        if name.startswith("_"):
            raise ValueError("字段名不能以下划线开头 / may not begin with an underscore")
        return name

    @field_validator("mask")
    @classmethod
    def _mask(cls, mask: str | None) -> str | None:
        if not mask:
            return None
        try:
            return str(Mask.parse(mask))
        except ValueError as fault:
            raise ValueError("没有这种脱敏规则 / is not a known mask") from fault


class ConditionsBody(Body):
    """What 有条件开放 must list in the catalogue (深圳经济特区数据条例 49)."""

    open_mode: Text = ""
    use_requirements: Text = ""
    security_measures: Text = ""


class ObjectBody(Body):
    """The catalogue facts of one file or table. ``version`` is the one the caller looked at."""

    resource_id: Id
    dataset_id: Id
    dataset_name: Title = ""
    dataset_title: Title = ""
    title: Title = ""
    organisation_id: Id
    organisation_name: Title = ""
    open_attribute: OpenAttribute
    grade: Grade
    has_personal_info: bool
    fields: Annotated[list[FieldBody], Field(max_length=FIELDS_MAX)] = []
    conditions: ConditionsBody | None = None
    refuse_reason: Text | None = None
    legal_basis: Text | None = None
    shared_from: Title | None = None
    operator_uscc: Annotated[str, StringConstraints(max_length=40)] | None = None
    version: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    sample: Annotated[list[dict[str, Any]], Field(max_length=SAMPLE_ROWS_MAX)] = []

    @field_validator("operator_uscc")
    @classmethod
    def _operator(cls, code: str | None) -> str | None:
        plain = (code or "").strip().upper()
        if plain and not uscc.is_valid(plain):
            raise ValueError("不是有效的统一社会信用代码 / is not a unified social credit code")
        return plain or None

    @model_validator(mode="after")
    def _distinct(self) -> ObjectBody:
        names = [one.name for one in self.fields]
        if len(set(names)) != len(names):
            raise ValueError("字段名重复 / two fields have the same name")
        return self

    def as_object(self) -> DataObject:
        return DataObject.from_document(self.model_dump(mode="json", exclude={"version", "sample"}))
