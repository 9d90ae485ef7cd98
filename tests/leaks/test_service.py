"""The leak matrix of the service: every route x viewers x open attributes, each answer searched for canaries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from authz import Runtime
from licensing.testing import a_uscc
from ops.app import build_app
from ops.delivery.formats import FORMATS
from ops.delivery.routes import RowsRoute
from ops.evaluation import EvaluationRoute
from ops.leaks.city import City, party_of
from ops.leaks.report import Tally
from ops.leaks.service_routes import Route, filled, plainly, registered
from ops.leaks.viewers import ATTRIBUTES, CONTROLS, GRANTEES, VIEWERS

ROUTES = registered()
IN_ORDER = sorted(
    ROUTES.values(), key=lambda one: ("change", "begin").index(one.kind) if one.kind in ("change", "begin") else -1
)
"""What changes something comes last."""
TALLY = Tally("service")
EDITORS = {"owner": "admin", "other_editor": "admin"}
PURPOSE = {"purpose": "lending_risk_control", "purpose_class": "industry", "scenario": "信贷风控"}
UNSHOWN: set[str] = set()
"""Of those who may know, no route tells them."""
VARIANTS: dict[str, list[dict[str, str]]] = {
    "GET /data/v1/{resource_id}": [
        *({"format": name} for name in sorted(FORMATS)),
        {"columns": "extra"},
        {"columns": "note,firm"},
        {"filter[note][prefix]": "z"},
        {"sort": "note"},
        {"format": "csv", "encoding": "gb18030"},
    ],
    "GET /data/v1/{resource_id}/rows": [
        {"limit": "1000"},
        {"columns": "note"},
        {"columns": "extra"},
        {"filter[extra][prefix]": "z"},
        {"filter[region]": "440100"},
    ],
    "GET /v1/restricted/{resource_id}": [{}],
}
BODIES: dict[str, list[dict[str, Any]]] = {
    "POST /data/v1/{resource_id}/lookup": [
        {"key": "region", "values": ["330100", "440100"]},
        {"key": "firm", "values": ["企业1"], "columns": ["note"]},
        {"key": "note", "values": ["-"]},
    ],
    "POST /data/v1/{resource_id}/analysis": [
        {"sql": "SELECT region, count(*) AS n FROM data GROUP BY region"},
        {"sql": "SELECT firm, count(*) AS n FROM data GROUP BY firm"},
        {"sql": "SELECT min(firm), max(person), max(income) FROM data"},
        {"sql": "SELECT note, count(*) AS n FROM data GROUP BY note"},
        {"sql": "SELECT * FROM data"},
        {"sql": "SELECT count(*) AS n FROM authz.data_object"},
    ],
}


def walked(routes: Any, prefix: str = "") -> Iterator[str]:
    """``METHOD path`` of everything that an application answers, also what its description leaves out."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from walked(inner.routes, prefix + str(getattr(route.include_context, "prefix", "") or ""))
        elif isinstance(route, RowsRoute):
            yield f"GET {route.HEAD}{{resource_id}}{route.TAIL}"
        elif isinstance(route, EvaluationRoute):
            yield f"POST {route.PATH}"
        else:
            methods = set(route.methods)
            if "GET" in methods and not hasattr(route, "response_model"):
                methods.discard("HEAD")
            path = re.sub(r":\w+\}", "}", prefix + route.path)
            yield from (f"{method} {path}" for method in methods)


def test_every_route_is_classified(runtime: Runtime) -> None:
    app: FastAPI = build_app(runtime)
    described = {
        f"{method.upper()} {path}" for path, operations in app.openapi()["paths"].items() for method in operations
    }
    answered = set(walked(app.router.routes))
    assert described <= answered
    found = {plainly(one) for one in answered}
    unknown, gone = sorted(found - set(ROUTES)), sorted(set(ROUTES) - found)
    assert not unknown, f"routes without a class; add them to ops/leaks/service_routes.py: {unknown}"
    assert not gone, f"classified routes that are no more: {gone}"


class Asker:
    """Asks one route as one viewer, and judges the answer."""

    def __init__(self, client: httpx.AsyncClient, city: City, token_for: Callable[..., dict[str, str]]) -> None:
        self.client, self.city, self.token_for = client, city, token_for
        self.faults: list[str] = []

    def credentials(self, route: Route, viewer: str, attribute: str) -> list[tuple[str, dict[str, str]]]:
        """What the viewer can show: an account, and at the doors for programs the key of a grant."""
        if viewer == "anonymous":
            return [("nothing", {})]
        organisation = {"owner": self.city.organisation_id, "other_editor": "org-other"}.get(viewer)
        orgs = [(organisation, EDITORS[viewer])] if organisation else None
        shown = [("account", dict(self.token_for(viewer, orgs=orgs)))]
        keyed = self.city.grants.get((viewer, attribute)) or self.city.grants.get((viewer, "elsewhere"))
        if keyed and route.path.startswith(("/data/v1", "/v1/usage/events", "/v1/me")):
            shown.append(("key", keyed.headers))
        return shown

    def places(self, victim: str, attribute: str) -> dict[str, Any]:
        about = attribute if attribute in self.city.objects else "conditional"
        data = self.city.objects[about]
        subject = {"type": "user", "id": f"user-{victim}"}
        resource = {"type": "data_object", "id": data.resource_id}
        asking = {
            "subject": subject,
            "action": {"name": "read"},
            "resource": resource,
            "context": {**PURPOSE, "grant_id": self.city.id_of("grant", victim, about)},
        }
        document = {**data.as_document(), "open_attribute": "unconditional", "grade": "general-1"}
        ids = {
            f"{kind}_id": self.city.id_of(kind, victim, about)
            for kind in (
                "grant",
                "application",
                "agreement",
                "key",
                "party",
                "registration",
                "invoice",
                "payment",
                "product",
                "assignment",
                "ceiling",
                "rule",
                "settlement",
                "decision",
                "job",
                "webhook",
            )
        }
        return {
            "resource_id": data.resource_id,
            **ids,
            "rate_version_id": self.city.id_of("version", "", ""),
            "version_id": "pol_none",
            "verdict": "approve",
            "period": "2026-10",
            "code": "none",
            "line": "1",
            "delivery_id": "1",
            "name": "rows",
            "path": "gates.rego",
            "number": self.city.id_of("audit", "", ""),
            "uscc": a_uscc(200_000_000 + VIEWERS.index(victim)),
            "object": document,
            "asking": asking,
            "asking_many": {
                "subject": subject,
                "action": {"name": "read"},
                "evaluations": [{"resource": resource, "context": asking["context"]}],
            },
            "search_subject": {**asking, "subject": {"type": "user"}},
            "search_resource": {**asking, "resource": {"type": "data_object"}},
            "search_action": {name: asking[name] for name in ("subject", "resource", "context")},
            "application": {
                "party_id": party_of(victim),
                "resource_id": data.resource_id,
                "fields": ["firm"],
                **PURPOSE,
                "purpose_text": "试一试",
                "term_months": 12,
                "delivery": ["api"],
                "expected_rows_month": 1,
                "submit": True,
            },
        }

    async def ask(self, route: Route, viewer: str, victim: str, attribute: str) -> None:
        places = self.places(victim, attribute)
        path = filled(route.path, places)
        assert "{" not in path, path
        asked = filled(route.asked, places)
        params, body = {}, None
        if asked.startswith("json="):
            body = orjson.loads(asked.removeprefix("json="))
        else:
            params = dict(pair.split("=", 1) for pair in asked.split())
        wanted = [(params, one) for one in BODIES.get(route.name, [body])]
        wanted = [({**params, **more}, body) for more in VARIANTS.get(route.name, [])] or wanted
        for shown, headers in self.credentials(route, viewer, attribute):
            if viewer in CONTROLS and route.kind in ("staff", "begin") and route.method != "GET" and viewer == victim:
                continue
            for query, document in wanted:
                more = {} if document is None else {"json": document}
                answer = await self.client.request(route.method, path, params=query, headers=headers, **more)
                self.judge(route, (viewer, shown, victim, attribute), query or document, answer)

    def judge(self, route: Route, cell: tuple[str, str, str, str], asked: Any, answer: httpx.Response) -> None:
        viewer, shown, victim, attribute = cell
        TALLY.count(route.name, viewer, attribute, str(answer.status_code))
        where = f"{route.name} as {viewer} (showing {shown}) about {victim}'s, {attribute}, asked {asked}"
        headers = b"\n".join(name + b": " + value for name, value in answer.headers.raw)
        told = self.city.book.leaks(viewer, answer.content) + self.city.book.leaks(viewer, headers)
        if told:
            self.faults.append(f"{where}: {answer.status_code} TELLS {told}")
        if answer.status_code >= 500 and answer.status_code != 503:
            self.faults.append(f"{where}: {answer.status_code} {answer.text[:300]}")
        if self.refused(route, viewer, shown, victim, attribute) and answer.status_code < 400:
            self.faults.append(f"{where}: not refused, {answer.status_code} {answer.text[:300]}")

    @staticmethod
    def refused(route: Route, viewer: str, shown: str, victim: str, attribute: str) -> bool:
        match route.kind:
            case "signed":
                return viewer == "anonymous"
            case "party":
                return viewer not in (victim, "owner")
            case "owner":
                return viewer != "owner"
            case "staff" | "change":
                return True
            case "data" | "listing":
                if route.kind == "listing" and viewer == "over_quota" and shown == "key":
                    return attribute == "closed"
                allowed = attribute == "conditional" and viewer == "live" and shown == "key"
                return attribute != "unconditional" and not allowed
        return False


@pytest.mark.parametrize("route", IN_ORDER, ids=lambda one: one.name)
async def test_nobody_is_told_what_is_not_theirs(
    route: Route, client: httpx.AsyncClient, city: City, token_for: Callable[..., dict[str, str]]
) -> None:
    asker = Asker(client, city, token_for)
    TALLY.canaries = len(city.book)
    for attribute in ATTRIBUTES if route.about_object else ("any",):
        for viewer in VIEWERS:
            if route.kind == "change" and viewer in CONTROLS:
                continue
            victims = ["suspended" if viewer == "live" else "live"]
            if viewer in GRANTEES and route.about_party and route.kind not in ("change", "begin", "staff"):
                victims.append(viewer)
            for victim in victims:
                await asker.ask(route, viewer, victim, attribute)
    if route.kind == "party":
        await asker.ask(route, "other_enterprise", "other_enterprise", "elsewhere")
        for grantee in GRANTEES:
            for attribute in ATTRIBUTES if route.path == "/v1/applications/{application_id}" else ("conditional",):
                await asker.ask(route, "owner", grantee, attribute)
    if asker.faults:
        pytest.fail(f"{len(asker.faults)} faults\n" + "\n".join(asker.faults[:20]), pytrace=False)


@pytest.mark.parametrize(
    ("viewer", "reason"),
    [
        ("expired", "grant_expired"),
        ("revoked", "grant_revoked"),
        ("suspended", "grant_suspended"),
        ("over_quota", "quota_exhausted"),
    ],
)
async def test_the_viewers_are_what_their_names_say(
    client: httpx.AsyncClient, city: City, viewer: str, reason: str
) -> None:
    """After everything was tried: their keys are refused for that reason and no other."""
    data = city.objects["conditional"]
    answer = await client.get(f"/data/v1/{data.resource_id}/rows", headers=city.grants[viewer, "conditional"].headers)
    told = answer.json()
    assert reason in (told["code"], *(one["code"] for one in told["reasons"]))


async def test_those_who_may_know_were_told(city: City) -> None:
    """A canary that its owners never see would prove nothing about the others."""
    unproven = [one for one in city.book.never_told() if one not in UNSHOWN]
    assert not unproven, f"{len(unproven)} canaries that no one was told: {unproven}"
