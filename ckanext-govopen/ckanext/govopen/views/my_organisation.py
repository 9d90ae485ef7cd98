"""One's organisations: signing up with a real name, particulars, members, the state of the check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen import identity
from ckanext.govopen.gateway import ServiceProblem
from ckanext.govopen.views import my_common as my

blueprint = my.signed_in_only("govopen_my_organisation")
PARTICULARS = ("name", "uscc", "legal_representative", "contact_name", "contact_phone", "contact_email", "address")


def _members(party_id: str) -> list[dict[str, Any]] | None:
    """Seats that are held now; None for those who may not see them."""
    try:
        found = my.service().get(my.path("parties", party_id, "members"))["items"]
    except ServiceProblem:
        return None
    return [seat for seat in found if not seat.get("ended_at")]


def _particulars(data: Mapping[str, Any], *more: str) -> dict[str, Any]:
    """What was typed about the organisation; codes of affiliates stand one a line or between commas."""
    affiliates = my.codes(data.get("affiliates"))
    return {**my.text_of(data, *more, *PARTICULARS), **({"affiliates": affiliates} if affiliates else {})}


def _show(
    data: Mapping[str, Any] | None = None, problem: ServiceProblem | None = None,
    errors: dict[str, list[str]] | None = None,
) -> Any:
    gateway = my.service()
    me = gateway.get("/v1/me")
    parties = gateway.get("/v1/parties", mine=1)["items"]
    managed = {party["id"] for party in my.acting_for(me, "member:manage")}
    wanted = (data or {}).get("act")
    chosen = str((data or {}).get("party_id") or tk.request.args.get("party") or "")
    party = next((one for one in parties if one["id"] == chosen), parties[0] if parties else None)
    signing_up = party is None or wanted == "sign_up" or tk.request.args.get("new") == "1"
    vocabularies = gateway.get("/v1/vocabularies")
    answer = my.page_of("govopen/my/organisation.html", {
        "me": me, "words": my.words, "lists": vocabularies["lists"], "procedure": vocabularies["procedure"],
        "parties": parties, "signing_up": signing_up, "others": [
            one for one in parties if signing_up or party is None or one["id"] != party["id"]],
        "party": {**party, "members": _members(party["id"]), "managed": party["id"] in managed} if party else None,
        "data": data or {}, "wanted": wanted, "errors": {
            **my.errors_of(problem), **my.entry_errors(problem, "affiliates", (data or {}).get("affiliates")),
            **(errors or {})},
        "once": my.new_once(),
    }, problem)
    if errors and not problem:
        answer.status_code = 422
    return answer


@blueprint.get("/my/organisation")
def show() -> Any:
    """The organisations one acts for, or the form to sign one up."""
    return _show()


@blueprint.post("/my/organisation")
def act() -> Any:
    """Sign up, correct the particulars, add or remove a member."""
    data = my.typed()
    gateway, party_id = my.service(), str(data.get("party_id") or "")
    try:
        match data.get("act"):
            case "sign_up":
                gateway.post("/v1/parties", _particulars(data, "kind"), idempotency_key=my.once_key(data))
                said = tk._("The organization has been signed up. The data authority checks it now.")
            case "amend":
                body = {**_particulars(data), "version": my.version_of(data)}
                gateway.put(my.path("parties", party_id), body)
                said = tk._("The particulars have been corrected. The check begins anew.")
            case "add_member":
                user = identity.find_user(str(data.get("user_name") or "").strip())
                if user is None:
                    return _show(data, errors={"user_name": [
                        tk._("There is no account with this name. Your colleague opens one first, then you add it.")]})
                gateway.post(my.path("parties", party_id, "members"), {
                    "user_id": user.id, "user_name": user.name, **my.text_of(data, "role")})
                said = tk._("The member has been added.")
            case "remove_member":
                gateway.delete(my.path("parties", party_id, "members", str(data.get("seat_id") or "")))
                said = tk._("The member has been removed.")
            case _:
                return tk.abort(400, tk._("This page knows no such action."))
    except ServiceProblem as problem:
        return _show(data, problem)
    return my.redirect("govopen_my_organisation.show", said, **({"party": party_id} if party_id else {}))
