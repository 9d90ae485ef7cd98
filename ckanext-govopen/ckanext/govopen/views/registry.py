"""Public pages of registration: notices, the list of registered data, verification of certificates."""

from __future__ import annotations

import re
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import Gateway, ServiceProblem, segment
from flask import Blueprint, make_response

blueprint = Blueprint("govopen_registry", __name__)
CODE = re.compile(r"[0-9A-Z]{8,64}")
TOKEN_CHARS_MAX = 20_000


def _listed(path: str, template: str) -> Any:
    """A page of a cursor list; a service that is away is said so, with the page still standing."""
    cursor = tk.request.args.get("cursor", "")[:64]
    try:
        found = Gateway(None).get(path, limit=50, cursor=cursor or None)
    except ServiceProblem as problem:
        return make_response(tk.render(template, {"items": [], "next": None, "refusal": problem}), problem.status)
    following = f"{tk.request.path}?cursor={segment(found['next'])}" if found.get("next") else None
    return tk.render(template, {"items": found["items"], "next": following, "refusal": None})


@blueprint.get("/notices")
def notices() -> Any:
    """Registrations in public notice."""
    return _listed("/v1/notices", "govopen/registry/notices.html")


@blueprint.get("/registrations")
def registrations() -> Any:
    """Everything registered and coded."""
    return _listed("/v1/registrations", "govopen/registry/registrations.html")


@blueprint.get("/verify")
def verify() -> Any:
    """Verify by code, or by the signed file itself."""
    code = tk.request.args.get("code", "").strip().upper()
    if not code:
        return tk.render("govopen/registry/verify.html", {"code": "", "jws": "", "errors": {}, "refusal": None})
    if CODE.fullmatch(code):
        return tk.redirect_to(tk.h.url_for("govopen_registry.certificate", code=code))
    errors = {"code": tk._("A code has 8 to 64 digits and capital letters.")}
    page = tk.render("govopen/registry/verify.html", {"code": code[:80], "jws": "", "errors": errors, "refusal": None})
    return make_response(page, 400)


@blueprint.post("/verify")
def verify_file() -> Any:
    """Verify a certificate at hand: the pasted text of its .jws file."""
    jws = tk.request.form.get("jws", "").strip()
    problem: ServiceProblem | None = None
    errors: dict[str, str] = {}
    if not 10 <= len(jws) <= TOKEN_CHARS_MAX:
        errors["jws"] = tk._("Paste the whole text of the .jws file.")
    else:
        try:
            found = Gateway(None).post("/v1/certificates/verify", {"jws": jws})
            return tk.render("govopen/registry/certificate.html", {"item": found, "by_file": True})
        except ServiceProblem as refused:
            problem = refused
    page = tk.render("govopen/registry/verify.html",
                     {"code": "", "jws": jws[:TOKEN_CHARS_MAX], "errors": errors, "refusal": problem})
    return make_response(page, problem.status if problem else 400)


@blueprint.get("/verify/<code>")
def certificate(code: str) -> Any:
    """The public page of a certificate, where its QR code leads."""
    try:
        if not CODE.fullmatch(code):
            return tk.abort(404, tk._("There is no certificate with this code."))
        found = Gateway(None).get(f"/v1/certificates/{segment(code)}")
    except ServiceProblem as problem:
        context = {"code": code, "jws": "", "errors": {}, "refusal": problem}
        return make_response(tk.render("govopen/registry/verify.html", context), problem.status)
    return tk.render("govopen/registry/certificate.html", {"item": found, "by_file": False})
