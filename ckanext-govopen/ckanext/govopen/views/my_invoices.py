"""One's invoices: lines with the usage behind them, and the ways to pay."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import ServiceAway, ServiceProblem
from ckanext.govopen.views import my_common as my
from flask import Response, redirect

blueprint = my.signed_in_only("govopen_my_invoices")


def _show(invoice_id: str, problem: ServiceProblem | None = None) -> Any:
    gateway = my.service()
    item = gateway.get(my.path("invoices", invoice_id))
    vocabularies = gateway.get("/v1/vocabularies")
    payee = {name: str(tk.config.get(f"ckanext.govopen.payee_{name}") or "") for name in ("name", "bank", "account")}
    return my.page_of("govopen/my/invoice.html", {
        "item": item, "payee": payee, "lists": vocabularies["lists"], "words": my.words,
        "returned": tk.request.args.get("paid") == "1" and item["due_fen"] > 0,
    }, problem)


@blueprint.get("/my/invoices/<invoice_id>")
def show(invoice_id: str) -> Any:
    """One invoice."""
    return _show(invoice_id)


@blueprint.post("/my/invoices/<invoice_id>")
def pay(invoice_id: str) -> Any:
    """To the payment page of the provider, for exactly what is due."""
    try:
        address = str(my.service().post(my.path("invoices", invoice_id, "payments", "stripe", "checkout"))["url"])
    except ServiceProblem as problem:
        return _show(invoice_id, problem)
    if urlsplit(address).scheme not in ("https", "http"):
        return _show(invoice_id, ServiceAway("an address that is none"))
    return redirect(address, 303)


@blueprint.get("/my/invoices/<invoice_id>/usage.csv")
def usage(invoice_id: str) -> Any:
    """Every usage event behind the invoice."""
    answer = my.service().raw(my.path("invoices", invoice_id, "usage"), format="csv")
    name = answer.headers.get("Content-Disposition", 'attachment; filename="usage.csv"')
    return Response(answer.content, mimetype="text/csv",
                    headers={"Content-Disposition": name, "Cache-Control": "no-store"})
