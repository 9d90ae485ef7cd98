"""HTTP routes of the licensing package."""

from fastapi import APIRouter

from licensing.routes import access_requests, agreements, applications, grants, parties, work

router = APIRouter()
for part in (
    parties.router, applications.plain, applications.router, agreements.router, grants.router, work.router,
    access_requests.router,
):
    router.include_router(part)
