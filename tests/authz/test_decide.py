"""decide(): reasons and duties, agreement between its two statements of the rule, denial on every failure."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from authz import (
    Decision,
    DecisionIsNotBoolean,
    DeliveryForm,
    Denied,
    Effect,
    Mask,
    OpenAttribute,
    OperatorConflict,
    PurposeClass,
    Reason,
    decide,
    decide_async,
    operator_apart,
    require_operator_apart,
)
from authz.model import Grade, RowFilter
from authz.pdp.decide import default_engine, effective_mask
from authz.pdp.engine import EmbeddedEngine, EngineFailure
from authz.pdp.opa import OpaEngine
from authz.pdp.reasons import CATALOGUE, PRECEDENCE
from authz.testing import NOW, a_grant, a_register, a_request, an_open_table
from authz.vocabularies import lists


def test_permit_carries_the_duties_of_the_grant() -> None:
    decision = decide(a_request())
    assert decision.effect is Effect.PERMIT
    duties = decision.require()
    assert duties.columns == ("name", "uscc")
    assert duties.masks == {"name": Mask("partial", "name")}
    assert duties.row_filter == (RowFilter("region", "prefix", "3301"),)
    assert duties.watermark == "pty_bank"
    assert duties.log_level == "full"
    assert duties.k_floor is None
    assert "salt" not in repr(decision)


def test_open_data_needs_nothing() -> None:
    decision = decide(a_request(subject_kind="public", subject_id="-", object=an_open_table(), grant=None))
    assert decision.permitted
    assert decision.obligations.columns == ("code", "name")
    assert decision.obligations.row_filter == ()
    assert decision.obligations.quota is None


def test_a_decision_is_not_a_boolean() -> None:
    for decision in (decide(a_request()), decide(a_request(grant=None))):
        with pytest.raises(DecisionIsNotBoolean):
            bool(decision)
        with pytest.raises(DecisionIsNotBoolean):
            assert not decision


def test_a_denial_without_a_reason_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="reason"):
        Decision(Effect.DENY, "v")


OPERATOR, BANK = "91350100M000100Y43", "91110000100000015K"

DENIED: list[tuple[str, dict[str, Any]]] = [
    ("object_unknown", {"object": a_register(has_personal_info=1)}),
    ("request_unknown", {"action": "write"}),
    ("grade_core", {"object": a_register(grade=Grade.CORE)}),
    ("object_closed", {"object": a_register(open_attribute=OpenAttribute.CLOSED)}),
    ("personal_info_open", {"object": an_open_table(has_personal_info=True)}),
    ("grant_required", {"grant": None}),
    ("subject_anonymous", {"subject_kind": "public"}),
    ("grant_other_object", {"grant": a_grant(resource_id="res-other")}),
    ("grant_revoked", {"grant": a_grant(state="revoked")}),
    ("grant_suspended", {"grant": a_grant(state="suspended")}),
    ("grant_expired", {"grant": a_grant(valid_until=NOW)}),
    ("grant_expired", {"grant": a_grant(state="expired")}),
    ("grant_exhausted", {"grant": a_grant(state="exhausted")}),
    ("grant_not_active", {"grant": a_grant(state="drafted")}),
    ("grant_not_started", {"grant": a_grant(valid_from=NOW + timedelta(seconds=1))}),
    ("agreement_missing", {"grant": a_grant(agreement_id=None)}),
    ("provider_consent_missing", {"object": a_register(shared_from="税务局")}),
    ("risk_assessment_missing", {"object": a_register(grade=Grade.IMPORTANT)}),
    ("operator_conflict", {"object": a_register(operator_uscc=OPERATOR), "grant": a_grant(party_usccs=(OPERATOR,))}),
    ("operator_conflict", {
        "object": a_register(operator_uscc=OPERATOR), "grant": a_grant(party_usccs=(BANK, OPERATOR))}),
    ("operator_conflict", {"object": a_register(operator_uscc=OPERATOR)}),
    ("address_not_allowed", {"grant": a_grant(ip_allow=("10.0.0.0/8",)), "address": "192.0.2.1"}),
    ("address_not_allowed", {"grant": a_grant(ip_allow=("10.0.0.0/8",))}),
    ("address_not_allowed", {"grant": a_grant(ip_allow=("nonsense",)), "address": "10.0.0.1"}),
    ("channel_not_granted", {"channel": "download"}),
    ("purpose_not_granted", {"purpose": "marketing"}),
    ("purpose_class_not_granted", {"purpose_class": "public_interest"}),
    ("scenario_not_granted", {"scenario": "别的场景"}),
    ("fields_unknown", {"fields": ("nothing",)}),
    ("fields_not_granted", {"fields": ("name", "phone")}),
    ("fields_not_open", {"object": an_open_table(
        fields=tuple(replace(one, open_attribute=OpenAttribute.CLOSED) for one in an_open_table().fields[:1])
        + an_open_table().fields[1:]), "fields": ("code",), "grant": None}),
    ("fields_none", {"grant": a_grant(columns=())}),
    ("quota_exhausted", {"quota_exhausted": True}),
]


@pytest.mark.parametrize(("code", "changes"), DENIED, ids=[code for code, _ in DENIED])
def test_denials_and_their_first_reason(code: str, changes: dict[str, Any]) -> None:
    decision = decide(a_request(**changes))
    assert decision.effect is Effect.DENY
    assert decision.codes[0] == code
    assert decision.next_zh
    assert decision.next_en
    assert "{" not in decision.reasons[0].zh + decision.reasons[0].en + decision.next_zh
    with pytest.raises(Denied) as denied:
        decision.require()
    assert denied.value.detail("zh") == decision.reasons[0].zh


def test_every_reason_of_the_catalogue_is_reached_or_is_a_failure() -> None:
    reached = {code for code, _ in DENIED} | {"grant_malformed"}
    failures = {"policy_unavailable", "policy_rule_unknown", "obligation_unfulfillable"}
    assert reached | failures == set(CATALOGUE)


def test_data_operated_by_another_is_permitted() -> None:
    apart = a_request(object=a_register(operator_uscc=OPERATOR), grant=a_grant(party_usccs=(BANK,)))
    assert decide(apart).permitted
    assert decide(a_request(grant=a_grant(party_usccs=(OPERATOR,)))).permitted


def test_the_gate_of_applications_and_the_use_of_grants_state_one_rule() -> None:
    """``operator_conflict`` asks before a grant there is, ``data_access`` at every use; they must not part."""
    for operator, codes in itertools.product([None, OPERATOR, BANK], [(), (BANK,), (OPERATOR,), (BANK, OPERATOR)]):
        data = a_register(operator_uscc=operator)
        used = decide(a_request(object=data, grant=a_grant(party_usccs=codes)))
        asked = operator_apart(data, codes)
        assert used.codes == asked.codes == (() if operator is None or (codes and operator not in codes)
                                             else ("operator_conflict",))
        if asked.permitted:
            require_operator_apart(data, codes)
        else:
            with pytest.raises(OperatorConflict):
                require_operator_apart(data, codes)


@pytest.mark.parametrize("answer", [{}, {"effect": "deny"}, {"effect": "permit", "x": 1}, TimeoutError()], ids=str)
def test_an_applicant_is_not_apart_from_the_operator_when_nobody_answers(answer: Any) -> None:
    assert operator_apart(a_register(), [BANK], Answering(answer)).codes == ("policy_unavailable",)


def test_denial_says_what_to_apply_for() -> None:
    decision = decide(a_request(fields=("name", "phone", "capital")))
    assert decision.reasons[0].facts == {"fields": ["phone", "capital"]}
    assert "/apply/res-register?fields=phone,capital" in decision.next_zh


def test_a_denial_speaks_of_purposes_and_forms_in_words() -> None:
    (form, purpose) = decide(a_request(channel="verify", purpose="academic_research")).reasons
    assert (form.zh, form.en) == (
        "授权不包含“核验”这种交付方式。", "The grant does not include this form of delivery: Verification.")
    assert purpose.zh == "用途“学术研究”不在授权范围内，授权用途为“信贷风险控制”。"
    assert purpose.en == "The purpose 'Academic research' is not the granted one, 'Risk control in lending'."
    (unlisted,) = decide(a_request(purpose="marketing")).reasons
    assert unlisted.zh.startswith("用途“marketing”不在授权范围内")


def test_every_code_of_the_model_and_of_the_lists_has_a_word() -> None:
    assert {str(one) for one in DeliveryForm} == lists()["delivery_forms"].keys()
    assert {str(one) for one in PurposeClass} == lists()["purpose_classes"].keys()


def test_reasons_come_in_order_of_precedence() -> None:
    decision = decide(a_request(
        purpose="marketing", channel="offline", quota_exhausted=True, fields=("phone", "nothing"),
        grant=a_grant(state="revoked", agreement_id=None),
    ))
    assert decision.codes == (
        "grant_revoked", "agreement_missing", "channel_not_granted", "purpose_not_granted", "fields_unknown",
        "fields_not_granted", "quota_exhausted",
    )
    assert [PRECEDENCE[code] for code in decision.codes] == sorted(PRECEDENCE[code] for code in decision.codes)


def test_aggregates_of_restricted_data_have_a_floor() -> None:
    assert decide(a_request(action="aggregate")).require().k_floor == 10


def test_a_grant_hides_more_never_less() -> None:
    phone, full, name = Mask("partial", "phone"), Mask("hash"), Mask("generalise_region", "4")
    assert effective_mask(phone, full) == full
    assert effective_mask(full, phone) == full
    assert effective_mask(phone, name) == phone
    assert effective_mask(None, None) is None
    decision = decide(a_request(grant=a_grant(columns=("phone",), masks={})))
    assert decision.obligations.masks == {"phone": phone}


def test_hidden_columns_are_left_out() -> None:
    decision = decide(a_request(grant=a_grant(masks={"name": Mask("hide")})))
    assert decision.obligations.columns == ("uscc",)


# --- failures -------------------------------------------------------------------------------------------------------

class Answering:
    """An engine that gives one answer, or raises."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def evaluate(self, policy: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def evaluate_async(self, policy: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.evaluate(policy, facts)


GOOD = {"columns": ["name"], "masks": {"name": "partial:name"}, "row_filter": "grant", "quota": "grant",
        "watermark": "grantee", "log_level": "full"}
BROKEN: list[Any] = [
    EngineFailure("away"), TimeoutError(), RuntimeError("panic"), {}, {"effect": "permit"}, {"effect": "allow"},
    {"effect": "permit", "obligations": {}}, {"effect": "permit", "obligations": None},
    {"effect": "permit", "reasons": ["grant_revoked"], "obligations": GOOD},
    {"effect": "deny"}, {"effect": "deny", "reasons": []}, {"effect": "deny", "reasons": ["made_up"]},
    {"effect": "permit", "obligations": {**GOOD, "notify": "owner"}},
    {"effect": "permit", "obligations": {**GOOD, "row_filter": "none"}},
    {"effect": "permit", "obligations": {**GOOD, "log_level": "off"}},
    {"effect": "permit", "obligations": {**GOOD, "columns": []}},
    {"effect": "permit", "obligations": {**GOOD, "columns": ["nothing"]}},
    {"effect": "permit", "obligations": {**GOOD, "masks": {"name": "blur"}}},
    {"effect": "permit", "obligations": {**GOOD, "masks": "none"}},
]


@pytest.mark.parametrize("answer", BROKEN, ids=lambda one: str(one)[:60])
async def test_whatever_the_engine_does_wrong_denies(answer: Any) -> None:
    for decision in (decide(a_request(), Answering(answer)), await decide_async(a_request(), Answering(answer))):
        assert decision.effect is Effect.DENY
        assert decision.codes[0] in ("policy_unavailable", "policy_rule_unknown")


def test_malformed_facts_deny() -> None:
    broken = ({"grant": a_grant(valid_from=None)}, {"grant": a_grant(columns=None)}, {"object": a_register(grade="x")})
    for changes in broken:
        assert decide(a_request(**changes)).codes == ("policy_unavailable",)


def test_good_answer_permits() -> None:
    assert decide(a_request(), Answering({"effect": "permit", "obligations": GOOD})).permitted


def test_a_duty_of_a_grant_without_a_grant_denies() -> None:
    answer = {"effect": "permit", "obligations": {**GOOD, "columns": ["code"], "masks": {}}}
    assert not decide(a_request(object=an_open_table(), grant=None), Answering(answer)).permitted


def test_each_thread_has_its_own_engine() -> None:
    """A regorus engine panics in another thread than its own; ours is asked from eight."""
    engine = EmbeddedEngine()
    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(lambda _: decide(a_request(), engine), range(200)))
    assert all(decision.permitted for decision in decisions)


class _Handler(BaseHTTPRequestHandler):
    behave: Callable[[_Handler], None]

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).behave(self)


def _slow(handler: _Handler) -> None:
    threading.Event().wait(1.0)
    handler.answer(200, b'{"result": {"effect": "permit"}}')


def _cut(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"result": {"eff')


MISBEHAVIOURS: dict[str, Callable[[_Handler], None]] = {
    "late": _slow,
    "500": lambda handler: handler.answer(500, b"{}"),
    "404": lambda handler: handler.answer(404, b"{}"),
    "garbage": lambda handler: handler.answer(200, b"<html>"),
    "undefined": lambda handler: handler.answer(200, b"{}"),
    "null": lambda handler: handler.answer(200, b'{"result": null}'),
    "boolean": lambda handler: handler.answer(200, b'{"result": true}'),
    "list": lambda handler: handler.answer(200, b"[]"),
    "cut": _cut,
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
async def test_an_opa_server_that_fails_denies(name: str) -> None:
    handler = type("Handler", (_Handler,), {"behave": staticmethod(MISBEHAVIOURS[name])})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        engine = OpaEngine(f"http://127.0.0.1:{server.server_port}", timeout_s=0.3)
        for decision in (await asyncio.to_thread(decide, a_request(), engine), await decide_async(a_request(), engine)):
            assert decision.codes == ("policy_unavailable",)
        await engine.close()
    finally:
        server.shutdown()
        server.server_close()


async def test_no_opa_server_at_all_denies() -> None:
    engine = OpaEngine("http://127.0.0.1:9", timeout_s=0.3)
    assert (await decide_async(a_request(), engine)).codes == ("policy_unavailable",)
    with pytest.raises(ValueError, match="OPA_URL"):
        OpaEngine("file:///etc/passwd")


def test_opa_url_chooses_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    default_engine.cache_clear()
    monkeypatch.setenv("OPA_URL", "http://127.0.0.1:9")
    assert isinstance(default_engine(), OpaEngine)
    default_engine.cache_clear()
    monkeypatch.delenv("OPA_URL")
    assert isinstance(default_engine(), EmbeddedEngine)


def test_reason_documents() -> None:
    document = decide(a_request(fields=("phone",))).as_document("en")
    assert document["effect"] == "deny"
    assert document["reasons"][0]["code"] == "fields_not_granted"
    assert document["obligations"] is None
    assert document["next"].startswith("Leave them out")
    assert Reason("a", "甲", "A").as_dict("zh") == {"code": "a", "detail": "甲"}
