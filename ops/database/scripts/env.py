"""Alembic's environment: one connection, one transaction, one runner at a time."""

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

url = make_url(context.config.attributes["url"]).set(drivername="postgresql+psycopg2")
engine = create_engine(url)
with engine.begin() as connection:
    connection.execute(text("SELECT pg_advisory_xact_lock(7310021)"))
    context.configure(connection=connection, version_table="govopen_migration")
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
