"""The publish gate: scanner and policy together say whether an object's catalogue facts may be published."""

from authz.gate.gate import GateDecision, PublishGateRefused, check
from authz.gate.scanner import Finding, Scan, scan

__all__ = ["Finding", "GateDecision", "PublishGateRefused", "Scan", "check", "scan"]
