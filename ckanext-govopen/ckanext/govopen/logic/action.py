"""The extension's own actions, and the chained ones that keep the shape of what is saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

import ckan.plugins.toolkit as tk
from ckan import model
from ckanext.govopen import figures, guards, identity, outbox, privacy, publication, sealing
from ckanext.govopen.gateway import ServiceAway, ServiceProblem
from ckanext.govopen.logic import accounts, rating
from ckanext.govopen.text import spoken, unstorable

Context = dict[str, Any]
DataDict = dict[str, Any]
Action = Callable[[Context, DataDict], Any]

LISTS_OF_OBJECTS = (
    "resources", "tags", "groups", "extras", "relationships_as_object", "relationships_as_subject",
)
STRUCTURED = (*LISTS_OF_OBJECTS, "items", "organization", "plugin_data", "tracking_summary", "resource_ids", "users")
ATTRIBUTED = (
    "package_delete", "dataset_purge", "organization_create", "organization_update", "organization_patch",
    "organization_delete", "organization_purge", "group_create", "group_update", "group_delete", "group_purge",
    "member_create", "member_delete", "organization_member_create", "organization_member_delete",
    "group_member_create", "group_member_delete",
    "bulk_update_private", "bulk_update_public", "bulk_update_delete", "user_delete",
    "api_token_create", "api_token_revoke", "resource_delete", "resource_create", "resource_update",
)

LEAVING = frozenset({"organization_member_delete", "group_member_delete"})


def actions() -> dict[str, Callable[..., Any]]:
    """Everything registered with CKAN."""
    found: dict[str, Callable[..., Any]] = {
        "govopen_identity_show": govopen_identity_show, "govopen_outbox_drain": govopen_outbox_drain,
        "govopen_outbox_show": govopen_outbox_show, "package_create": package_create,
        "package_update": package_update, "package_owner_org_update": package_owner_org_update,
    }
    found.update({name: _attributed(name) for name in ATTRIBUTED})
    found["dataset_purge"] = dataset_purge
    found.update(accounts.actions())
    found.update(rating.actions())
    found.update(guards.chained())
    found.update(privacy.chained())
    for name in ("datastore_create", "datastore_upsert"):
        if name in found:
            found[name] = _scanned(found[name])
    return found


@tk.side_effect_free
def govopen_identity_show(context: Context, data_dict: DataDict) -> DataDict:
    """Claims about the calling user: ``sub, name, display, sysadmin, orgs[{id, name, title, capacity}]``."""
    tk.check_access("govopen_identity_show", context, data_dict)
    user = identity.find_user(context.get("user"))
    if user is None:
        raise tk.NotAuthorized(tk._("Sign in first"))
    return identity.claims_of(user)


def govopen_outbox_drain(context: Context, data_dict: DataDict) -> DataDict:
    """Hand waiting audit rows to the service; tells how many went and how many wait."""
    tk.check_access("govopen_outbox_drain", context, data_dict)
    try:
        drained = outbox.drain()
    except ServiceProblem as problem:
        key = "service" if isinstance(problem, ServiceAway) else "outbox"
        raise tk.ValidationError({key: [problem.detail]}) from problem
    return {"drained": drained, "waiting": outbox.waiting()}


@tk.side_effect_free
def govopen_outbox_show(context: Context, data_dict: DataDict) -> DataDict:
    """How many audit rows wait for the service."""
    tk.check_access("govopen_outbox_show", context, data_dict)
    return {"waiting": outbox.waiting()}


@tk.chained_action
def package_create(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    with outbox.acting(context.get("user")), spoken():
        return next_action(context, shaped(data_dict))


@tk.chained_action
def package_update(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    with outbox.acting(context.get("user")), spoken():
        return next_action(context, shaped(data_dict))


def shaped(data_dict: DataDict) -> DataDict:
    """The dataset with described fields as text, as CKAN's validation takes apart any list of objects.

    Raises ValidationError where a value has a shape on which CKAN's own code would crash.
    """
    for name in LISTS_OF_OBJECTS:
        value = data_dict.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
            _refuse_shape(name, tk._("Must be a list of objects"))
    for name, value in data_dict.items():
        if isinstance(value, dict | list) and name not in STRUCTURED:
            _refuse_shape(name, tk._("Must be text"))
        if unstorable(value):
            _refuse_shape(name, tk._("Contains characters that cannot be stored"))
    _texts(data_dict, "items")
    for resource in data_dict.get("resources") or []:
        _texts(resource, "govopen_fields")
        for name, value in resource.items():
            nested = isinstance(value, list) and value and isinstance(value[0], dict)
            if nested or (name == "url" and not isinstance(value, str | None)):
                _refuse_shape("resources", tk._("Must be text"), name)
    return data_dict


def _refuse_shape(name: str, sentence: str, inner: str = "name") -> NoReturn:
    """CKAN writes its summary of errors from objects where a list of objects stands, from lists elsewhere."""
    raise tk.ValidationError({name: [{inner: [sentence]}] if name in LISTS_OF_OBJECTS else [sentence]})


def _texts(holder: DataDict, name: str) -> None:
    if isinstance(holder.get(name), list | dict):
        holder[name] = json.dumps(holder[name], ensure_ascii=False, default=str)


@tk.chained_action
def package_owner_org_update(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    """A dataset that changes hands is published anew, in the same transaction."""
    if context.get("defer_commit"):
        return next_action(context, data_dict)
    with outbox.acting(context.get("user")):
        answer = next_action({**context, "defer_commit": True}, data_dict)
        package = model.Package.get(data_dict.get("id"))
        publication.synchronise(context.get("user"), package.id)
        model.Session.commit()
        return answer


@tk.chained_action
def dataset_purge(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    with outbox.acting(context.get("user")):
        package = model.Package.get(data_dict.get("id"))
        if package is not None:
            tk.check_access("dataset_purge", context, data_dict)
            publication.retract(package)
            figures.forget(package.id)
        return next_action(context, data_dict)


def _attributed(name: str) -> Callable[..., Any]:
    def attributed(next_action: Action, context: Context, data_dict: DataDict) -> Any:
        if name in LEAVING:
            guards.require_group(data_dict)
        with outbox.acting(context.get("user")):
            return next_action(context, data_dict)

    attributed.__name__ = name
    return tk.chained_action(attributed)


def _scanned(guard: Callable[..., Any]) -> Callable[..., Any]:
    """A write to an open table, its rows shown to the gate before they are stored."""

    def scanned(next_action: Action, context: Context, data_dict: DataDict) -> Any:
        def checked(inner_context: Context, inner_dict: DataDict) -> Any:
            _check_records(inner_context, inner_dict)
            answer = next_action(inner_context, inner_dict)
            if inner_dict.get("fields"):
                _dictionary_changed(inner_dict.get("resource_id"))
            return answer

        return guard(checked, context, data_dict)

    scanned.__name__ = guard.__name__
    return tk.chained_action(scanned)


def _dictionary_changed(resource_id: Any) -> None:
    """Labels and notes of columns are searched, so the index hears of them within a minute."""
    resource = model.Session.get(model.Resource, resource_id) if isinstance(resource_id, str) else None
    if resource is not None and resource.package_id:
        figures.mark_stale([resource.package_id])
        model.Session.commit()


def _check_records(context: Context, data_dict: DataDict) -> None:
    """Show every row to the gate, whatever the state of its dataset: what is private today is public tomorrow.

    CKAN takes ``id`` for ``resource_id``.
    """
    records = data_dict.get("records")
    if not isinstance(records, list | tuple) or not records:
        return
    if data_dict.get("resource"):
        raise tk.ValidationError({"resource": [tk._("Create the table first, then send its rows")]})
    named = [one for one in (data_dict.get("resource_id"), data_dict.get("id")) if isinstance(one, str)]
    for resource_id in dict.fromkeys(named):
        if "\x00" in resource_id:
            continue
        resource = model.Session.get(model.Resource, resource_id)
        if resource is None or resource.package is None or sealing.is_restricted_row(resource):
            continue
        package = resource.package
        if not package.extras.get("open_attribute"):
            continue
        tk.check_access("datastore_upsert", dict(context), {"resource_id": resource_id})
        publication.check_rows(context.get("user"), publication.document_of(package, resource), records)
