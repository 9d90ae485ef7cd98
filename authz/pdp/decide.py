"""``decide``: facts in, policy asked, answer checked, obligations filled in. Every doubt is a denial."""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote

from authz.decision import Decision, DecisionRequest, Effect, LogLevel, Obligations
from authz.foundation.clock import beijing_date
from authz.model import GrantFacts, Mask, stamp
from authz.pdp.bundle import policy_version
from authz.pdp.engine import EmbeddedEngine, EngineFailure, PolicyEngine
from authz.pdp.reasons import CATALOGUE, sorted_reasons, titles

log = logging.getLogger("govopen.authz")

K_FLOOR = 10
"""Smallest group that an aggregate over restricted rows may show."""

KNOWN_DUTIES = frozenset({"columns", "masks", "row_filter", "quota", "watermark", "log_level", "grain"})

MEANINGS: Mapping[str, tuple[str, ...]] = {
    "row_filter": ("grant",), "quota": ("grant",), "watermark": ("grantee",), "grain": ("read", "aggregate"),
}
"""What the policy may say of a duty whose value is taken from the grant or from here."""


@lru_cache(maxsize=1)
def default_engine() -> PolicyEngine:
    """The OPA server named by OPA_URL when it is set, else Rego in process."""
    url = os.environ.get("OPA_URL")
    if url:
        from authz.pdp.opa import OpaEngine

        return OpaEngine(url)
    return EmbeddedEngine()


def decide(request: DecisionRequest, engine: PolicyEngine | None = None) -> Decision:
    """May this subject do this to that object now, under which duties, and why.

    Never raises for malformed facts or a failure of the engine: that is a denial with ``policy_unavailable``. With an
    OPA server this waits for the network; on an event loop use ``decide_async``.
    """
    try:
        answer = (engine or default_engine()).evaluate("data_access", policy_input(request))
    except Exception as failure:
        return _failed(request, failure)
    return _read(request, answer)


async def decide_async(request: DecisionRequest, engine: PolicyEngine | None = None) -> Decision:
    """``decide`` for the event loop."""
    try:
        answer = await (engine or default_engine()).evaluate_async("data_access", policy_input(request))
    except Exception as failure:
        return _failed(request, failure)
    return _read(request, answer)


def _on(at: datetime | None) -> str:
    """The Beijing date of an instant for a sentence; empty for facts that lack it."""
    return beijing_date(at).isoformat() if at is not None else ""


def effective_mask(own: Mask | None, granted: Mask | None) -> Mask | None:
    """The stronger of a field's own mask and the grant's: a grant may hide more, never less."""
    if own is None or granted is None:
        return granted or own
    return granted if granted.strength >= own.strength else own


def _address_allowed(grant: GrantFacts, address: str | None) -> bool:
    if not grant.ip_allow:
        return True
    try:
        caller = ipaddress.ip_address(address or "")
        caller = getattr(caller, "ipv4_mapped", None) or caller
        return any(caller in ipaddress.ip_network(one, strict=False) for one in grant.ip_allow)
    except ValueError:
        return False


def policy_input(request: DecisionRequest) -> dict[str, Any]:
    """The request as the policy reads it: text, truth values, lists, no numbers; only fields that matter.

    What comes of the object and of the grant is made once and shared between requests: read it, never write to it.
    """
    data, grant, asked = request.object, request.grant, request.fields
    if grant is None or not data.restricted:
        names = data.names
    elif not asked:
        names = tuple(grant.columns)
    else:
        names = (*grant.columns, *asked)
    about, own = data.policy_facts(names)
    if grant is None or not grant.masks:
        masks = {name: str(mask) for name, mask in own.items()}
    else:
        masks = {}
        for name in about["fields"]:
            mask = effective_mask(own.get(name), grant.masks.get(name))
            if mask is not None:
                masks[name] = mask.text
    return {
        "subject": {"kind": request.subject_kind, "id": request.subject_id},
        "action": request.action,
        "channel": request.channel,
        "now": stamp(request.now),
        "purpose": request.purpose,
        "purpose_class": request.purpose_class,
        "scenario": request.scenario,
        "fields": asked,
        "quota_exhausted": request.quota_exhausted,
        "address_allowed": grant is None or _address_allowed(grant, request.address),
        "object": about,
        "masks": masks,
        "grant": None if grant is None else grant.policy_facts,
    }


def _read(request: DecisionRequest, answer: Mapping[str, Any]) -> Decision:
    """The engine's answer as a Decision; anything unexpected in it is a denial."""
    try:
        if answer.get("effect") == "permit" and "reasons" not in answer:
            return Decision(Effect.PERMIT, policy_version(), obligations=_obligations(request, answer))
        codes = [str(code) for code in answer["reasons"]]
        if answer.get("effect") != "deny" or not codes or not set(codes) <= CATALOGUE.keys():
            raise EngineFailure("a rule of the answer is not known")
        return denial(request, codes, refused=[str(name) for name in answer.get("fields_refused", ())])
    except Exception as fault:
        log.error("the policy's answer could not be read: %s: %s", type(fault).__name__, fault)
        return denial(request, ["policy_rule_unknown"])


def _obligations(request: DecisionRequest, answer: Mapping[str, Any]) -> Obligations:
    duties = answer["obligations"]
    if not duties.keys() <= KNOWN_DUTIES:
        raise EngineFailure("an obligation is not known")
    data, grant = request.object, request.grant
    for name, value in duties.items():
        meanings = MEANINGS.get(name)
        if meanings is not None and (value not in meanings or grant is None):
            raise EngineFailure(f"obligation {name} is not known")
    if duties["log_level"] not in ("summary", "full"):
        raise EngineFailure("obligation log_level is not known")
    allowed = frozenset(duties["columns"])
    if not allowed or not allowed <= data.by_name.keys():
        raise EngineFailure("obligation columns names no or unknown columns")
    masks = {str(name): Mask.parse(mask) for name, mask in duties["masks"].items() if name in allowed}
    return Obligations(
        columns=tuple(one.name for one in data.fields if one.name in allowed),
        masks=masks,
        row_filter=grant.row_filter if grant is not None and "row_filter" in duties else (),
        watermark=grant.party_id if grant is not None and "watermark" in duties else None,
        quota=grant.quota if grant is not None and "quota" in duties else None,
        log_level=cast(LogLevel, duties["log_level"]),
        k_floor=K_FLOOR if duties.get("grain") == "aggregate" else None,
    )


class _Words(dict[str, str]):
    """Words of a denial's sentences by placeholder; those that cost something are found when a sentence has them."""

    def __init__(self, request: DecisionRequest, refused: Iterable[str]) -> None:
        super().__init__()
        self._request, self._refused = request, frozenset(refused)

    def __missing__(self, name: str) -> str:
        word = self[name] = self._found(name)
        return word

    def _found(self, name: str) -> str:
        request, grant, known = self._request, self._request.grant, self._request.object.by_name
        if name.endswith(("_zh", "_en")):
            return titles(request.channel, request.purpose or "", grant.purpose if grant else "")[name]
        match name:
            case "resource_id":
                return request.object.resource_id
            case "grant_id":
                return grant.id if grant else ""
            case "valid_from_on" | "valid_until_on":
                return _on(grant.valid_from if name == "valid_from_on" else grant.valid_until) if grant else ""
        names = [one for one in request.fields or () if one in self._refused and (one in known) is (name in OF_KNOWN)]
        return ",".join(quote(one) for one in names) if name == "fields_query" else "、".join(names)


OF_KNOWN = frozenset({"fields_refused", "fields_query"})
"""Words that name fields which there are; ``fields_unknown`` names the others."""


def denial(request: DecisionRequest, codes: Iterable[str], *, refused: Iterable[str] = ()) -> Decision:
    """A denial with its sentences filled from the request. ``codes`` are of the catalogue."""
    reasons, next_zh, next_en = sorted_reasons(codes, _Words(request, refused))
    return Decision(Effect.DENY, policy_version(), reasons, next_zh=next_zh, next_en=next_en)


def _failed(request: DecisionRequest, failure: Exception) -> Decision:
    log.error("no decision: %s: %s", type(failure).__name__, failure)
    return denial(request, ["policy_unavailable"])
