"""Every route of the service, classified. A route that is not here fails the matrix until it is.

One line each: method, path, class, and what to ask with (``name=value``, a body as ``json=``). Classes:

``public``    anyone may ask; only what is told is judged
``signed``    401 without an account; only what is told is judged
``party``     of somebody's grant, application, bill: refused to all but that party and the owning department
``owner``     of one object: refused to all but the department that has it
``staff``     of an office: refused to every viewer
``data``      rows: refused to all but the live grantee, and to everyone when the object is closed
``listing``   what could be had: as rows, but not refused when only the quota is used up. Formats and addresses are no
              rows, and whoever waits for the next month may look at them; HEAD of rows answers as their GET would
``change``    changes something of somebody else: refused to every viewer, tried on a victim, never by controls
``begin``     makes something of the viewer's own: may succeed; only what is told is judged
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

CLASSES = ("public", "signed", "party", "owner", "staff", "data", "listing", "change", "begin")
FORMATS = ("csv", "jsonl", "json", "xlsx", "parquet", "arrow")

# Why some are as they are:
# The list of exports is ``signed``: it takes a key and shows the jobs of that key's grant only. A suspended, revoked or
# expired grant's holder goes on reading there what became of them, as in the papers of the grant itself; a new job
# (``POST``) and a file are refused. Others' jobs are 404 to everybody, hence ``staff``.
# Ceilings and share rules that are or were in force are published (``GET /v1/prices`` needs no account), so their lists
# are ``signed`` and judged by what they tell: proposals and their reasons never. The single ceiling is ``staff`` since
# the one that is planted is a proposal, which is 404 outside the offices.
# A settlement as a whole is for those who may see all of them; a department or operator reads its own statement.
ROUTES = """
GET /data/v1/{resource_id} data
HEAD /data/v1/{resource_id} data
GET /data/v1/{resource_id}/rows data
GET /data/v1/{resource_id}/files listing
GET /data/v1/{resource_id}/schema public
POST /data/v1/{resource_id}/exports data json={"format":"csv","columns":["extra","note"]}
GET /data/v1/{resource_id}/exports signed
GET /data/v1/{resource_id}/exports/{job_id} staff
DELETE /data/v1/{resource_id}/exports/{job_id} staff
GET /data/v1/{resource_id}/exports/{job_id}/manifest staff
GET /data/v1/{resource_id}/exports/{job_id}/file staff
HEAD /data/v1/{resource_id}/exports/{job_id}/file staff
POST /data/v1/{resource_id}/lookup data json={"key":"region","values":["330100"]}
POST /data/v1/{resource_id}/analysis data json={"sql":"SELECT region, count(*) AS n FROM data GROUP BY region"}
POST /data/v1/{resource_id}/verify data json={"checks":[{"match":{"firm":"企业1"},"claims":{"region":"330100"}}]}
GET /v1/analyses signed resource_id={resource_id} limit=100
PUT /v1/restricted/{resource_id} change
GET /v1/restricted/{resource_id} owner
POST /v1/keys/leaked public json={"key":"gok_000000000000_00000000000000000000000000000000"}
GET /v1/health public
POST /v1/demo/clock staff json={"days":1}
GET /v1/openapi.json public
POST /v1/data-objects/check change json={object}
PUT /v1/data-objects/{resource_id} change json={object}
GET /v1/data-objects/{resource_id} public
DELETE /v1/data-objects/{resource_id} change
GET /v1/data-objects public limit=200
GET /v1/me signed
GET /v1/roles staff
POST /v1/roles staff
DELETE /v1/roles/{assignment_id} staff
POST /access/v1/evaluation signed json={asking}
POST /access/v1/evaluations signed json={asking_many}
POST /access/v1/search/subject signed json={search_subject}
POST /access/v1/search/resource signed json={search_resource}
POST /access/v1/search/action signed json={search_action}
GET /.well-known/authzen-configuration public
GET /v1/policies staff
POST /v1/policies staff
GET /v1/policies/files/{path} staff
GET /v1/policies/{version_id} staff
POST /v1/policies/{version_id}/simulate staff
POST /v1/policies/{version_id}/approve staff
POST /v1/policies/{version_id}/reject staff
POST /v1/policies/{version_id}/roll-back staff
GET /v1/decisions signed resource_id={resource_id} limit=200
GET /v1/decisions/{decision_id} party
POST /v1/decisions/explain party json={"subject_type":"grant","subject_id":"{grant_id}","resource_id":"{resource_id}"}
GET /v1/decisions/grants/{grant_id} party
GET /v1/decisions/objects/{resource_id} owner
POST /v1/parties begin json={"kind":"enterprise","name":"某公司","uscc":"{uscc}"}
GET /v1/parties signed limit=200
GET /v1/parties/{party_id} party
PUT /v1/parties/{party_id} change json={"name":"改名公司","version":1}
POST /v1/parties/{party_id}/verify staff json={"verdict":"reject","reason":"试一试","version":1}
GET /v1/parties/{party_id}/members party
POST /v1/parties/{party_id}/members change json={"user_id":"x","user_name":"x","role":"enterprise_member"}
DELETE /v1/parties/{party_id}/members/{assignment_id} change
POST /v1/applications change json={application}
GET /v1/applications signed limit=200
GET /v1/applications/{application_id} party
PUT /v1/applications/{application_id} change
POST /v1/applications/{application_id}/events change json={"event":"withdraw","version":1}
GET /v1/agreements signed limit=200
GET /v1/agreements/{agreement_id} party
GET /v1/agreements/{agreement_id}/text party
GET /v1/agreements/{agreement_id}/odrl party
POST /v1/agreements/{agreement_id}/events change json={"event":"terminate","reason":"试一试","version":1}
GET /v1/grants signed limit=200
GET /v1/grants/{grant_id} party
POST /v1/grants/{grant_id}/events change json={"event":"resume","reason":"试一试","version":1}
GET /v1/grants/{grant_id}/webhooks party
POST /v1/grants/{grant_id}/webhooks change json={"url":"https://intruder.example/hook"}
GET /v1/grants/{grant_id}/webhooks/{webhook_id}/deliveries staff
POST /v1/grants/{grant_id}/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver change
POST /v1/grants/{grant_id}/webhooks/{webhook_id}/enable change
POST /v1/grants/{grant_id}/webhooks/{webhook_id}/rotate change
DELETE /v1/grants/{grant_id}/webhooks/{webhook_id} change
POST /v1/grants/{grant_id}/webhooks/{webhook_id}/test change
GET /v1/grants/{grant_id}/exports party
POST /v1/grants/{grant_id}/exports change json={"key_id":"{key_id}","format":"csv"}
POST /v1/grants/{grant_id}/exports/{job_id}/link change
DELETE /v1/grants/{grant_id}/exports/{job_id} change
POST /v1/grants/{grant_id}/keys change json={"label":"x"}
GET /v1/grants/{grant_id}/keys party
POST /v1/grants/{grant_id}/keys/{key_id}/rotate change
PUT /v1/grants/{grant_id}/keys/{key_id}/limits change
DELETE /v1/grants/{grant_id}/keys/{key_id} change
GET /v1/queue signed limit=200
GET /v1/overdue signed
GET /v1/vocabularies public
POST /access/v1/requests begin json={asking}
GET /access/v1/requests/schema public
GET /access/v1/requests/{application_id} party
POST /access/v1/requests/{application_id}/cancel change json={}
POST /v1/registrations change
GET /v1/registrations public limit=100
GET /v1/registrations/{registration_id} party
POST /v1/registrations/{registration_id}/events change json={"event":"withdraw","version":1}
GET /v1/notices public
GET /v1/certificates/{code}.jws public
GET /v1/certificates/{code}.pdf public
GET /v1/certificates/{code}.svg public
GET /v1/certificates/{code} public
POST /v1/certificates/verify public json={"jws":"a.b.c"}
GET /v1/keys.json public
POST /v1/ceilings staff
GET /v1/ceilings signed limit=200
GET /v1/ceilings/{ceiling_id} staff
POST /v1/ceilings/{ceiling_id}/{verdict} staff json={"reason":"试一试","version":1}
POST /v1/rate-cards staff
GET /v1/rate-cards staff limit=200
GET /v1/rate-cards/{rate_version_id} staff
POST /v1/rate-cards/{rate_version_id}/{verdict} staff json={"reason":"试一试","version":1}
GET /v1/prices public
POST /v1/applications/{application_id}/price/simulate staff
POST /v1/applications/{application_id}/price staff
GET /v1/applications/{application_id}/price party
POST /v1/applications/{application_id}/price/approve staff
POST /v1/billing/periods/{period}/close staff
GET /v1/billing/periods staff
GET /v1/invoices signed limit=200
GET /v1/invoices/{invoice_id} party
GET /v1/invoices/{invoice_id}/usage party line=1
GET /v1/invoices/{invoice_id}/lines/{line}/usage party
GET /v1/invoices/{invoice_id}/lines/{line}/usage.csv party
POST /v1/invoices/{invoice_id}/credit-notes staff
POST /v1/invoices/{invoice_id}/payments/bank staff
POST /v1/payments/bank staff
GET /v1/payments staff
POST /v1/payments/{payment_id}/allocations staff
POST /v1/payments/{payment_id}/refunds staff
POST /v1/invoices/{invoice_id}/payments/stripe/checkout change
POST /v1/payments/stripe/webhook change json={"id":"evt_1","type":"payment_intent.succeeded"}
POST /v1/payments/stripe/reconciliation staff
GET /v1/share-rules signed
POST /v1/share-rules staff
POST /v1/share-rules/{rule_id}/{verdict} staff json={"reason":"试一试","version":1}
POST /v1/settlements staff
GET /v1/settlements signed limit=200
GET /v1/settlements/{settlement_id} staff
GET /v1/settlements/{settlement_id}/statements/{party_id} party
POST /v1/settlements/{settlement_id}/payouts staff
POST /v1/settlements/{settlement_id}/{verdict} staff json={"reason":"试一试","version":1}
GET /v1/ledger/balances staff
GET /v1/ledger/verify staff
POST /v1/usage/events change
GET /v1/usage/events party grant_id={grant_id} period=2026-11
POST /v1/usage/corrections change
POST /v1/usage/products change
GET /v1/usage/products signed limit=100
PATCH /v1/usage/products/{product_id} change json={"retired":true}
GET /v1/meters signed
GET /v1/meters/{name}/values party grant_id={grant_id} from=2026-11-01 to=2026-12-01
PUT /v1/meters/{name} staff
GET /v1/grants/{grant_id}/usage/sequences party
GET /v1/usage/downloads public
GET /v1/grants/{grant_id}/usage party
GET /v1/audit/key public
GET /v1/audit/checkpoint public
GET /v1/audit/entries signed limit=500
GET /v1/audit/entries/{number}/proof signed
GET /v1/audit/consistency public old=0 new=1
GET /v1/audit/export staff
POST /v1/audit/outbox staff
"""

RENAMED = {
    ("/access/v1/requests/{task_id}", "task_id"): "application_id",
    ("/access/v1/requests/{task_id}/cancel", "task_id"): "application_id",
    ("/v1/rate-cards/{version_id}", "version_id"): "rate_version_id",
    ("/v1/rate-cards/{version_id}/{verdict}", "version_id"): "rate_version_id",
}
"""Places whose name in the route does not say of what they are the id."""


@dataclass(frozen=True)
class Route:
    """One operation and how the matrix asks it."""

    method: str
    path: str
    kind: str
    asked: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def about_party(self) -> bool:
        """Whether the answer depends on whose papers are asked for."""
        if self.kind in ("data", "listing", "public", "owner") or self.path.startswith("/v1/policies"):
            return False
        return "{" in (self.path + self.asked).replace("{resource_id}", "")

    @property
    def about_object(self) -> bool:
        """Whether the answer depends on which object is asked about, so that each open attribute is a cell."""
        text = self.path + self.asked
        if self.path.startswith("/v1/decisions/") and "{grant_id}" in text:
            return False
        return any(
            f"{{{one}" in text
            for one in ("resource_id", "grant_id", "application_id", "agreement_id", "object", "asking", "search")
        )


def registered() -> dict[str, Route]:
    """The classified routes by name, with the places named as the application names them."""
    made = {}
    for line in ROUTES.strip().splitlines():
        method, path, kind, *asked = line.split(" ", 3)
        if kind not in CLASSES:
            raise ValueError(f"no such class: {line}")
        route = Route(method, path, kind, " ".join(asked))
        made[route.name] = route
    return made


def plainly(name: str) -> str:
    """``METHOD path`` of the application with the places that are renamed here."""
    method, path = name.split(" ", 1)
    for (where, place), new in RENAMED.items():
        if path == where:
            return f"{method} {path.replace(f'{{{place}}}', f'{{{new}}}')}"
    return name


def filled(text: str, places: dict[str, Any]) -> str:
    """The text with ``{place}`` replaced; a place that is not known stays, as JSON has braces too."""
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text
