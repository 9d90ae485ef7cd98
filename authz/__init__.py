"""Authorization: may this subject do this to that object now, under which obligations, and why.

Bound by name before CKAN can shadow it: see ``ops/decisions``. Other packages use only what is exported here.
"""

from authz import authzen, objects, obligations, versions
from authz.decision import Decision, DecisionIsNotBoolean, DecisionRequest, Denied, Effect, Obligations
from authz.decision_log import record_decision, record_decisions
from authz.foundation import arrays
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
from authz.gate import Finding, GateDecision, PublishGateRefused, Scan, scan
from authz.model import (
    DataField,
    DataObject,
    DeliveryForm,
    Grade,
    GrantFacts,
    GrantState,
    Mask,
    OpenAttribute,
    PurposeClass,
    QuotaTerms,
    RowFilter,
)
from authz.obligations import CompiledQuery, FilterNotAllowed, ObligationUnfulfillable, compile_select
from authz.pdp.bundle import policy_version
from authz.pdp.conflict import OperatorConflict, operator_apart, require_operator_apart
from authz.pdp.decide import decide, decide_async, denial
from authz.roles import (
    ActionNotPermitted,
    RoleAssignment,
    SelfDecision,
    assign_role,
    assignments,
    end_role,
    may,
    organisations_where,
    require,
    separate,
)

__all__ = [
    "BEIJING", "SYSTEM", "ActionNotPermitted", "AuditEntry", "AuditLog", "Body", "Call", "CallDep", "CkanIdentities",
    "Clock", "CompiledQuery", "Conflict", "DataField", "DataObject", "Decision", "DecisionIsNotBoolean",
    "DecisionRequest", "DeliveryForm", "Denied", "Effect", "FieldError", "FilterNotAllowed", "Finding", "FixedClock",
    "Forbidden", "GateDecision", "Grade", "GrantFacts", "GrantState", "IdempotencyMismatch", "Identity",
    "IdentitySource", "InvalidInput", "Job", "Language", "Mask", "Membership", "NotFound", "NotSignedIn",
    "ObligationUnfulfillable", "Obligations", "OpenAttribute", "OperatorConflict", "OptionalCallDep",
    "PublishGateRefused", "PurposeClass", "QuotaTerms", "Reason", "Refusal", "Role", "RoleAssignment", "RowFilter",
    "Runtime", "RuntimeDep", "Scan", "SelfDecision", "Settings", "ShiftedClock", "SystemClock", "TokenInvalid",
    "TooLarge", "TransitionRefused", "Unavailable", "VersionConflict", "arrays", "assign_role", "assignments",
    "authzen",
    "beijing_date", "call_of", "compile_select", "current_call", "current_runtime", "decide", "decide_async", "denial",
    "end_role", "may", "new_id", "objects", "obligations", "once", "open_pool", "operator_apart", "optional_call",
    "organisations_where", "policy_version", "prepare_connection", "record_decision", "record_decisions", "require",
    "require_operator_apart", "scan", "separate", "versions",
]
