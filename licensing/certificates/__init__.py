"""Certificates of registration 登记凭证: signed, machine-readable, printable, verifiable by anyone, also offline."""

from licensing.certificates.jws import CertificateInvalid, issue, verify
from licensing.certificates.model import Certificate

__all__ = ["Certificate", "CertificateInvalid", "issue", "verify"]
