"""Alembic's environment of the extension: its own version table beside CKAN's."""

from __future__ import annotations

from alembic import context
from ckan.model.meta import metadata
from sqlalchemy import engine_from_config, pool

NAME = "govopen"
config = context.config


def include_object(found: object, name: str, kind: str, reflected: bool, compared: object) -> bool:
    return kind != "table" or name.startswith(f"{NAME}_")


def run_offline() -> None:
    context.configure(
        url=config.get_main_option("sqlalchemy.url"), target_metadata=metadata, literal_binds=True,
        version_table=f"{NAME}_alembic_version", include_object=include_object,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    section = config.get_section(config.config_ini_section) or {}
    engine = engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(
            connection=connection, target_metadata=metadata, version_table=f"{NAME}_alembic_version",
            include_object=include_object,
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
