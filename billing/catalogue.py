"""What billing needs to know of a data object, asked of ``authz`` where the catalogue's facts are kept."""

from __future__ import annotations

import asyncpg

from authz import DataObject, NotFound, OpenAttribute, objects
from billing.errors import OpenDataFree


async def chargeable_object(tx: asyncpg.Connection, resource_id: str) -> DataObject:
    """The data object; raises NotFound, or OpenDataFree when it is open without conditions."""
    found = await objects.get(tx, resource_id)
    if found is None:
        raise NotFound
    if found.open_attribute is OpenAttribute.UNCONDITIONAL:
        raise OpenDataFree
    return found


async def is_open(tx: asyncpg.Connection, resource_id: str) -> bool:
    """Whether the data is open without conditions now, so that no fee may be charged for it."""
    found = await objects.get(tx, resource_id)
    return found is not None and found.open_attribute is OpenAttribute.UNCONDITIONAL
