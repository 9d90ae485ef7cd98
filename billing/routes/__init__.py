"""HTTP routes of the billing package."""

from fastapi import APIRouter

from billing.routes import invoices, payments, prices, settlements

router = APIRouter()
for _part in (prices, invoices, payments, settlements):
    router.include_router(_part.router)
