"""HTTP routes of the authz package."""

from fastapi import APIRouter

from authz.routes import authzen, decisions, objects, people, policies

router = APIRouter()
for part in (objects.router, people.router, authzen.router, policies.router, decisions.router):
    router.include_router(part)
