"""HTTP routes of the billing package."""

from fastapi import APIRouter

router = APIRouter()
