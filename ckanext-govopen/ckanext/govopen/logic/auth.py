"""Who may call the extension's own actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ckan.plugins.toolkit as tk
from ckan import model
from ckanext.govopen import privacy, ratings

__all__ = [
    "govopen_identity_show", "govopen_outbox_drain", "govopen_outbox_show", "govopen_rating_create",
    "govopen_rating_show", "package_show", "package_update", "resource_create", "task_status_show",
    "user_autocomplete", "user_list", "user_show",
]
Answer = dict[str, Any]
Auth = Callable[[dict[str, Any], dict[str, Any]], Answer]


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


def _unnamed(answer: Answer, sentence: str) -> Answer:
    """CKAN's refusal without the id of the dataset, which whoever asked by name need not have known."""
    return answer if answer.get("success") else {"success": False, "msg": sentence}


@tk.chained_auth_function
@tk.auth_allow_anonymous_access
def package_show(next_auth: Auth, context: dict[str, Any], data_dict: dict[str, Any]) -> Answer:
    sentence = tk._("This dataset does not exist, has been withdrawn, or is not visible to you.")
    return _unnamed(next_auth(context, data_dict), sentence)


@tk.chained_auth_function
def package_update(next_auth: Auth, context: dict[str, Any], data_dict: dict[str, Any]) -> Answer:
    return _unnamed(next_auth(context, data_dict), tk._("Only the department of this data may change it."))


@tk.chained_auth_function
def resource_create(next_auth: Auth, context: dict[str, Any], data_dict: dict[str, Any]) -> Answer:
    return _unnamed(next_auth(context, data_dict), tk._("Only the department of this data may change it."))


def task_status_show(context: dict[str, Any], data_dict: dict[str, Any]) -> Answer:
    """Whoever may change the table: what a job left behind can hold rows that did not fit."""
    task = context.get("task_status")
    entity = model.Session.get(model.Resource, str(task.entity_id)) if task is not None else None
    if entity is None:
        return {"success": False, "msg": tk._("Only system administrators may do this")}
    try:
        tk.check_access("resource_update", {"user": context.get("user")}, {"id": entity.id})
    except (tk.NotAuthorized, tk.ObjectNotFound):
        return {"success": False, "msg": tk._("Only the department of this data may see this")}
    return {"success": True}


def user_list(context: dict[str, Any], data_dict: dict[str, Any]) -> Answer:
    """System administrators only: an account is nobody else's business."""
    return {"success": False, "msg": tk._("Only system administrators may do this")}


def user_autocomplete(context: dict[str, Any], data_dict: dict[str, Any]) -> Answer:
    """Whoever makes others members of a department or group."""
    allowed = privacy.manages(privacy.caller(context))
    return {"success": allowed, "msg": tk._("Only administrators of departments may look up accounts")}


def user_show(context: dict[str, Any], data_dict: dict[str, Any]) -> Answer:
    """Oneself, colleagues, and whoever makes others members of a department or group."""
    me = privacy.caller(context)
    asked = context.get("user_obj") or model.User.get(data_dict.get("id") or data_dict.get("user_id"))
    allowed = privacy.manages(me) or (asked is not None and privacy.may_name(me, asked))
    return {"success": allowed, "msg": tk._("Accounts are shown to their holders only")}
