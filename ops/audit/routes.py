"""HTTP routes of ops.audit."""

from fastapi import APIRouter

router = APIRouter()
