"""HTTP routes of ops.delivery."""

from fastapi import APIRouter

router = APIRouter()
