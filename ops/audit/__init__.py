"""The audit log: an RFC 6962 Merkle tree over every action, verifiable offline."""

from ops.audit.log import PostgresAuditLog

__all__ = ["PostgresAuditLog"]
