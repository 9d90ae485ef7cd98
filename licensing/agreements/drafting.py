"""The terms and the Chinese text of an agreement, made from what was decided and offered."""

from __future__ import annotations

import calendar
import hashlib
import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from authz.vocabularies import label
from licensing.parties import Party

if TYPE_CHECKING:
    from licensing.applications.model import Application

TEMPLATE = Path(__file__).parent / "templates" / "data_use_agreement.zh.txt"
SPACES = re.compile(r"\s+")
METERS = {"rows": "条", "calls": "次"}
OPS = {"eq": "等于", "in": "属于", "prefix": "开头为", "gte": "不小于", "lte": "不大于"}
MASKS = {
    "partial": "部分遮蔽", "hash": "不可逆散列", "null": "置空", "hide": "不提供", "generalise_date": "日期概化",
    "generalise_number": "数值概化", "generalise_region": "区划概化",
}
SECURITY_DUTIES = (
    "protect_with_technical_measures", "no_reidentification", "no_onward_transfer", "keep_processing_records_3y",
    "report_incidents", "delete_at_end",
)
"""Codes of the duties in clause five (网络数据安全管理条例 12), for the machine-readable twin."""


def last_day(starts_on: date, term_months: int) -> date:
    """The last day of a term in months that begins on ``starts_on``: the day before the same day of the month."""
    month = starts_on.month - 1 + term_months
    year, month = starts_on.year + month // 12, month % 12 + 1
    day = min(starts_on.day, calendar.monthrange(year, month)[1])
    return date(year, month, day) - timedelta(days=1)


def terms_of(application: Application, party: Party) -> dict[str, Any]:
    """The snapshot: purpose, manner, scope and security duties (网络数据安全管理条例 12), price and quota."""
    request, offer = application.request, application.offer or {}
    return {
        "party": {"id": party.id, "name": party.name, "uscc": party.uscc},
        "object": application.object.as_document(),
        "purpose": {
            "class": request.purpose_class.value, "code": request.purpose, "text": request.purpose_text,
            "scenario": request.scenario,
        },
        "manner": {"delivery": list(request.delivery)},
        "scope": {
            "columns": [one.name for one in application.approved_fields],
            "titles": {one.name: one.title for one in application.approved_fields},
            "refused": {one.name: one.title for one in application.refused_fields},
            "masks": dict(application.masks), "row_filter": [dict(one) for one in application.row_filter],
            "term_months": request.term_months, "quota": dict(offer.get("quota") or {}),
        },
        "security_duties": list(SECURITY_DUTIES),
        "price": {
            key: offer.get(key)
            for key in ("rate_card_id", "rate_card_version", "use_class", "currency", "pricing", "shares_version")
        },
        "consent_reference": application.review.consent_reference,
        "risk_assessment_id": application.review.risk_assessment_id,
    }


def _line(text: object) -> str:
    """Free text as one line in quotes' keeping: it must not be able to look like a clause of its own."""
    return SPACES.sub(" ", str(text)).replace("「", "“").replace("」", "”").strip()


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}元"


def _price(price: Mapping[str, Any]) -> str:
    pricing = price.get("pricing") or {}
    unit = METERS.get(str(pricing.get("meter")), "单位")
    tiers, flat = pricing.get("tiers") or [], int(pricing.get("flat_fen") or 0)
    if price.get("use_class") == "public_interest":
        return "用于公共治理、公益事业，依据发改价格〔2025〕65号免费使用。"
    lines = [f"每月固定费用{_yuan(flat)}。"] if flat else []
    floor = 0
    for tier in tiers:
        to = f"至第{tier['up_to']}{unit}" if tier.get("up_to") else "起"
        lines.append(
            f"每月第{floor + 1}{unit}{to}，每{tier.get('per', 1)}{unit}{_yuan(int(tier['amount_fen']))}；"
        )
        floor = tier.get("up_to") or floor
    if price.get("rate_card_version") is not None:
        lines.append(f"资费版本：{price.get('rate_card_id')} 第{price.get('rate_card_version')}版。")
    lines.append("费用按平台计量记录按月结算，税费依照法律规定。")
    return "\n".join(lines)


def _quota(quota: Mapping[str, Any]) -> str:
    words = {
        "rows_month": "每月{}条", "calls_day": "每日{}次", "calls_minute": "每分钟{}次", "rows_call": "每次{}条",
        "rows_day": "每日{}条", "rows_life": "授权期内共{}条",
        "calls_month": "每月{}次", "calls_life": "授权期内共{}次",
        "bytes_day": "每日{}字节", "bytes_month": "每月{}字节", "bytes_life": "授权期内共{}字节",
        "keys_day": "每日查询{}个对象", "keys_month": "每月查询{}个对象", "keys_life": "授权期内共查询{}个对象",
    }
    found = [words[key].format(quota[key]) for key in words if quota.get(key)]
    return "，".join(found) or "不限"


def _mask(titles: Mapping[str, str], name: str, mask: str) -> str:
    kind = MASKS.get(mask.partition(":")[0], "脱敏")
    return f"  {_line(titles.get(name, name))}（{name}）：{kind}（{mask}）"


def _condition(one: Mapping[str, Any]) -> str:
    value = one["value"]
    shown = "、".join(_line(v) for v in value) if isinstance(value, list) else _line(value)
    return f"  {one['field']} {OPS.get(str(one['op']), one['op'])} {shown}"


def text_of(number: str, application_number: str, terms: Mapping[str, Any]) -> str:
    """The agreement's text; equal terms give equal text."""
    scope, purpose, object_ = terms["scope"], terms["purpose"], terms["object"]
    refused = "、".join(f"{title}（{name}）" for name, title in scope["refused"].items())
    title = _line(object_["title"])
    return TEMPLATE.read_text(encoding="utf-8").format(
        number=number, application_number=application_number,
        organisation_name=_line(object_["organisation_name"]), party_name=_line(terms["party"]["name"]),
        uscc=terms["party"]["uscc"] or "—", purpose_class=label("purpose_classes", purpose["class"]).zh,
        purpose=label("purposes", purpose["code"]).zh, purpose_text=_line(purpose["text"]),
        scenario=_line(purpose["scenario"]),
        delivery="、".join(label("delivery_forms", form).zh for form in terms["manner"]["delivery"]),
        dataset_title=_line(object_["dataset_title"]), object_title=f"（{title}）" if title else "",
        resource_id=object_["resource_id"],
        fields="\n".join(f"  {_line(scope['titles'][name])}（{name}）" for name in scope["columns"]),
        refused=f"未予同意的字段：{refused}\n" if refused else "",
        masks="\n".join(_mask(scope["titles"], name, mask) for name, mask in scope["masks"].items()) or "  无",
        row_filter="\n".join(_condition(one) for one in scope["row_filter"]) or "  全部",
        term_months=scope["term_months"], quota=_quota(scope["quota"]), price=_price(terms["price"]),
    )


def digest(text: str) -> str:
    """SHA-256 of the text in UTF-8, in hexadecimal: what is signed."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
