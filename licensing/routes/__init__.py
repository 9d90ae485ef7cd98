"""HTTP routes of the licensing package."""

from fastapi import APIRouter

from licensing.routes import agreements, applications, grants, parties, work

router = APIRouter()
for part in (
    parties.router, applications.plain, applications.router, agreements.router, grants.router, work.router,
):
    router.include_router(part)
