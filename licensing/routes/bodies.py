"""What callers may send: strict bodies with bounds, and texts without control characters."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Annotated, Any, Literal

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError, PydanticKnownError
from starlette.requests import Request
from starlette.responses import Response

from authz import Body, PurposeClass, Role
from authz.obligations.values import BIGINT_MAX
from licensing.parties import PartyKind

FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""Control characters and directional overrides; tabs and line breaks are text."""


def clean(text: str) -> str:
    """The text itself; control characters are a fault."""
    if FORBIDDEN.search(text):
        raise PydanticCustomError("control_characters", "contains control characters")
    return text


Line = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(clean)]
Short = Annotated[str, StringConstraints(max_length=200), AfterValidator(clean)]
Prose = Annotated[str, StringConstraints(min_length=2, max_length=4000), AfterValidator(clean)]
Reason = Annotated[str, StringConstraints(min_length=2, max_length=2000), AfterValidator(clean)]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=63), AfterValidator(clean)]
Email = Annotated[
    str, StringConstraints(max_length=200, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"), AfterValidator(clean)
]
Version = Annotated[int, Field(ge=1, le=2_000_000_000)]
TermMonths = Annotated[int, Field(ge=1, le=600)]
Rows = Annotated[int, Field(ge=1, le=1_000_000_000_000)]
Verdict = Literal["approve", "refuse"]


def bounded(value: Any) -> Any:
    """The value or list itself; whole numbers beyond 64 bits and numbers that are not finite are a fault."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, int) and one > BIGINT_MAX:
            raise PydanticKnownError("less_than_equal", {"le": BIGINT_MAX})
        if isinstance(one, int) and one < -BIGINT_MAX:
            raise PydanticKnownError("greater_than_equal", {"ge": -BIGINT_MAX})
        if isinstance(one, float) and not math.isfinite(one):
            raise PydanticKnownError("finite_number")
    return value


Scalar = bool | int | float | Annotated[str, StringConstraints(max_length=500), AfterValidator(clean)]


class ParticularsBody(Body):
    """What an organisation says about itself."""

    name: Line
    uscc: Annotated[str, StringConstraints(max_length=40), AfterValidator(clean)] | None = None
    legal_representative: Short | None = None
    contact_name: Short | None = None
    contact_phone: Annotated[str, StringConstraints(max_length=40, pattern=r"^[0-9+() -]*$")] | None = None
    contact_email: Email | None = None
    address: Short | None = None
    affiliates: Annotated[list[Annotated[str, StringConstraints(max_length=40), AfterValidator(clean)]],
                          Field(max_length=100)] = []


class PartyBody(ParticularsBody):
    """Signing up."""

    kind: PartyKind


class PartyAmendBody(ParticularsBody):
    """Correcting the particulars while the check is open or has failed."""

    version: Version


class PartyVerdictBody(Body):
    """The authority's verdict."""

    verdict: Literal["approve", "refuse", "suspend", "reinstate"]
    reason: Reason | None = None
    version: Version


class MemberBody(Body):
    """A sub-account."""

    user_id: Identifier
    user_name: Line
    role: Literal[Role.ENTERPRISE_ADMIN, Role.ENTERPRISE_MEMBER] = Role.ENTERPRISE_MEMBER


class RequestBody(Body):
    """What is applied for."""

    fields: Annotated[list[FieldName], Field(min_length=1, max_length=500)]
    purpose_class: PurposeClass
    purpose: Identifier
    purpose_text: Prose
    scenario: Prose
    region_codes: Annotated[list[Identifier], Field(max_length=200)] = []
    term_months: TermMonths
    delivery: Annotated[list[Identifier], Field(min_length=1, max_length=5)] = ["api"]
    expected_rows_month: Rows


class ApplicationBody(RequestBody):
    """A new application; with ``submit`` it is handed in at once."""

    party_id: Identifier
    resource_id: Identifier
    submit: bool = False


class ApplicationEditBody(RequestBody):
    """New content of a draft."""

    version: Version


class ChangesBody(Body):
    """Changes to the application that come with the answer to a supplement; what is left out stays."""

    fields: Annotated[list[FieldName], Field(min_length=1, max_length=500)] | None = None
    purpose: Identifier | None = None
    purpose_text: Prose | None = None
    scenario: Prose | None = None
    region_codes: Annotated[list[Identifier], Field(max_length=200)] | None = None
    term_months: Annotated[int, Field(ge=1, le=600)] | None = None
    expected_rows_month: Rows | None = None


class EventBody(Body):
    """Every event carries the version that was looked at."""

    version: Version


class Submit(EventBody):
    event: Literal["submit"]


class RequestSupplement(EventBody):
    event: Literal["request_supplement"]
    reason: Reason
    items: Annotated[list[Line], Field(max_length=50)] = []


class AnswerSupplement(EventBody):
    event: Literal["answer_supplement"]
    text: Prose
    changes: ChangesBody | None = None


class PassForm(EventBody):
    event: Literal["pass_form"]
    reason: Reason | None = None


class Refuse(EventBody):
    event: Literal["refuse"]
    reason: Reason
    basis: Reason | None = None


class FieldVerdictBody(Body):
    """The verdict on one field; a refusal needs its reason."""

    name: FieldName
    verdict: Verdict
    reason: Reason | None = None


class RowFilterBody(Body):
    """One condition on rows; several are AND-ed."""

    field: FieldName
    op: Literal["eq", "in", "prefix", "gte", "lte"]
    value: Annotated[
        Scalar | Annotated[list[Scalar], Field(min_length=1, max_length=1000)], BeforeValidator(bounded)
    ]


class DecideOwner(EventBody):
    event: Literal["decide_owner"]
    fields: Annotated[list[FieldVerdictBody], Field(min_length=1, max_length=500)]
    row_filter: Annotated[list[RowFilterBody], Field(max_length=50)] = []
    masks: Annotated[
        dict[FieldName, Annotated[str, StringConstraints(max_length=60), AfterValidator(clean)]],
        Field(max_length=500),
    ] = {}
    reason: Reason | None = None
    consent_reference: Line | None = None
    risk_assessment_id: Line | None = None


class ConsultThirdParty(EventBody):
    event: Literal["consult_third_party"]
    party: Line
    reason: Reason


class RecordOpinion(EventBody):
    event: Literal["record_opinion"]
    opinion: Literal["consent", "objection", "silence"]
    text: Prose | None = None


class RequestExtension(EventBody):
    event: Literal["request_extension"]
    working_days: Annotated[int, Field(ge=1, le=365)]
    reason: Reason


class DecideExtension(EventBody):
    event: Literal["decide_extension"]
    verdict: Verdict
    reason: Reason


class Withdraw(EventBody):
    event: Literal["withdraw"]
    reason: Reason | None = None


class AcceptOffer(EventBody):
    event: Literal["accept_offer"]


class Sign(EventBody):
    event: Literal["sign"]
    signer_name: Line
    consent: bool


ApplicationEventBody = Annotated[
    Submit | RequestSupplement | AnswerSupplement | PassForm | Refuse | DecideOwner | ConsultThirdParty
    | RecordOpinion | RequestExtension | DecideExtension | Withdraw | AcceptOffer | Sign,
    Field(discriminator="event"),
]


class Countersign(EventBody):
    event: Literal["countersign"]
    signer_name: Line | None = None
    reason: Reason | None = None


class Terminate(EventBody):
    event: Literal["terminate"]
    reason: Reason


AgreementEventBody = Annotated[Countersign | Terminate, Field(discriminator="event")]


class GrantEventBody(EventBody):
    """Suspend, resume or revoke, always with a reason."""

    event: Literal["suspend", "resume", "revoke"]
    reason: Reason


KeyWord = Annotated[str, Field(min_length=1, max_length=60)]


class KeyBody(Body):
    """A new key; it works until the end of ``expires_on`` (Beijing) when that is given.

    ``scopes`` is what it may be used for (``rows``, ``download``, ``lookup``, ``export``, ``verify``, ``analysis``,
    ``report``), ``ip_allow`` the addresses and ranges that it may be used from; without, any.
    """

    label: Line
    expires_on: date | None = None
    scopes: Annotated[list[KeyWord], Field(max_length=20)] | None = None
    ip_allow: Annotated[list[KeyWord], Field(max_length=100)] = Field(default_factory=list)


class KeyLimitsBody(Body):
    """What a key may be used for and from where, as a whole."""

    scopes: Annotated[list[KeyWord], Field(max_length=20)]
    ip_allow: Annotated[list[KeyWord], Field(max_length=100)]


class LeakBody(Body):
    """A key that was found somewhere it does not belong."""

    key: Annotated[str, Field(min_length=1, max_length=500)]


class RotateBody(Body):
    """Replace a key; the old one works on for the overlap."""

    overlap_hours: Annotated[int, Field(ge=0, le=720)] = 24


class EventRoute(APIRoute):
    """Faults in one of several event bodies are named by their field alone, without the name of the body's kind."""

    def get_route_handler(self) -> Any:
        handle = super().get_route_handler()

        async def plain(request: Request) -> Response:
            try:
                answer: Response = await handle(request)
                return answer
            except RequestValidationError as fault:
                raise RequestValidationError([_flat(one) for one in fault.errors()]) from fault

        return plain


def _flat(fault: dict[str, Any]) -> dict[str, Any]:
    place = tuple(fault.get("loc", ()))
    match fault.get("type"):
        case "union_tag_not_found":
            return {**fault, "type": "missing", "loc": ("body", "event")}
        case "union_tag_invalid":
            expected = str((fault.get("ctx") or {}).get("expected_tags", ""))
            return {**fault, "type": "literal_error", "loc": ("body", "event"), "ctx": {"expected": expected}}
    if len(place) > 1 and place[0] == "body":
        place = (place[0], *place[2:])
    return {**fault, "loc": place}
