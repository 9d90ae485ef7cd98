"""Who may call the extension's own actions."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
from ckan import model
from ckanext.govopen import ratings

__all__ = [
    "govopen_identity_show", "govopen_outbox_drain", "govopen_outbox_show", "govopen_rating_create",
    "govopen_rating_show",
]


def govopen_identity_show(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """Anybody who is signed in, about themselves."""
    return {"success": bool(context.get("user")), "msg": tk._("Sign in first")}


def govopen_outbox_drain(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """System administrators only, who need no permission here."""
    return {"success": False, "msg": tk._("Only system administrators may do this")}


def govopen_outbox_show(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    return {"success": False, "msg": tk._("Only system administrators may do this")}


@tk.auth_sysadmins_check
def govopen_rating_create(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """Whoever is signed in, of a published dataset that is not their own department's."""
    user = model.User.get(context["user"]) if context.get("user") else None
    package = model.Package.get(data_dict.get("id"))
    if user is None or user.state != "active":
        return {"success": False, "msg": tk._("Sign in to rate a dataset")}
    if package is None or package.private or package.state != "active":
        return {"success": False, "msg": tk._("Only published datasets can be rated")}
    if ratings.belongs_to(user.id, package.owner_org):
        return {"success": False, "msg": tk._("Nobody rates the data of their own department")}
    return {"success": True}


@tk.auth_allow_anonymous_access
def govopen_rating_show(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """Whoever may see the dataset, which the action checks."""
    return {"success": True}
