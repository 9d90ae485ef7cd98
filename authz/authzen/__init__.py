"""The decision point's public face: OpenID AuthZEN Authorization API 1.0 and its profile for access requests."""

from authz.authzen.request import EvaluationRequest, Malformed
from authz.authzen.requestable import (
    ENDPOINT,
    ERROR,
    SCHEMA,
    ExpiredDenial,
    InvalidDenialBinding,
    NotRequestable,
    bound_denial,
    requestable_context,
)

__all__ = [
    "ENDPOINT", "ERROR", "SCHEMA", "EvaluationRequest", "ExpiredDenial", "InvalidDenialBinding", "Malformed",
    "NotRequestable", "bound_denial", "requestable_context",
]
