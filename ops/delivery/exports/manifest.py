"""What an exported file is, signed: whose it is, from what, and which bytes (a JWS of the service's key)."""

from __future__ import annotations

from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import OKPKey

from authz import Runtime
from licensing.certificates.jws import ALGORITHM, key_id
from ops.delivery.exports.model import ExportJob
from ops.delivery.service import Permit

TYPE = "govopen-export+jwt"


def signed(
    runtime: Runtime, job: ExportJob, permit: Permit, rows: int, size: int, sha256: bytes, watermark: str | None,
    expires_at: datetime,
) -> str:
    """Verifies with the keys of ``/v1/keys.json``."""
    key, grant = runtime.signing_key, permit.grant
    signing = OKPKey.import_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    claims = {
        "iss": runtime.settings.site_url, "sub": job.id, "iat": int(runtime.clock.now().timestamp()),
        "export": {
            "grant_id": job.grant_id, "party_id": job.party_id, "resource_id": job.resource_id,
            "title": permit.data.title, "version": permit.version, "usage_id": job.usage_id,
            "purpose": grant.purpose if grant else None, "columns": list(job.columns), "filters": job.query["filters"],
            "format": job.query["format"], "rows": rows, "size": size, "sha256": sha256.hex(),
            "watermark": watermark, "available_until": expires_at.isoformat(),
        },
    }
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": key_id(key.public_key())}
    return jwt.encode(header, claims, signing, algorithms=[ALGORITHM])
