"""HTTP routes of the authz package."""

from fastapi import APIRouter

from authz.routes import authzen, objects, people

router = APIRouter()
for part in (objects.router, people.router, authzen.router):
    router.include_router(part)
