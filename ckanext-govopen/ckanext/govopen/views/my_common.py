"""What the applicant's pages share: who asks, refusals as pages, typed values on their way to the service."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import Gateway, ServiceProblem, segment
from ckanext.govopen.helpers.pages import govopen_field_errors, govopen_here, govopen_lang
from flask import Blueprint, Response, make_response

Act = Callable[[str, dict[str, Any]], Any]
LIST_ROWS = 20
DIGITS_MAX = 15
ENTRY = re.compile(r"[^\s,，、;；]+")
"""One code among others, which stand one a line or are set apart by commas or spaces."""
TONES = {
    "draft": "line", "supplement": "due", "offered": "due", "signing": "due", "accepted": "brand",
    "granted": "done", "partly_granted": "done", "refused": "danger", "withdrawn": "quiet", "expired": "quiet",
    "lapsed": "quiet", "active": "done", "suspended": "due", "revoked": "danger", "open": "due",
    "partly_paid": "due", "overdue": "danger", "paid": "done", "credited": "quiet", "free": "quiet",
    "verified": "done", "pending": "due", "rejected": "danger", "terminated": "danger", "coded": "done",
    "public_notice": "brand", "deregistered": "quiet", "in_force": "done",
}
"""How a state looks; one that is not named is under way."""


def tone(state: str) -> str:
    return TONES.get(state, "brand")


def signed_in_only(name: str) -> Blueprint:
    """A blueprint whose pages are for people who signed in, and whose refusals are pages."""
    made = Blueprint(name, __name__)
    made.before_request(_sign_in)
    made.register_error_handler(ServiceProblem, refused)
    return made


def _sign_in() -> Any:
    if tk.current_user.is_authenticated:
        return None
    return tk.redirect_to(tk.url_for("user.login", came_from=govopen_here()))


def refused(problem: ServiceProblem) -> Any:
    """A page that could not be read: 404 for what is not there or is none of the visitor's business, 403, 503."""
    status = problem.status if problem.status in (403, 429, 503) else 503 if problem.status >= 500 else 404
    page = tk.render("error_document_template.html", {"code": status, "content": problem.detail, "name": ""})
    return make_response(page, status)


def service() -> Gateway:
    return Gateway.for_user(tk.current_user.name)


def path(kind: str, item_id: str, *rest: str) -> str:
    """``/v1/<kind>/<id>/…`` with the id made safe."""
    return "/".join([f"/v1/{kind}", segment(item_id), *map(segment, rest)])


def grant_of(gateway: Gateway, grant_id: str) -> tuple[dict[str, Any], dict[str, str], list[dict[str, Any]] | None]:
    """A grant, the titles of its data's fields, and its keys, None where the person has nothing to do with them."""
    grant = gateway.get(path("grants", grant_id))
    try:
        described = gateway.get(path("data-objects", grant["resource_id"]))["fields"]
    except ServiceProblem:
        described = []
    try:
        keys = gateway.get(path("grants", grant_id, "keys"))["items"]
    except ServiceProblem:
        keys = None
    return grant, {field["name"]: field["title"] for field in described}, keys


def acting(endpoint: str, page: Callable[..., Any]) -> Callable[[Act], Callable[[str], Any]]:
    """What a form of a grant's page does: ``act(grant_id, data)`` gives a sentence, which is told on the page at
    ``endpoint``, an answer of its own, or None where it knows no such action. A refusal shows the page anew."""

    def made(act: Act) -> Callable[[str], Any]:
        @wraps(act)
        def answer(grant_id: str) -> Any:
            data = typed()
            try:
                said = act(grant_id, data)
            except ServiceProblem as problem:
                return page(grant_id, data, problem)
            if said is None:
                return tk.abort(400, tk._("This page knows no such action."))
            return redirect(endpoint, said, grant_id=grant_id) if isinstance(said, str) else said

        return answer

    return made


def page_of(template: str, context: dict[str, Any], problem: ServiceProblem | None = None) -> Response:
    """The template, never cached; after a refusal with the status of the refusal."""
    answer = make_response(tk.render(template, {"tone": tone, "refusal": problem, **context}))
    answer.status_code = problem.status if problem else 200
    answer.headers["Cache-Control"] = "no-store"
    return answer


def redirect(endpoint: str, said: str = "", **values: Any) -> Any:
    """To a page of ours after something was done, with what was done said there."""
    if said:
        tk.h.flash_success(said)
    return tk.redirect_to(tk.url_for(endpoint, **values))


def typed() -> dict[str, Any]:
    """What the form sent, one text a field; line ends as one sign."""
    return {key: value.replace("\r\n", "\n") for key, value in tk.request.form.items()}


def text_of(data: Mapping[str, Any], *names: str) -> dict[str, str]:
    """The named fields that were filled in; what is blank is left out, so that the service asks for it by name."""
    return {name: str(data[name]).strip() for name in names if str(data.get(name) or "").strip()}


def number_of(value: Any) -> Any:
    """A whole number if that was typed, else the text, for the service to say what is wrong with it."""
    plain = str(value or "").strip().replace(",", "").replace("，", "")
    return int(plain) if plain.isdecimal() and len(plain) <= DIGITS_MAX else plain


def version_of(data: Mapping[str, Any]) -> Any:
    """The version that the form was made of; the first one when the form was tampered with."""
    found = number_of(data.get("version"))
    return found if isinstance(found, int) and found > 0 else 1


def once_key(data: Mapping[str, Any]) -> str:
    """The form's own key, so that what was sent twice is done once."""
    given = str(data.get("once") or "")
    return given if given.isalnum() and len(given) == len(new_once()) else new_once()


def new_once() -> str:
    return uuid.uuid4().hex


def errors_of(problem: ServiceProblem | None, prefix: str = "") -> dict[str, list[str]]:
    """Errors by the field of the form: ``fields.3`` stands beside ``fields``."""
    found: dict[str, list[str]] = {}
    for name, messages in (govopen_field_errors(problem) if problem else {}).items():
        parts = name.removeprefix(prefix).split(".")
        while parts and parts[-1].isdigit():
            parts.pop()
        kept = found.setdefault(".".join(parts), [])
        kept += [message for message in messages if message not in kept]
    return found


def codes(text: Any) -> list[str]:
    """Codes typed one after another, by whatever they are set apart."""
    return ENTRY.findall(str(text or ""))


class LineError(str):
    """A sentence about one line, counted from 1, of a field that takes many; the summary links to it. 0: no line."""

    line: int = 0


def entry_errors(problem: ServiceProblem | None, name: str, text: Any, field: str = "") -> dict[str, list[LineError]]:
    """What the service says of single entries of a list, ``<name>.3``, naming the code and the line that was typed.

    ``field`` is what the form calls the list where that is another name.
    """
    typed_text = str(text or "")
    entries = list(ENTRY.finditer(typed_text))
    wrong = []
    for told_of, messages in (govopen_field_errors(problem) if problem else {}).items():
        head, _, number = told_of.rpartition(".")
        if head != name or not number.isdigit() or int(number) >= len(entries):
            continue
        entry = entries[int(number)]
        line = typed_text.count("\n", 0, entry.start()) + 1 if "\n" in typed_text.strip() else 0
        sentence = tk._("Line {line}, {entry}: {message}") if line else tk._("{entry}: {message}")
        for message in messages:
            told = LineError(sentence.format(line=line, entry=entry.group(), message=message))
            told.line = line
            wrong.append(told)
    return {field or name: wrong} if wrong else {}


def words(entries: list[Mapping[str, Any]], code: Any) -> str:
    """The words of a code list of the service for a code; an unknown code stands for itself."""
    chinese = tk.h.govopen_html_lang().startswith("zh")
    for entry in entries:
        if entry["code"] == code:
            return str(entry["zh" if chinese else "en"])
    return str(code or "")


def holder(clock: Mapping[str, Any] | None, department: str = "") -> str:
    """Who has to act while a clock runs, in words."""
    role = str((clock or {}).get("holder_role") or "")
    if role.startswith("enterprise") or role == "registrant":
        return tk._("you")
    if role.startswith("exchange"):
        return tk._("the data exchange")
    return {"authority": tk._("the data authority"), "data_owner": department,
            "registrar": tk._("the registration authority")}.get(role, "")


def happenings(history: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The history as a time line reads it, newest first."""
    return [
        {"at": entry["at"], "actor": entry["actor"], "label": govopen_lang(entry, "event"),
         "reason": entry.get("reason"), "basis": entry.get("basis")}
        for entry in reversed(history)
    ]


def remedy_of(history: list[Mapping[str, Any]]) -> str:
    """What can be done against the last decision that said so."""
    language = "zh" if tk.h.govopen_html_lang().startswith("zh") else "en"
    for entry in reversed(history):
        if entry.get("remedy"):
            return str(entry["remedy"].get(language) or entry["remedy"].get("zh") or "")
    return ""


def acting_for(me: Mapping[str, Any], action: str) -> list[Mapping[str, Any]]:
    """Organisations of the person in which the service lets them do this."""
    where = me["actions"].get(action, [])
    return [party for party in me["parties"] if "*" in where or party["id"] in where]
