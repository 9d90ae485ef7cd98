"""Reading identities: CKAN's signed short-lived token, or a CKAN API token that CKAN itself vouches for."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.util import to_bytes, urlsafe_b64decode

from authz.foundation.errors import TokenInvalid, Unavailable
from authz.foundation.identity import Identity

if TYPE_CHECKING:
    import httpx

AUDIENCE = "govopen"
SIGNATURE_ALGORITHMS = ["Ed25519", "EdDSA"]
LIFETIME_S_MAX = 120
"""A token whose life is longer than this was not made by our extension, which makes 60 s ones."""
API_TOKEN_CACHE_S = 60
LEEWAY_S = 5


class IdentitySource(Protocol):
    async def identify(self, authorization: str) -> Identity:
        """The person behind an Authorization header; raises TokenInvalid or Unavailable."""


def verify_signed_token(token: str, key: OKPKey, issuer: str, at: float | None = None) -> Mapping[str, Any]:
    """Claims of a token of the extension; raises TokenInvalid for anything but a fresh, well-bound one."""
    now = time.time() if at is None else at
    try:
        claims = jwt.decode(token, key, algorithms=SIGNATURE_ALGORITHMS).claims
        issued, expires = float(claims["iat"]), float(claims["exp"])
        bound = claims["aud"] == AUDIENCE and claims["iss"] == issuer and bool(claims["sub"])
    except (JoseError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise TokenInvalid from problem
    fresh = issued - LEEWAY_S <= now < expires and 0 < expires - issued <= LIFETIME_S_MAX
    if not (bound and fresh):
        raise TokenInvalid
    return claims


def _algorithm(token: str) -> str | None:
    import json

    try:
        return str(json.loads(urlsafe_b64decode(to_bytes(token.split(".", 1)[0])))["alg"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


class CkanIdentities:
    """Identities from CKAN: signed tokens checked by key, API tokens checked with CKAN, cached for a minute."""

    def __init__(self, public_key_file: str, issuer: str, ckan_url: str) -> None:
        self._key = OKPKey.import_key(Path(public_key_file).read_bytes())
        self._issuer = issuer
        self._ckan_url = ckan_url
        self._known: dict[bytes, tuple[float, Identity]] = {}
        self._client: httpx.AsyncClient | None = None

    async def identify(self, authorization: str) -> Identity:
        scheme, _, rest = authorization.partition(" ")
        token = rest.strip() if scheme.lower() == "bearer" else authorization.strip()
        if not token or len(token) > 8_000:
            raise TokenInvalid
        if _algorithm(token) in SIGNATURE_ALGORITHMS:
            claims = verify_signed_token(token, self._key, self._issuer)
            try:
                return Identity.from_claims(claims)
            except (KeyError, TypeError, ValueError) as problem:
                raise TokenInvalid from problem
        return await self._ask_ckan(token)

    async def _ask_ckan(self, token: str) -> Identity:
        import httpx  # 10 MB with its certificates, which a process that is only shown signed tokens does without

        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        if known and known[0] > time.monotonic():
            return known[1]
        if not token.isascii() or not token.isprintable():
            raise TokenInvalid
        self._client = self._client or httpx.AsyncClient(timeout=5.0)
        try:
            answer = await self._client.get(
                f"{self._ckan_url}/api/3/action/govopen_identity_show", headers={"Authorization": token}
            )
        except httpx.HTTPError as problem:
            raise Unavailable(part="CKAN") from problem
        if answer.status_code >= 500:
            raise Unavailable(part="CKAN")
        if answer.status_code != 200:
            raise TokenInvalid
        identity = Identity.from_claims({**answer.json()["result"], "pub": None})
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[digest] = (time.monotonic() + API_TOKEN_CACHE_S, identity)
        return identity

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
