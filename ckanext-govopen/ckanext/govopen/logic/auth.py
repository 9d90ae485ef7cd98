"""Who may call the extension's own actions."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk

__all__ = ["govopen_identity_show", "govopen_outbox_drain", "govopen_outbox_show"]


def govopen_identity_show(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """Anybody who is signed in, about themselves."""
    return {"success": bool(context.get("user")), "msg": tk._("Sign in first")}


def govopen_outbox_drain(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """System administrators only, who need no permission here."""
    return {"success": False, "msg": tk._("Only system administrators may do this")}


def govopen_outbox_show(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    return {"success": False, "msg": tk._("Only system administrators may do this")}
