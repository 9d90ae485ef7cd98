"""What happened (outbox), what the service knows (publications), and catalogue codes, which are never reused."""

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
