"""Bring a database to the newest state of every package's schema."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from alembic import command
from alembic.config import Config

PACKAGES = ("authz", "licensing", "billing", "ops")


def _config(url: str) -> Config:
    config = Config()
    folder = Path(__file__).parent
    config.set_main_option("script_location", str(folder / "scripts"))
    config.set_main_option("path_separator", "os")
    places = [Path(str(import_module(name).__file__)).parent / "migrations" for name in PACKAGES]
    config.set_main_option("version_locations", ":".join(str(place) for place in places))
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    """Run every outstanding migration of the database at ``url`` (a libpq URL); safe to repeat and to race."""
    command.upgrade(_config(url), "heads")
