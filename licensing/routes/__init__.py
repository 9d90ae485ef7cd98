"""HTTP routes of the licensing package."""

from fastapi import APIRouter

router = APIRouter()
