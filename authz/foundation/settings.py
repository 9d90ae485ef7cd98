"""Settings of a service process, read once from the environment that the stack (or an operator) gives it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Addresses, key files and switches; URLs without a trailing slash."""

    database_url: str
    datastore_url: str | None
    redis_url: str
    site_url: str
    ckan_url: str
    token_public_key_file: str
    signing_key_file: str
    opa_url: str | None = None
    demo: bool = False
    stripe_key: str | None = None
    stripe_api_base: str | None = None
    stripe_webhook_secret: str | None = None
    body_bytes_max: int = 1_000_000
    upload_bytes_max: int = 512_000_000
    archive_folder: str | None = None
    """Where months of usage that were moved out of the database are kept as files."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Read ``GOVOPEN_*`` and ``OPA_URL``; raises KeyError naming the first required one that is missing."""
        return cls(
            database_url=env["GOVOPEN_DATABASE_URL"],
            datastore_url=env.get("GOVOPEN_DATASTORE_URL") or None,
            redis_url=env["GOVOPEN_REDIS_URL"],
            site_url=env["GOVOPEN_SITE_URL"].rstrip("/"),
            ckan_url=env["GOVOPEN_CKAN_URL"].rstrip("/"),
            token_public_key_file=env["GOVOPEN_TOKEN_PUBLIC_KEY_FILE"],
            signing_key_file=env["GOVOPEN_SIGNING_KEY_FILE"],
            opa_url=env.get("OPA_URL") or None,
            demo=env.get("GOVOPEN_DEMO") == "1",
            stripe_key=env.get("GOVOPEN_STRIPE_KEY") or None,
            stripe_api_base=env.get("GOVOPEN_STRIPE_API_BASE") or None,
            stripe_webhook_secret=env.get("GOVOPEN_STRIPE_WEBHOOK_SECRET") or None,
            archive_folder=env.get("GOVOPEN_ARCHIVE") or _under(env.get("GOVOPEN_HOME"), "archive"),
        )


def _under(home: str | None, name: str) -> str | None:
    return os.path.join(home, name) if home else None
