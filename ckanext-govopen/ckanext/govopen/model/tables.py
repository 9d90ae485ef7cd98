"""Outbox, publications, catalogue codes (never reused), figures that are counted, ratings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column


class Outbox(tk.BaseModel):
    """A change in CKAN, written in its own transaction, on its way to the audit log of the service."""

    __tablename__ = "govopen_outbox"

    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp())
    action: Mapped[str] = mapped_column(sa.Text)
    object: Mapped[str] = mapped_column(sa.Text)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    drained_at: Mapped[datetime | None] = mapped_column(sa.DateTime(timezone=True))


class Publication(tk.BaseModel):
    """The facts of a resource as the service last accepted them, by digest."""

    __tablename__ = "govopen_publication"

    resource_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    dataset_id: Mapped[str] = mapped_column(sa.Text, index=True)
    digest: Mapped[str] = mapped_column(sa.Text)
    published_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())


class CatalogCode(tk.BaseModel):
    """A catalogue code once assigned; the row outlives its dataset."""

    __tablename__ = "govopen_catalog_code"

    code: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    category: Mapped[str] = mapped_column(sa.Text)
    serial: Mapped[int] = mapped_column(sa.BigInteger)
    dataset_name: Mapped[str] = mapped_column(sa.Text)
    assigned_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())


class ResourceFigures(tk.BaseModel):
    """What was counted of one open table or file: rows, and how often its data left. None is "never counted"."""

    __tablename__ = "govopen_resource_figures"

    resource_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    dataset_id: Mapped[str] = mapped_column(sa.Text, index=True)
    moved: Mapped[int | None] = mapped_column(sa.BigInteger)
    """PostgreSQL's counter of inserted and deleted rows when the rows were counted."""
    rows: Mapped[int | None] = mapped_column(sa.BigInteger)
    deliveries: Mapped[int | None] = mapped_column(sa.BigInteger)
    """Downloads that the service counted, in all."""
    files: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    """Downloads of an uploaded file, counted here."""


class Rating(tk.BaseModel):
    """Stars that one person gave one dataset; given again, they replace the earlier ones."""

    __tablename__ = "govopen_rating"

    dataset_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    user_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    stars: Mapped[int] = mapped_column(sa.SmallInteger)
    rated_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp())


class Stale(tk.BaseModel):
    """Datasets whose entry in the search index lags behind their figures."""

    __tablename__ = "govopen_stale"

    dataset_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    since: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp())
