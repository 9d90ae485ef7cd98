"""Tickets for one file: what a browser can follow, which cannot send a key. They hold for minutes and open one job."""

from __future__ import annotations

import base64
import hmac
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authz import Forbidden

CONTEXT = b"govopen/data/v1/export-ticket"
HOLDS = timedelta(minutes=15)
TAG_BYTES = 18
TEXT_MAX = 80


class TicketOver(Forbidden):
    code = "export_link_over"
    zh = "下载链接无效或已过期。"
    en = "This link is not valid any more."
    next_zh = "请在“我的授权”的导出页面重新取得链接；下载可从中断处继续。"
    next_en = "Get another one on the exports page of your grant; a download goes on from where it broke off."


def _tag(key: Ed25519PrivateKey, job_id: str, until: int) -> bytes:
    secret = hmac.digest(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()), CONTEXT, "sha256")
    return hmac.digest(secret, f"{job_id}\n{until}".encode(), "sha256")[:TAG_BYTES]


def make(key: Ed25519PrivateKey, job_id: str, now: datetime) -> tuple[str, datetime]:
    """The ticket and the instant at which it ends."""
    until = int((now + HOLDS).timestamp())
    text = base64.urlsafe_b64encode(_tag(key, job_id, until)).decode()
    return f"{until}.{text}", datetime.fromtimestamp(until, now.tzinfo)


def require(key: Ed25519PrivateKey, job_id: str, ticket: str, now: datetime) -> None:
    """Raise TicketOver unless the ticket is this job's and holds at that instant."""
    until, _, text = ticket[:TEXT_MAX].partition(".")
    if not (until.isascii() and until.isdigit() and text.isascii()):
        raise TicketOver
    good = base64.urlsafe_b64encode(_tag(key, job_id, int(until)))
    if not hmac.compare_digest(good, text.encode()) or now.timestamp() >= int(until):
        raise TicketOver
