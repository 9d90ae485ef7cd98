"""AuthZEN Access Request and Approval profile, the decision point's part: a denial that says how to ask for access.

A denial is requestable when the caller asks about themselves and what stands in the way is a grant they lack, not a
rule that nobody can change. It carries a token, signed by the service, that binds a later request to this denial:
the subject, the resource, the action and the members of the context as they were, for a quarter of an hour.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from authz.decision import Decision
from authz.foundation.errors import Refusal
from authz.foundation.ids import new_id

ENDPOINT = "/access/v1/requests"
SCHEMA = "/access/v1/requests/schema"
TEMPLATE = "data_use_application"
CAPABILITY = "urn:openid:authzen:capability:access-request"
ERROR = "urn:openid:authzen:access-request:error:"

REQUESTABLE = frozenset({
    "grant_required", "grant_other_object", "grant_other_party", "grant_expired", "grant_exhausted",
    "channel_not_granted", "purpose_not_granted", "purpose_class_not_granted", "scenario_not_granted",
    "fields_not_granted",
})
"""Reasons of a denial that an application can remedy. A suspended or revoked grant has its own remedies."""

BINDING_S = 900
"""How long a denial can be answered with a request, in seconds."""
TYPE = "govopen-denial+jwt"
ALGORITHM = "Ed25519"
TOKEN_LENGTH_MAX = 8_000


class NotRequestable(Refusal):
    code = "not_requestable"
    status = 400
    type = f"{ERROR}not_requestable"
    zh = "该拒绝不能通过申请解决：{why_zh}。"
    en = "The denial cannot be remedied by a request: {why_en}."
    next_zh = "请只对带有 context.access_request 的拒绝提交申请。"
    next_en = "Submit a request only for a denial that has context.access_request."


class InvalidDenialBinding(Refusal):
    code = "invalid_denial_binding"
    status = 400
    type = f"{ERROR}invalid_denial_binding"
    zh = "申请与被拒绝的判定不相符。"
    en = "The request does not belong to the decision that was denied."
    next_zh = "请原样带回 context.access_request 中的 binding_token，并且不要改动主体、资源、操作和原有上下文。"
    next_en = "Return binding_token unchanged; leave subject, resource, action and the original context as they were."


class ExpiredDenial(Refusal):
    code = "expired_denial"
    status = 410
    type = f"{ERROR}expired_denial"
    zh = "该拒绝的申请期限已过。"
    en = "The time for a request after this denial has passed."
    next_zh = "请重新判定后再提交申请。"
    next_en = "Evaluate again and submit a request for the new denial."


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _digest(asked: Mapping[str, Any], context_members: list[str]) -> str:
    context = asked.get("context") or {}
    bound = [asked.get(name) for name in ("subject", "resource", "action")]
    bound.append({name: context.get(name) for name in context_members})
    return hashlib.sha256(orjson.dumps(bound, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _key(key: Ed25519PrivateKey) -> OKPKey:
    return OKPKey.import_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def requestable_context(
    asked: Mapping[str, Any], decision: Decision, *, key: Ed25519PrivateKey, site_url: str, at: datetime
) -> dict[str, Any]:
    """What a denial's context tells about asking; empty when an application would not help.

    ``asked`` is the evaluation request as it was sent. Freshness is by the machine's clock, also in a demo city.
    """
    if decision.permitted or not set(decision.codes) <= REQUESTABLE:
        return {}
    evaluation_id, reason = new_id("eval"), decision.reasons[0]
    expires = datetime.fromtimestamp(time.time(), UTC).replace(microsecond=0) + timedelta(seconds=BINDING_S)
    members = sorted(asked.get("context") or {})
    claims = {
        "iss": site_url, "jti": evaluation_id, "exp": int(expires.timestamp()), "reason": reason.code,
        "members": members, "digest": _digest(asked, members),
    }
    token = jwt.encode({"alg": ALGORITHM, "typ": TYPE}, claims, _key(key), algorithms=[ALGORITHM])
    resource_id = str(asked["resource"]["id"])
    fields = [name for one in decision.reasons for name in one.facts.get("fields", ())]
    query = "?fields=" + ",".join(quote(name) for name in fields) if fields else ""
    return {
        "evaluation_id": evaluation_id, "evaluated_at": _stamp(at), "reason": reason.code,
        "access_request": {
            "endpoint": f"{site_url}{ENDPOINT}", "template": TEMPLATE, "expires_at": _stamp(expires),
            "binding_token": token, "form_url": f"{site_url}/apply/{quote(resource_id)}{query}",
            "request_schema_url": f"{site_url}{SCHEMA}",
            "display": {
                "title": {"zh": "提交数据使用申请", "en": "Apply to use the data"},
                "description": {"zh": decision.next_zh, "en": decision.next_en},
            },
        },
    }


def bound_denial(
    asked: Mapping[str, Any], denial: Mapping[str, Any], *, key: Ed25519PrivateKey, site_url: str
) -> str:
    """The evaluation id of the denial that a request answers.

    Raises InvalidDenialBinding for a token that is not ours or is for another question, ExpiredDenial, NotRequestable.
    """
    token = denial.get("binding_token")
    if not isinstance(token, str) or not token.isascii() or len(token) > TOKEN_LENGTH_MAX:
        raise InvalidDenialBinding
    try:
        decoded = jwt.decode(token, _key(key), algorithms=[ALGORITHM])
        claims = decoded.claims
        known = decoded.header.get("typ") == TYPE and claims["iss"] == site_url
        expires, members = float(claims["exp"]), [str(name) for name in claims["members"]]
        matching = claims["digest"] == _digest(asked, members)
        evaluation_id, reason = str(claims["jti"]), str(claims["reason"])
    except (JoseError, ValueError, KeyError, TypeError, RecursionError) as fault:
        raise InvalidDenialBinding from fault
    told = denial.get("evaluation_id", evaluation_id)
    if not known or not matching or told != evaluation_id or denial.get("reason", reason) != reason:
        raise InvalidDenialBinding
    if time.time() >= expires:
        raise ExpiredDenial
    return evaluation_id
