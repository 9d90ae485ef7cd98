"""HTTP routes of the authz package."""

from fastapi import APIRouter

router = APIRouter()
