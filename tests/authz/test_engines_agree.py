"""Random questions: the policy's two statements of its rule agree, and so do the embedded engine and an OPA server."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz import OpenAttribute, decide
from authz.model import Grade
from authz.pdp import bundle
from authz.pdp.decide import policy_input
from authz.pdp.engine import EmbeddedEngine, EngineFailure
from authz.pdp.opa import OpaEngine
from authz.testing import a_grant, a_register, a_request
from authz.versions.checks import plain

EXAMPLES = int(os.environ.get("GOVOPEN_POLICY_EXAMPLES", "400"))
"""Random requests that are asked; tens of thousands where somebody waits for them (``make test-policy``)."""
BATCH = 40
EMBEDDED = EmbeddedEngine()
OPERATOR, BANK = "91350100M000100Y43", "91110000100000015K"
NAMES = ["name", "uscc", "region", "phone", "note", "nothing"]
ASK_MANY = """package govopen_batch

answers[name] := [answer |
	some facts in input[name]
	answer := _answer(name, facts)
] if some name in {"data_access", "operator_conflict", "publish_gate"}

_answer("data_access", facts) := answer if answer := data.govopen.data_access.decision with input as facts

_answer("operator_conflict", facts) := answer if answer := data.govopen.operator_conflict.decision with input as facts

_answer("publish_gate", facts) := answer if answer := data.govopen.publish_gate.decision with input as facts
"""

grants = st.none() | st.builds(
    a_grant,
    state=st.sampled_from(["active", "active", "active", "revoked", "suspended", "expired", "exhausted", "?"]),
    resource_id=st.sampled_from(["res-register", "res-register", "res-other"]),
    columns=st.lists(st.sampled_from(NAMES), unique=True, max_size=4).map(tuple),
    delivery=st.lists(st.sampled_from(["api", "download", "verify"]), max_size=2).map(tuple),
    agreement_id=st.sampled_from(["agr", "agr", None]), consent_of_provider=st.booleans(),
    risk_assessment_id=st.sampled_from([None, "ra"]),
    party_usccs=st.sampled_from([(), (BANK,), (OPERATOR,), (BANK, OPERATOR)]),
    ip_allow=st.sampled_from([(), ("10.0.0.0/8",)]),
)
objects = st.builds(
    a_register,
    open_attribute=st.sampled_from(list(OpenAttribute)), grade=st.sampled_from(list(Grade)),
    has_personal_info=st.booleans(), shared_from=st.sampled_from([None, None, "税务局"]),
    operator_uscc=st.sampled_from([None, None, OPERATOR, "0"]),
)
kindly = st.builds(
    a_request,
    object=st.builds(a_register, operator_uscc=st.sampled_from([None, OPERATOR])),
    grant=st.builds(
        a_grant, columns=st.lists(st.sampled_from(NAMES[:4]), unique=True, min_size=1).map(tuple),
        party_usccs=st.sampled_from([(BANK,), (BANK, OPERATOR)]),
    ),
    fields=st.none() | st.lists(st.sampled_from(NAMES[:4]), min_size=1, max_size=2).map(tuple),
    action=st.sampled_from(["read", "aggregate"]),
)
"""Requests of which many are permitted; wholly random ones seldom are."""
requests = kindly | st.builds(
    a_request,
    subject_kind=st.sampled_from(["public", "user", "grant", "key"]), object=objects, grant=grants,
    action=st.sampled_from(["read", "aggregate", "read", "write"]),
    fields=st.none() | st.lists(st.sampled_from(NAMES), max_size=3).map(tuple),
    purpose=st.sampled_from([None, "lending_risk_control", "marketing"]),
    purpose_class=st.sampled_from([None, "industry", "public_interest"]),
    scenario=st.sampled_from([None, "贷前审查", "其他"]), channel=st.sampled_from(["api", "api", "download", "?"]),
    quota_exhausted=st.booleans(), address=st.sampled_from([None, "10.1.1.1"]),
)


ODD = [None, True, False, "", "active", 0, 1, [], ["api"], {}]


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document below its top."""
    found, inside = [path] if path else [], []
    if isinstance(document, dict | list):
        inside = list(document.items() if isinstance(document, dict) else enumerate(document))
    for key, value in inside:
        found += places(value, (*path, key))
    return found


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """The facts of a request with a member or two taken away or of another type, as no caller of ours would send."""
    facts = orjson.loads(orjson.dumps(policy_input(draw(requests))))
    for _ in range(draw(st.integers(1, 2))):
        *above, last = draw(st.sampled_from(places(facts)))
        holder: Any = facts
        for key in above:
            holder = holder[key]
        if draw(st.booleans()):
            del holder[last]
        else:
            holder[last] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return facts


applicants = st.fixed_dictionaries({}, optional={
    "operator_uscc": st.sampled_from([None, OPERATOR, BANK, "", 0, []]),
    "party_usccs": st.sampled_from([None, [], [BANK], [OPERATOR], [BANK, OPERATOR], OPERATOR, {}, [None]]),
})


@settings(max_examples=EXAMPLES, deadline=None)
@given(requests)
def test_permit_has_no_reason_and_denial_has_one(request: Any) -> None:
    """The policy states its rule twice, as conditions and as reasons; on random requests they agree."""
    facts = policy_input(request)
    answer = EMBEDDED.evaluate("data_access", facts)
    reasons = EMBEDDED.rule("data.govopen.data_access.reasons", facts)
    assert (answer["effect"] == "permit") == (not reasons)
    decision = decide(request, EMBEDDED)
    assert decision.permitted == (not reasons)
    assert set(decision.codes) == set(reasons)
    if decision.permitted and request.object.restricted:
        assert request.grant is not None
        assert set(decision.obligations.columns) <= set(request.grant.columns)
        assert decision.obligations.row_filter == request.grant.row_filter
        assert request.object.operator_uscc not in request.grant.party_usccs


@settings(max_examples=EXAMPLES, deadline=None)
@given(spoilt())
def test_spoilt_facts_never_permit_what_has_a_reason(facts: dict[str, Any]) -> None:
    try:
        answer = EMBEDDED.evaluate("data_access", facts)
    except EngineFailure:
        return
    assert (answer["effect"] == "permit") != bool(answer.get("reasons"))
    assert set(answer.get("reasons", ())) == set(EMBEDDED.rule("data.govopen.data_access.reasons", facts))


Ask = Callable[[str, Sequence[Any]], list[Any]]


@pytest.fixture(scope="module")
def ask_opa(opa_url: str) -> Iterator[Ask]:
    """Asks the OPA server many questions in one request; says in the end how many there were."""
    OpaEngine(opa_url, timeout_s=10).push()
    asked = [0]
    with httpx.Client(base_url=opa_url, timeout=60) as client:
        client.put("/v1/policies/batch", content=ASK_MANY).raise_for_status()

        def ask(policy: str, many: Sequence[Any]) -> list[Any]:
            answer = client.post("/v1/data/govopen_batch/answers", json={"input": {policy: list(many)}})
            found: list[Any] = answer.raise_for_status().json()["result"][policy]
            assert len(found) == len(many)
            asked[0] += len(many)
            return found

        yield ask
    print(f"\nOPA and the embedded engine were asked {asked[0]:,} random questions")


def embedded(policy: str, facts: Any) -> Any:
    """The embedded engine's answer, or that it failed, which is a denial."""
    try:
        return EMBEDDED.evaluate(policy, facts)
    except EngineFailure:
        return {"effect": "deny"}


def batches(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, min_size=BATCH, max_size=BATCH)


MANY = settings(
    max_examples=max(1, EXAMPLES // BATCH), deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large, HealthCheck.too_slow,
                           HealthCheck.large_base_example],
)


@MANY
@given(batches(requests.map(policy_input)))
def test_opa_server_and_embedded_engine_agree(ask_opa: Ask, many: list[Any]) -> None:
    """The same decision, reasons and duties from both, on random requests."""
    for facts, answer in zip(many, ask_opa("data_access", many), strict=True):
        assert plain(answer) == plain(EMBEDDED.evaluate("data_access", facts)), facts


@MANY
@given(batches(spoilt()))
def test_opa_server_and_embedded_engine_agree_on_spoilt_facts(ask_opa: Ask, many: list[Any]) -> None:
    """The same effect and duties; where the embedded engine fails on a type, OPA denies too."""
    for facts, answer in zip(many, ask_opa("data_access", many), strict=True):
        own = embedded("data_access", facts)
        assert answer["effect"] == own["effect"], facts
        assert plain(answer.get("obligations")) == plain(own.get("obligations")), facts


@MANY
@given(batches(applicants))
def test_opa_server_and_embedded_engine_agree_on_applicants(ask_opa: Ask, many: list[Any]) -> None:
    for facts, answer in zip(many, ask_opa("operator_conflict", many), strict=True):
        assert plain(answer) == plain(EMBEDDED.evaluate("operator_conflict", facts)), facts


def test_policies_asked_here_are_all_there_are() -> None:
    assert all(f'"{name}"' in ASK_MANY for name in bundle.packaged().names)
