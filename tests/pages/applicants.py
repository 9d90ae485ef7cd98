"""The people of the applicants' tests: who takes part, appointed as a city appoints them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import pytest
from office import admin_token, as_person, beside, security_admin

from ops.demo.clients import Person
from ops.demo.made import credit_code
from ops.stack import Stack


@dataclass
class City:
    """Who takes part, and what has come of it."""

    stack: Stack
    people: dict[str, Person]
    passwords: dict[str, str]
    resource: str
    closed: str
    open: str
    uscc: str
    ids: dict[str, str] = field(default_factory=dict)


def _appoint(security: Person, ids: dict[str, str]) -> None:
    """An authority that checks, an exchange that countersigns."""
    seats = (("authority", "authority", "my-authority"), ("exchange", "exchange_officer", "my-officer"))
    for kind, role, name in seats:
        party = security.post("/v1/parties", {"kind": kind, "name": f"页面测试{kind}"})
        security.post("/v1/roles", {
            "user_id": ids[name], "user_name": name, "role": role, "organisation_id": party["id"]})


@pytest.fixture(scope="module")
def city(stack: Stack) -> City:
    names = ("my-security", "my-authority", "my-officer", "my-owner", "my-applicant", "my-newcomer")
    admin = Person(stack.site_url, "govadmin", admin_token(stack))
    passwords = {name: secrets.token_urlsafe(12) for name in names}
    ids = {
        name: admin.action("user_create", name=name, email=f"{name}@example.test", password=passwords[name])["id"]
        for name in names
    }
    people = {name: as_person(admin, name) for name in names}
    admin.action("organization_member_create", id="ceshi-ju", username="my-owner", role="admin")
    security = beside(security_admin(stack, ids["my-security"], "my-security"))
    holder = people.get(security) or as_person(admin, security)
    _appoint(holder, ids)
    resources = {
        name: admin.action("package_show", id=name)["resources"][0]["id"]
        for name in ("ceshi-youtiaojian", "ceshi-buyu", "ceshi-kaifang")
    }
    return City(stack, people, passwords, resources["ceshi-youtiaojian"], resources["ceshi-buyu"],
                resources["ceshi-kaifang"], credit_code("320501", 71_000_000 + secrets.randbelow(900_000)))
