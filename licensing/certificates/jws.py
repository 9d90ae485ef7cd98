"""The signed twin of a certificate: a compact JWS (Ed25519). Verification raises; it never answers false."""

from __future__ import annotations

import hashlib
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.util import to_bytes, urlsafe_b64decode, urlsafe_b64encode

from authz import Refusal
from licensing.certificates.model import Certificate

ALGORITHM = "Ed25519"
TYPE = "govopen-registration+jwt"
BYTES_MAX = 20_000


class CertificateInvalid(Refusal):
    code = "certificate_invalid"
    status = 422
    zh = "凭证校验不通过：{why_zh}。"
    en = "The certificate does not verify: {why_en}."
    next_zh = "请从查验页面重新下载凭证；如内容确有不符，请向登记机构核实。"
    next_en = "Download it again from the verification page; if it still fails, ask the registration authority."


def key_id(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return urlsafe_b64encode(hashlib.sha256(raw).digest()[:12]).decode()


def public_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """The verification key as a JWK."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": urlsafe_b64encode(raw).decode(), "kid": key_id(key),
            "alg": ALGORITHM, "use": "sig"}


def issue(certificate: Certificate, key: Ed25519PrivateKey, issuer: str, at: datetime) -> str:
    """Sign the certificate; ``issuer`` is the site's address."""
    signing = OKPKey.import_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    claims = {
        "iss": issuer, "sub": certificate.code, "iat": int(at.timestamp()),
        "status_url": f"{issuer}/v1/certificates/{certificate.code}",
        "certificate": certificate.as_claims(),
    }
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": key_id(key.public_key())}
    return jwt.encode(header, claims, signing, algorithms=[ALGORITHM])


def _canonical(part: str) -> bool:
    """Whether the text is the one encoding of its bytes: stray bits would let a changed character pass."""
    try:
        return urlsafe_b64encode(urlsafe_b64decode(to_bytes(part))).decode() == part
    except ValueError:
        return False


def verify(token: str, key: Ed25519PublicKey) -> Certificate:
    """The certificate in a token that this key signed, unchanged to the last bit; raises CertificateInvalid.

    Says nothing of revocation: the present status is at the certificate's ``status_url``.
    """
    parts = token.split(".")
    if len(token) > BYTES_MAX or len(parts) != 3 or not token.isascii() or not all(map(_canonical, parts)):
        raise CertificateInvalid(why_zh="格式不正确或内容被改动", why_en="it is malformed or was changed")
    raw = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        decoded = jwt.decode(token, OKPKey.import_key(raw), algorithms=[ALGORITHM])
        if decoded.header.get("typ") != TYPE:
            raise CertificateInvalid(why_zh="不是登记凭证", why_en="it is no certificate of registration")
        certificate = Certificate.from_claims(decoded.claims["certificate"])
    except (JoseError, KeyError, TypeError, ValueError) as problem:
        raise CertificateInvalid(
            why_zh="签名与内容不符", why_en="the signature does not match the content"
        ) from problem
    if decoded.claims.get("sub") != certificate.code:
        raise CertificateInvalid(why_zh="编号前后不一致", why_en="its codes disagree")
    return certificate
