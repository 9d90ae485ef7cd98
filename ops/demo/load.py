"""Load the demo city through the platform's public interfaces; a second run finds what is there and goes on."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ops.demo import catalogue, made, open_data, people
from ops.demo.clients import Person, Refused

PAGE_ROWS = 40_000
Say = Callable[[str], None]
_DATASTORE_TYPES = {"text": "text", "int": "int", "bool": "bool", "date": "date", "numeric": "numeric"}
_ITEM_TYPES = {"text": "text", "int": "integer", "bool": "boolean", "date": "date", "numeric": "numeric"}


@dataclass
class City:
    """The loaded city: where it is, who its people are, which resource an entry has."""

    site: str
    public: Person
    people: dict[str, Person] = field(default_factory=dict)
    user_ids: dict[str, str] = field(default_factory=dict)
    departments: dict[str, str] = field(default_factory=dict)
    parties: dict[str, str] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)


class Loader:
    """Does the loading as the sysadmin and the people concerned; ``memory`` keeps passwords and tokens of last time."""

    def __init__(self, city: City, admin: Person, memory: dict[str, Any], home: Path, say: Say) -> None:
        self.city, self.admin, self.memory, self.home, self.say = city, admin, memory, home, say

    def accounts(self) -> None:
        """Users of CKAN with a token each; departments as organisations with their officers."""
        for department in catalogue.DEPARTMENTS:
            self.city.departments[department.name] = self._organisation(department)
        for account in people.ACCOUNTS:
            self._account(account)

    def _organisation(self, department: catalogue.Department) -> str:
        try:
            return str(self.admin.action("organization_show", id=department.name)["id"])
        except Refused as refusal:
            if refusal.status != 404:
                raise
        made = self.admin.action(
            "organization_create", name=department.name, title=department.title,
            description=f"{department.title}公共数据目录", extras=[{"key": "uscc", "value": department.credit_code}],
        )
        return str(made["id"])

    def _account(self, account: people.Account) -> None:
        remembered = self.memory.setdefault("accounts", {}).setdefault(account.name, {})
        remembered.setdefault("password", secrets.token_urlsafe(12))
        try:
            user = self.admin.action("user_show", id=account.name)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            user = self.admin.action(
                "user_create", name=account.name, fullname=account.display, password=remembered["password"],
                email=f"{account.name}@govopen.example",
            )
        if "token" not in remembered:
            token = self.admin.action("api_token_create", user=account.name, name="demo")
            remembered["token"] = token["token"]
        for organisation, capacity in account.departments:
            self.admin.action(
                "organization_member_create", id=organisation, username=account.name, role=capacity
            )
        self.city.user_ids[account.name] = user["id"]
        self.city.passwords[account.name] = remembered["password"]
        self.city.people[account.name] = Person(self.city.site, account.name, remembered["token"])

    def institutions(self) -> None:
        """Institutions and offices appointed by the security administrator; enterprises sign up and are verified."""
        security = self.city.people[people.SECURITY.name]
        known = self.memory.setdefault("parties", {})
        for institution in people.INSTITUTIONS:
            if institution.key not in known:
                answer = security.post("/v1/parties", {"kind": institution.kind, "name": institution.name})
                known[institution.key] = answer["id"]
        places = {**known, "city": "city"}
        for account in people.STAFF:
            for role, where in account.roles:
                self._assign(security, account.name, role, places[where])
        checker = self.city.people["zhuguan-li"]
        for applicant in people.ORGANISATIONS:
            if applicant.key not in known:
                person = self.city.people[applicant.account]
                answer = person.post("/v1/parties", {
                    "kind": applicant.kind, "name": applicant.name, "uscc": applicant.uscc,
                    "legal_representative": "演示", "contact_name": "演示联系人", "contact_phone": "0512-12000000",
                    "contact_email": f"{applicant.account}@govopen.example", "address": "示范市示范路 1 号",
                })
                checker.post(f"/v1/parties/{answer['id']}/verify", {
                    "verdict": "approve", "reason": "证照核对一致", "version": answer["version"],
                })
                known[applicant.key] = answer["id"]
        self.city.parties.update(known)

    def _assign(self, security: Person, name: str, role: str, organisation_id: str) -> None:
        try:
            security.post("/v1/roles", {
                "user_id": self.city.user_ids[name], "user_name": name, "role": role,
                "organisation_id": organisation_id,
            })
        except Refused as refusal:
            if refusal.code != "role_already_held":
                raise

    def entries(self) -> None:
        """Every entry by its own department, with its data."""
        for number, entry in enumerate(catalogue.ENTRIES, start=1):
            rows = self._entry(entry)
            self.say(f"目录 {number}/{len(catalogue.ENTRIES)} {entry.title}{f'：{rows:,} 行' if rows else ''}")

    def _publisher(self, department: str) -> Person:
        for account in people.PUBLISHERS:
            if (department, "admin") in account.departments:
                return self.city.people[account.name]
        raise LookupError(department)

    def _entry(self, entry: catalogue.Entry) -> int:
        publisher = self._publisher(entry.department)
        columns, rows = entry.table() if entry.table else ([], iter(()))
        try:
            dataset = publisher.action("package_show", id=entry.name)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            dataset = publisher.action("package_create", **self._document(entry, columns))
        resource = dataset["resources"][0]["id"]
        self.city.resources[entry.name] = resource
        loaded = self.memory.setdefault("loaded", {})
        if loaded.get(entry.name) == resource:
            return 0
        count = 0
        if entry.table:
            count = self._open_table(publisher, entry, resource, columns, rows)
        elif entry.made:
            count = self._restricted_table(publisher, entry.made, resource)
        loaded[entry.name] = resource
        return count

    def _document(self, entry: catalogue.Entry, columns: list[open_data.Column]) -> dict[str, Any]:
        department = next(d for d in catalogue.DEPARTMENTS if d.name == entry.department)
        items = [
            {"name": i.name, "title": i.title, "type": i.type, "grade": i.grade,
             "open_attribute": i.open_attribute, **({"mask": i.mask} if i.mask else {})}
            for i in entry.items
        ] or [
            {"name": name, "title": title, "type": _ITEM_TYPES[kind], "grade": "general-1",
             "open_attribute": "unconditional"}
            for name, title, kind in columns
        ]
        return {
            "name": entry.name, "title": entry.title, "notes": entry.abstract, "owner_org": entry.department,
            "tags": [{"name": tag} for tag in entry.tags], "license_id": "cc-by" if entry.table else "notspecified",
            "category": "103" if entry.domain == "geography" else "102" if entry.made == "enterprises" else "2",
            "format": "database", "share_type": "unconditional", "open_attribute": entry.open_attribute,
            "grade": entry.grade, "has_personal_info": "true" if entry.personal else "false",
            "update_cycle": entry.update_cycle, "domain": entry.domain, "items": items, "region": "320500",
            "contact_unit": department.title, "contact_phone": department.phone, "duty_basis": entry.source,
            "resources": [{"name": entry.title, "format": "CSV", "description": entry.source, "url": "",
                           **({"url_type": "datastore"} if entry.table else {})}],
            **({"industry": catalogue.INDUSTRIES[entry.domain]} if entry.domain in catalogue.INDUSTRIES else {}),
            **entry.extra,
        }

    def _open_table(
        self, publisher: Person, entry: catalogue.Entry, resource: str, columns: list[open_data.Column],
        rows: Iterator[open_data.Row],
    ) -> int:
        names = [name for name, _, _ in columns]
        fields = [{"id": name, "type": _DATASTORE_TYPES[kind], "info": {"label": title}}
                  for name, title, kind in columns]
        self._clear(publisher, resource)
        done = 0
        while page := [dict(zip(names, row, strict=True)) for row in itertools.islice(rows, PAGE_ROWS)]:
            if done == 0:
                publisher.action("datastore_create", resource_id=resource, fields=fields, records=page, force=True)
            else:
                publisher.action("datastore_upsert", resource_id=resource, records=page, method="insert", force=True,
                                 calculate_record_count=False)
            done += len(page)
            if done % (PAGE_ROWS * 4) == 0:
                self.say(f"  {entry.title}：已装载 {done:,} 行")
        return done

    @staticmethod
    def _clear(publisher: Person, resource: str) -> None:
        """What an interrupted loading left behind is loaded anew."""
        try:
            publisher.action("datastore_delete", resource_id=resource, force=True)
        except Refused as refusal:
            if refusal.status != 404:
                raise

    def _restricted_table(self, publisher: Person, name: str, resource: str) -> int:
        path = made.write(name, open_data.DIVISIONS, self.home / "demo")
        with path.open("rb") as content:
            answer = publisher.send(
                "PUT", f"/v1/restricted/{resource}", content=content,
                headers={"Content-Type": "application/vnd.apache.parquet"}, timeout=httpx.Timeout(300.0),
            )
        if answer.status_code >= 400:
            raise Refused("PUT", f"/v1/restricted/{resource}", answer.status_code, answer.json())
        return int(answer.json()["rows"])
