"""Builders of facts for tests: a conditional register, an open table, a grant on the register, a request under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from authz.decision import DecisionRequest
from authz.model import DataField, DataObject, Grade, GrantFacts, Mask, OpenAttribute, RowFilter

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SALT = "salt-of-one-grant-0123456789"

REGISTER_FIELDS: Sequence[DataField] = (
    DataField("name", "企业名称", grade=Grade.GENERAL_2, open_attribute=OpenAttribute.CONDITIONAL),
    DataField("uscc", "统一社会信用代码", grade=Grade.GENERAL_1),
    DataField("region", "区划代码", grade=Grade.GENERAL_1),
    DataField(
        "phone", "法定代表人手机", grade=Grade.GENERAL_3, open_attribute=OpenAttribute.CONDITIONAL, sensitive=True,
        mask=Mask("partial", "phone"),
    ),
    DataField("capital", "注册资本", type="numeric", grade=Grade.GENERAL_2),
    DataField("founded", "成立日期", type="date", grade=Grade.GENERAL_1),
    DataField("note", "监管备注", grade=Grade.GENERAL_3, open_attribute=OpenAttribute.CLOSED),
)


def a_register(**changes: Any) -> DataObject:
    """A restricted table of enterprises, open on conditions, grade 3 for a masked phone column."""
    return replace(
        DataObject(
            resource_id="res-register", dataset_id="ds-register", dataset_name="enterprise-register",
            dataset_title="企业登记信息", title="企业登记信息表", organisation_id="org-market",
            organisation_name="市场监督管理局", open_attribute=OpenAttribute.CONDITIONAL, grade=Grade.GENERAL_3,
            has_personal_info=True, fields=tuple(REGISTER_FIELDS), version=1,
            conditions={"open_mode": "接口", "use_requirements": "按约定用途使用", "security_measures": "脱敏、审计"},
            location={"kind": "restricted", "schema": "restricted", "table": "r_register"},
        ),
        **changes,
    )


def an_open_table(**changes: Any) -> DataObject:
    """A table open to everyone."""
    return replace(
        DataObject(
            resource_id="res-villages", dataset_id="ds-villages", dataset_name="villages", dataset_title="村级区划",
            title="村级区划表", organisation_id="org-civil", organisation_name="民政局",
            open_attribute=OpenAttribute.UNCONDITIONAL, grade=Grade.GENERAL_1,
            fields=(DataField("code", "代码"), DataField("name", "名称")), version=1,
            location={"kind": "datastore", "table": "res-villages"},
        ),
        **changes,
    )


def a_grant(**changes: Any) -> GrantFacts:
    """A live grant on the register: two columns, lending risk control, one region, by API."""
    return replace(
        GrantFacts(
            id="grt_1", state="active", party_id="pty_bank", resource_id="res-register", columns=("name", "uscc"),
            purpose_class="industry", purpose="lending_risk_control", scenario="贷前审查", delivery=("api",),
            valid_from=NOW - timedelta(days=30), valid_until=NOW + timedelta(days=335),
            masks={"name": Mask("partial", "name")}, row_filter=(RowFilter("region", "prefix", "3301"),),
            salt=SALT, agreement_id="agr_1",
        ),
        **changes,
    )


def a_request(**changes: Any) -> DecisionRequest:
    """A key of that grant reads what it may have."""
    return replace(
        DecisionRequest(
            subject_kind="key", subject_id="key_1", object=a_register(), now=NOW, grant=a_grant(),
        ),
        **changes,
    )
