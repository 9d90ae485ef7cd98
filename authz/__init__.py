"""Authorization: may this subject do this to that object now, under which obligations, and why.

Bound by name before CKAN can shadow it: see ``ops/decisions``. Other packages use only what is exported here.
"""

from authz.foundation.clock import BEIJING, Clock, FixedClock, ShiftedClock, SystemClock, beijing_date
from authz.foundation.errors import (
    Conflict,
    FieldError,
    Forbidden,
    IdempotencyMismatch,
    InvalidInput,
    Language,
    NotFound,
    NotSignedIn,
    Reason,
    Refusal,
    TokenInvalid,
    TooLarge,
    TransitionRefused,
    Unavailable,
    VersionConflict,
)
from authz.foundation.evidence import AuditEntry, AuditLog
from authz.foundation.http import (
    Body,
    CallDep,
    OptionalCallDep,
    RuntimeDep,
    call_of,
    current_call,
    current_runtime,
    once,
    optional_call,
)
from authz.foundation.identity import SYSTEM, Call, Identity, Membership, Role
from authz.foundation.ids import new_id
from authz.foundation.runtime import Job, Runtime, open_pool, prepare_connection
from authz.foundation.settings import Settings
from authz.foundation.tokens import CkanIdentities, IdentitySource

__all__ = [
    "BEIJING", "SYSTEM", "AuditEntry", "AuditLog", "Body", "Call", "CallDep", "CkanIdentities", "Clock",
    "Conflict", "FieldError", "FixedClock", "Forbidden", "IdempotencyMismatch", "Identity", "IdentitySource",
    "InvalidInput", "Job", "Language", "Membership", "NotFound", "NotSignedIn", "OptionalCallDep", "Reason",
    "Refusal", "Role", "Runtime", "RuntimeDep", "Settings", "ShiftedClock", "SystemClock", "TokenInvalid",
    "TooLarge", "TransitionRefused", "Unavailable", "VersionConflict", "beijing_date", "call_of",
    "current_call", "current_runtime", "new_id", "once", "open_pool", "optional_call", "prepare_connection",
]
