"""HTTP routes of the billing package."""

from fastapi import APIRouter

import billing.usage.ingest_routes
import billing.usage.meter_routes
import billing.usage.routes
from billing.routes import invoices, payments, prices, settlements

router = APIRouter()
for _part in (
    prices, invoices, payments, settlements, billing.usage.ingest_routes, billing.usage.meter_routes,
    billing.usage.routes,
):
    router.include_router(_part.router)
