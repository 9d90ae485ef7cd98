"""What every staff page stands on: who is asking, what waits for them, typed values, refusals as pages.

A view holds no rule: what a person may do is what ``GET /v1/me`` and ``allowed_events`` say, and the service decides
again when it is done. Here typed text only becomes what the service takes: integers, fen, dates, lists.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import date
from functools import wraps
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import Gateway, ServiceProblem, ServiceRefusal, segment
from ckanext.govopen.helpers.pages import govopen_fen, govopen_here, govopen_lang, govopen_link, govopen_problem
from flask import Response, make_response

APPLICANT_ROLES = frozenset({"enterprise_admin", "enterprise_member", "public"})
QUEUE_ROWS = 100
ONCE = re.compile(r"[0-9a-f]{32}")
WHOLE = re.compile(r"[0-9]{1,15}")
AMOUNT_CHARS_MAX = 24
REGISTRATION_ACTIONS = ("registration:accept", "registration:review", "registration:notice", "registration:code")


def role_label(one: Mapping[str, Any]) -> str:
    """The name of a role in the language of the page."""
    english = {
        "enterprise_member": "Member of an organization", "enterprise_admin": "Administrator of an organization",
        "publisher": "Data publisher", "data_owner": "Data owner", "exchange_officer": "Exchange officer",
        "exchange_pricer": "Exchange pricer", "exchange_approver": "Exchange approver", "registrar": "Registrar",
        "authority": "Data authority", "auditor": "Auditor", "security_admin": "Security administrator",
        "system_admin": "System administrator",
    }
    code = str(one.get("role") or "")
    return govopen_lang({"role_zh": one.get("role_zh") or code, "role_en": english.get(code, code)}, "role")


class Desk:
    """One person at work: calls in their name, and what ``GET /v1/me`` says of them."""

    def __init__(self, gateway: Gateway, me: dict[str, Any]) -> None:
        self.gateway, self.me = gateway, me
        self.actions: dict[str, list[str]] = me.get("actions") or {}

    @property
    def is_staff(self) -> bool:
        return any(one["role"] not in APPLICANT_ROLES for one in self.me.get("roles", []))

    def may(self, *actions: str) -> bool:
        """Whether any of the actions is theirs for some organisation; a hint for links and forms."""
        return any(action in self.actions for action in actions)

    def everywhere(self, action: str) -> bool:
        return "*" in self.actions.get(action, [])

    def places(self) -> list[dict[str, str]]:
        """The parts of the console this person has work in."""
        found = [("queue", tk._("My work"), "/staff", True), (
            "ceilings", tk._("Price ceilings"), "/staff/ceilings",
            self.may("ceiling:propose", "ceiling:approve", "rate:view"),
        ), (
            "rate_cards", tk._("Standard prices"), "/staff/rate-cards", self.may("rate:view"),
        ), (
            "billing", tk._("Billing and settlement"), "/staff/billing",
            self.everywhere("invoice:view") or self.everywhere("settlement:view"),
        ), (
            "registrations", tk._("Registrations"), "/staff/registrations",
            self.may(*REGISTRATION_ACTIONS) or self.everywhere("registration:view"),
        ), (
            "parties", tk._("Organization accounts"), "/staff/parties", self.everywhere("party:view"),
        ), (
            "roles", tk._("Roles"), "/staff/roles", self.may("role:view"),
        ), (
            "policies", tk._("Access policies"), "/staff/policies", self.may("policy:view"),
        ), (
            "decisions", tk._("Access decisions"), "/decisions", self.may("decision:evaluate"),
        ), (
            "department", tk._("Data of my department"), "/department/data", self.may("data:load"),
        )]
        return [{"name": name, "label": label, "url": govopen_link(path)} for name, label, path, on in found if on]

    def maybe(self, path: str, **params: Any) -> Any:
        """An answer that the page can do without: None when the service refuses it to this person."""
        try:
            return self.gateway.get(path, **params)
        except ServiceRefusal:
            return None

    def queue(self) -> list[dict[str, Any]]:
        """What waits for this person, overdue first, each with the address of its page."""
        items = list(self.gateway.get("/v1/queue", limit=QUEUE_ROWS)["items"])
        if self.may(*REGISTRATION_ACTIONS):
            waiting = self.gateway.get("/v1/registrations", queue=True, limit=QUEUE_ROWS)["items"]
            items += [_registration(one) for one in waiting]
        unique = {(one["kind"], one["id"]): {**one, "url": _address(one), "label": govopen_lang(one, "label")}
                  for one in items}
        return sorted(unique.values(), key=lambda one: (
            not one.get("overdue"), one.get("due_on") or "9999-12-31", one["kind"], one["id"]))

    def page(self, template: str, place: str, status: int = 200, beside: bool = False, **context: Any) -> Response:
        """A page of the console; ``beside`` puts the queue at its left."""
        shown: dict[str, Any] = {"desk": self, "place": place, "places": self.places(), "once": uuid.uuid4().hex,
                                 "staff_role": role_label}
        if beside:
            try:
                shown["queue"] = self.queue()
            except ServiceProblem:
                shown["queue"] = []
        refusal = context.get("refusal")
        if refusal is not None and status == 200:
            status = refusal.status
        return make_response(tk.render(f"govopen/staff/{template}", {**shown, **context}), status)


def _registration(one: Mapping[str, Any]) -> dict[str, Any]:
    clock = one.get("clock") or {}
    return {
        "kind": "registration", "id": one["id"], "number": one["number"], "state": one["state"],
        "title": f"{one['registrant']}：{one['title']}", "label_zh": one["state_zh"], "label_en": one["state_en"],
        "due_on": clock.get("due_on"), "working_days_left": clock.get("working_days_left"),
        "paused": clock.get("paused", False), "overdue": clock.get("overdue", False),
    }


def _address(one: Mapping[str, Any]) -> str:
    folder, key = {
        "application": ("applications", one["id"]), "agreement": ("applications", one.get("application_id")),
        "party": ("parties", one["id"]), "registration": ("registrations", one["id"]),
    }.get(one["kind"], ("applications", one["id"]))
    return govopen_link(f"/staff/{folder}/{segment(key)}")


def staff_page(view: Callable[..., Any]) -> Callable[..., Any]:
    """A view ``view(desk, …)`` for people with a staff role: others sign in first, or read why they may not."""

    @wraps(view)
    def guarded(**kwargs: Any) -> Any:
        if not tk.current_user.is_authenticated:
            return tk.redirect_to("user.login", next=govopen_here())
        gateway = Gateway.for_user(tk.current_user.name)
        try:
            desk = Desk(gateway, gateway.get("/v1/me"))
            if not desk.is_staff:
                return uncached(make_response(tk.render("govopen/staff/stranger.html", {"places": []}), 403))
            return uncached(view(desk, **kwargs))
        except ServiceProblem as problem:
            return uncached(refused(problem))

    return guarded


def uncached(answer: Any) -> Response:
    """Pages of the console are for one person and one moment."""
    response: Response = make_response(answer)
    response.headers["Cache-Control"] = "no-store"
    return response


def refused(problem: ServiceProblem) -> Response:
    """A page that cannot be shown at all: what the service said, with its status."""
    page = tk.render("govopen/staff/refused.html", {"refusal": problem, "places": []})
    return make_response(page, problem.status)


def gone(path: str, sentence: str = "") -> Response:
    """After an act: a flash and the page anew."""
    if sentence:
        tk.h.flash_success(sentence)
    answer: Response = tk.redirect_to(govopen_link(path))
    return answer


class Typed:
    """What was typed into a form, and what of it cannot be read. Everything typed is kept for showing it again."""

    def __init__(self) -> None:
        self.form = tk.request.form
        self.errors: dict[str, str] = {}

    def text(self, name: str) -> str:
        return str(self.form.get(name, "")).strip()

    def maybe(self, name: str) -> str | None:
        return self.text(name) or None

    def lines(self, name: str) -> list[str]:
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]

    def whole(self, name: str, required: bool = True) -> int | None:
        """A whole number; thousands separators are forgiven."""
        typed = re.sub(r"[,，\s]", "", self.text(name))
        if not typed:
            if required:
                self.errors[name] = tk._("Fill this in.")
            return None
        if not typed.isascii() or not WHOLE.fullmatch(typed):
            self.errors[name] = tk._("Enter a whole number, such as 10000.")
            return None
        return int(typed)

    def fen(self, name: str, required: bool = True) -> int | None:
        """Typed yuan as fen; a fraction of a fen is an error."""
        typed = self.text(name)
        if not typed:
            if required:
                self.errors[name] = tk._("Fill this in.")
            return None
        try:
            if len(typed) > AMOUNT_CHARS_MAX or "e" in typed.lower():
                raise ValueError(tk._("Enter an amount in yuan, such as 1234.50."))
            return govopen_fen(typed)
        except ValueError as problem:
            self.errors[name] = str(problem)
            return None

    def day(self, name: str) -> str | None:
        """A date as text."""
        typed = self.text(name)
        try:
            return date.fromisoformat(typed).isoformat() if len(typed) == 10 else self._no_day(name)
        except ValueError:
            return self._no_day(name)

    def _no_day(self, name: str) -> None:
        self.errors[name] = tk._("Enter a date, such as 2026-11-21.") if self.text(name) else tk._("Fill this in.")

    @property
    def version(self) -> int:
        """The version that was looked at; what is no number is answered as stale."""
        typed = self.text("version")
        return int(typed) if typed.isascii() and WHOLE.fullmatch(typed) and 0 < int(typed) < 2_000_000_000 else 1

    @property
    def once(self) -> str | None:
        """The key that makes a second click harmless."""
        typed = self.text("once")
        return typed if ONCE.fullmatch(typed) else None


def field_errors(problem: ServiceProblem, rename: Callable[[str], str] = lambda name: name) -> dict[str, list[str]]:
    """Errors of the service by the names of the form's fields."""
    found: dict[str, list[str]] = {}
    for error in govopen_problem(problem)["errors"]:
        name = rename(str(error.get("field") or ""))
        found.setdefault(name, []).append(str(error.get("detail") or error.get("code")))
    return found


def is_stale(problem: ServiceProblem | None) -> bool:
    """Whether somebody else has decided meanwhile."""
    return problem is not None and problem.status == 409 and problem.code == "version_conflict"
