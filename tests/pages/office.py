"""The people of a small office, their seats, and pages opened in their names: for the tests of the staff's pages."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from authz import Runtime, objects
from ops import testing
from ops.bench.rows import service_settings
from ops.bootstrap import appoint_security_admin
from ops.delivery import close_delivery
from ops.demo.clients import Person
from ops.demo.made import credit_code
from ops.runtime import open_runtime
from ops.stack import Stack
from ops.stack.postgres import url

SEATS = (
    ("authority", "authority", "li"), ("authority", "authority", "han"), ("exchange", "exchange_pricer", "lin"),
    ("exchange", "exchange_approver", "gao"), ("exchange", "exchange_officer", "chen"),
    ("registrar", "registrar", "fang"),
)
ADMIN_TOKENS: dict[str, str] = {}
"""By the address of the stack."""
NAMES = (*(name for _, _, name in SEATS), "zhou", "owner", "sun", "pending")


@dataclass
class Office:
    """Who works here, what waits."""

    stack: Stack
    people: dict[str, Person]
    passwords: dict[str, str]
    ids: dict[str, str]
    resource: str
    party: str = ""
    contexts: dict[str, BrowserContext] = field(default_factory=dict)

    def account(self, name: str) -> str:
        return self.people[name].name

    def apply(self) -> dict[str, Any]:
        """An application that was handed in."""
        made: dict[str, Any] = self.people["sun"].post("/v1/applications", {
            "party_id": self.party, "resource_id": self.resource, "fields": ["uscc", "phone"],
            "purpose_class": "industry", "purpose": "lending_risk_control", "purpose_text": "核对客户的登记状态。",
            "scenario": "贷前核验", "term_months": 12, "delivery": ["api"], "expected_rows_month": 20_000,
            "submit": True,
        })
        return made

    def passed(self) -> dict[str, Any]:
        """An application that waits for the department."""
        item = self.apply()
        seen = self.people["li"].get(f"/v1/applications/{item['id']}")
        return dict(self.people["li"].step("applications", seen, "pass_form"))

    def decided(self) -> dict[str, Any]:
        """An application that waits for its price."""
        item = self.passed()
        seen = self.people["owner"].get(f"/v1/applications/{item['id']}")
        fields = [{"name": one["name"], "verdict": "approve"} for one in seen["fields"]]
        return dict(self.people["owner"].step("applications", seen, "decide_owner", fields=fields))


def admin_token(stack: Stack) -> str:
    """An API token of the stack's administrator, made once at the command line, which takes seconds."""
    if stack.site_url not in ADMIN_TOKENS:
        said = stack.ckan("user", "token", "add", "govadmin", f"pages-{secrets.token_hex(3)}", "-q").stdout
        ADMIN_TOKENS[stack.site_url] = said.strip().splitlines()[-1].strip()
    return ADMIN_TOKENS[stack.site_url]


def as_person(admin: Person, name: str) -> Person:
    """Somebody who has an account, with an API token that the administrator makes."""
    return Person(admin.site, name, admin.action("api_token_create", user=name, name="tests")["token"])


async def security_admin(stack: Stack, user_id: str, name: str) -> str:
    """The name of the security administrator: this person, unless there is one already."""
    database = url(stack.home, stack.ports["postgres"], "govopen", "govopen")
    await appoint_security_admin(database, user_id, name)
    connection = await asyncpg.connect(database)
    try:
        return str(await connection.fetchval(
            "SELECT user_name FROM authz.role_assignment WHERE role = 'security_admin' AND ended_at IS NULL LIMIT 1"))
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def office(stack: Stack) -> Iterator[Office]:
    mark = secrets.token_hex(3)
    admin = Person(stack.site_url, "govadmin", admin_token(stack))
    passwords, ids, people = {}, {}, {}
    for name in NAMES:
        account, passwords[name] = f"st-{name}-{mark}", secrets.token_urlsafe(12)
        made = admin.action("user_create", name=account, email=f"{account}@example.test", password=passwords[name])
        ids[name], people[name] = made["id"], as_person(admin, account)
    admin.action("organization_member_create", id="ceshi-ju", username=people["owner"].name, role="admin")
    security = beside(security_admin(stack, ids["zhou"], people["zhou"].name))
    if security != people["zhou"].name:
        as_person(admin, security).post("/v1/roles", {
            "user_id": ids["zhou"], "user_name": people["zhou"].name, "role": "security_admin",
            "organisation_id": "city"})
    places: dict[str, str] = {}
    for kind, role, name in SEATS:
        if kind not in places:
            party = people["zhou"].post("/v1/parties", {"kind": kind, "name": f"页面测试机构{kind}"})
            places[kind] = party["id"]
        people["zhou"].post("/v1/roles", {
            "user_id": ids[name], "user_name": people[name].name, "role": role, "organisation_id": places[kind]})
    resource = admin.action("package_show", id="ceshi-youtiaojian")["resources"][0]["id"]
    found = Office(stack, people, passwords, ids, resource)
    party = people["sun"].post("/v1/parties", {
        "kind": "enterprise", "name": "页面测试小额贷款有限公司", "legal_representative": "演示",
        "uscc": credit_code("320501", 72_000_000 + secrets.randbelow(900_000)), "contact_name": "演示",
        "contact_phone": "0512-12345678", "contact_email": "a@example.test", "address": "示范路 1 号",
    })
    people["li"].post(f"/v1/parties/{party['id']}/verify", {
        "verdict": "approve", "reason": "一致", "version": party["version"]})
    found.party = party["id"]
    yield found
    for context in found.contexts.values():
        context.close()


def beside(work: Coroutine[Any, Any, Any]) -> Any:
    """Run what is asynchronous in another thread: the browser has its own loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


Then = Callable[[Runtime, str], Awaitable[object]]


async def grant_of(office: Office, purpose: str, then: Then | None = None) -> str:
    """A grant of sun's party on the conditional data; ``then`` is given the runtime and the grant's id."""
    async with open_runtime(service_settings(office.stack)) as runtime:
        async with runtime.snapshot() as tx:
            data = await objects.get(tx, office.resource)
        assert data is not None
        made = await testing.issue_grant(runtime, data, ["uscc"], party_id=office.party, purpose=purpose)
        if then is not None:
            await then(runtime, made.id)
        await close_delivery(runtime)
    return made.id


Sit = Callable[..., Page]


@pytest.fixture
def sit(browser: Browser, office: Office) -> Iterator[Sit]:
    """Opens a page of the console as one of the people; ``page.status`` is the answer's status."""
    pages: list[Page] = []

    def open_page(name: str, path: str, width: int = 1280) -> Page:
        if name not in office.contexts:
            context = browser.new_context()
            signing = context.new_page()
            signing.goto(f"{office.stack.site_url}/user/login")
            signing.fill("[name=login]", office.account(name))
            signing.fill("[name=password]", office.passwords[name])
            signing.press("[name=password]", "Enter")
            signing.wait_for_url(lambda address: "/user/login" not in address)
            signing.close()
            office.contexts[name] = context
        page = office.contexts[name].new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": 900})
        answer = page.goto(office.stack.site_url + path)
        page.status = answer.status if answer else 0  # type: ignore[attr-defined]
        return page

    yield open_page
    for page in pages:
        page.close()


def confirm(page: Page, label: str) -> None:
    """Press the button, read the dialog, confirm."""
    page.locator(".go-decision, form, .st-decide").get_by_role("button", name=label, exact=True).last.click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="确认").click()
    page.wait_for_load_state()


def refused(page: Page, word: str = "") -> None:
    """An error stands beside a field, with this word in it."""
    expect(page.locator(".go-field__error", has_text=word).first).to_be_visible()
