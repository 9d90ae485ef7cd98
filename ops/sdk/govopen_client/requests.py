"""Every request of a dataset and of an export job, made once for both clients. No I/O."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .asking import PAGE_ROWS_MAX, Ask, Filters, filter_list, selection


def schema(resource_id: str) -> Ask:
    return Ask("GET", f"/data/v1/{resource_id}/schema")


def files(resource_id: str) -> Ask:
    return Ask("GET", f"/data/v1/{resource_id}/files")


def page(
    resource_id: str,
    columns: Iterable[str] | None,
    filters: Filters | None,
    purpose: str | None,
    rows: int,
    cursor: str | None,
    metered: bool,
) -> Ask:
    if not 1 <= rows <= PAGE_ROWS_MAX:
        raise ValueError(f"a page has 1 to {PAGE_ROWS_MAX} rows")
    params = selection(columns, filters, purpose, limit=rows, cursor=cursor)
    return Ask("GET", f"/data/v1/{resource_id}/rows", params, metered=metered)


def download(
    resource_id: str,
    form: str,
    columns: Iterable[str] | None,
    filters: Filters | None,
    purpose: str | None,
    metered: bool,
    **more: Any,
) -> Ask:
    params = [("format", form), *selection(columns, filters, purpose, **more)]
    return Ask("GET", f"/data/v1/{resource_id}", params, metered=metered)


def lookup(
    resource_id: str, key: str, values: Sequence[Any], columns: Iterable[str] | None, purpose: str | None, metered: bool
) -> Ask:
    body: dict[str, Any] = {"key": key, "values": list(values)}
    if columns is not None:
        body["columns"] = list(columns)
    if purpose is not None:
        body["purpose"] = purpose
    return Ask("POST", f"/data/v1/{resource_id}/lookup", json=body, metered=metered)


def verify(resource_id: str, checks: Iterable[Mapping[str, Any]], purpose: str | None) -> Ask:
    body: dict[str, Any] = {"checks": [dict(one) for one in checks]}
    if purpose is not None:
        body["purpose"] = purpose
    return Ask("POST", f"/data/v1/{resource_id}/verify", json=body, metered=True)


def analysis(resource_id: str, sql: str, purpose: str | None) -> Ask:
    body = {"sql": sql} if purpose is None else {"sql": sql, "purpose": purpose}
    return Ask("POST", f"/data/v1/{resource_id}/analysis", json=body, metered=True)


def export(
    resource_id: str,
    form: str,
    columns: Iterable[str] | None,
    filters: Filters | None,
    purpose: str | None,
    idempotency_key: str | None,
) -> Ask:
    """Safe to send again: the site answers with the same job for the same Idempotency-Key."""
    body: dict[str, Any] = {"format": form, "filters": filter_list(filters)}
    if columns is not None:
        body["columns"] = list(columns)
    if purpose is not None:
        body["purpose"] = purpose
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    return Ask("POST", f"/data/v1/{resource_id}/exports", json=body, headers=headers)


def export_path(resource_id: str, export_id: str) -> str:
    return f"/data/v1/{resource_id}/exports/{export_id}"


def usage(grant_id: str, days: int) -> Ask:
    return Ask("GET", f"/v1/grants/{grant_id}/usage", [("days", str(days))])


def events(grant_id: str, period: str | None, cursor: str | None) -> Ask:
    params = [("grant_id", grant_id), ("limit", "1000")]
    params += [(name, value) for name, value in (("period", period), ("cursor", cursor)) if value]
    return Ask("GET", "/v1/usage/events", params)
