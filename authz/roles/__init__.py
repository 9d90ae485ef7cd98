"""Who may do what to workflow objects: roles in organisations, separation of duties."""

from authz.roles.assignment import RoleAssignment, assign_role, assignments, end_role
from authz.roles.duties import SelfDecision, separate
from authz.roles.workflow import ActionNotPermitted, may, organisations_where, require

__all__ = [
    "ActionNotPermitted", "RoleAssignment", "SelfDecision", "assign_role", "assignments", "end_role", "may",
    "organisations_where", "require", "separate",
]
