"""Versions of the policies: proposed, simulated, approved by another person, in force, rolled back."""

from authz.versions.follow import follow_policies, load_policies
from authz.versions.service import approve, get, listed, propose, reject, roll_back, text_of

__all__ = [
    "approve", "follow_policies", "get", "listed", "load_policies", "propose", "reject", "roll_back", "text_of",
]
