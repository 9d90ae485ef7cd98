"""Actions of CKAN that could give out or take in restricted data, chained: they refuse it whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ckan.plugins as p
import ckan.plugins.toolkit as tk
from ckan import model
from ckan.lib.plugins import get_permission_labels
from ckanext.govopen import sealing

Action = Callable[[dict[str, Any], dict[str, Any]], Any]
ORACLE_FIELDS = frozenset({"url", "hash", "size", "mimetype", "mimetype_inner", "cache_url", "extras", "url_type"})
SEARCH_ROWS_MAX = 1000
TABLES = "_table_metadata"
"""The DataStore's list of its tables, those of private datasets among them."""
READ, WRITE = True, False

BY_RESOURCE: dict[str, bool] = {
    "datastore_create": WRITE, "datastore_upsert": WRITE, "datastore_delete": WRITE,
    "datastore_records_delete": WRITE, "datastore_run_triggers": WRITE,
    "datastore_search": READ, "datastore_info": READ,
    "resource_view_create": WRITE, "resource_create_default_resource_views": WRITE,
    "datapusher_submit": WRITE, "xloader_submit": WRITE,
}
PLUGIN_OF = {"datastore": "datastore", "datapusher": "datapusher", "xloader": "xloader"}


def chained() -> dict[str, Callable[..., Any]]:
    """The guards for those actions that this CKAN has."""
    found: dict[str, Callable[..., Any]] = {"resource_search": resource_search}
    for name, reads in BY_RESOURCE.items():
        plugin = PLUGIN_OF.get(name.partition("_")[0])
        if plugin is None or p.plugin_loaded(plugin):
            found[name] = _guard(name, reads)
    if p.plugin_loaded("datastore"):
        found["datastore_search_sql"] = datastore_search_sql
    found["package_create_default_resource_views"] = package_create_default_resource_views
    found["resource_view_list"] = resource_view_list
    found["resource_view_show"] = resource_view_show
    found["resource_view_update"] = resource_view_update
    return found


def _named_resources(data_dict: Any) -> list[str]:
    """Every id by which a call may name a resource, aliases of tables included."""
    if not isinstance(data_dict, dict):
        return []
    inner = data_dict.get("resource")
    given = [data_dict.get("resource_id"), data_dict.get("id")]
    if isinstance(inner, dict):
        given.append(inner.get("id"))
    return [one for one in given if isinstance(one, str) and one]


def _guard(name: str, reads: bool) -> Callable[..., Any]:
    silent = name == "resource_create_default_resource_views"

    def guard(next_action: Action, context: dict[str, Any], data_dict: dict[str, Any]) -> Any:
        for one in _named_resources(data_dict):
            if one == TABLES:
                _judge_tables(name, context)
            if sealing.is_restricted(one):
                if silent:
                    tk.check_access(name, context, data_dict)
                    return []
                raise sealing.Restricted(one)
        return next_action(context, data_dict)

    guard.__name__ = name
    guarded = tk.chained_action(guard)
    return tk.side_effect_free(guarded) if reads else guarded


def _judge_tables(name: str, context: dict[str, Any]) -> None:
    """CKAN asks for no permission to read the list of all tables, then fails as it has not asked."""
    if not sees_all(context):
        raise tk.NotAuthorized(tk._("The list of all tables is not given out"))
    asked = context.get("__auth_audit") or []
    if asked and asked[-1][0] == name:
        asked.pop()


def require_group(data_dict: dict[str, Any]) -> None:
    """CKAN takes for granted that there is the group or the department that somebody shall leave."""
    if model.Group.get(data_dict.get("id")) is None:
        raise tk.ObjectNotFound(tk._("Group or organization not found"))


@tk.chained_action
@tk.side_effect_free
def datastore_search_sql(next_action: Action, context: dict[str, Any], data_dict: dict[str, Any]) -> Any:
    """Restricted tables are in no database that this action reads; naming one is refused all the same."""
    if TABLES in str(data_dict.get("sql")) and not sees_all(context):
        raise tk.NotAuthorized(tk._("The list of all tables is not given out"))
    for one in sealing.restricted_ids_in(data_dict.get("sql")):
        raise sealing.Restricted(one)
    return next_action(context, data_dict)


@tk.chained_action
def package_create_default_resource_views(
    next_action: Action, context: dict[str, Any], data_dict: dict[str, Any]
) -> Any:
    package = data_dict.get("package")
    if isinstance(package, dict):
        kept = [one for one in package.get("resources") or [] if not sealing.is_restricted(one.get("id"))]
        data_dict = {**data_dict, "package": {**package, "resources": kept}}
    return next_action(context, data_dict)


@tk.chained_action
@tk.side_effect_free
def resource_view_list(next_action: Action, context: dict[str, Any], data_dict: dict[str, Any]) -> Any:
    views = next_action(context, data_dict)
    return [] if sealing.is_restricted(data_dict.get("id")) else views


@tk.chained_action
@tk.side_effect_free
def resource_view_show(next_action: Action, context: dict[str, Any], data_dict: dict[str, Any]) -> Any:
    view = next_action(context, data_dict)
    if sealing.is_restricted(view.get("resource_id")):
        raise sealing.Restricted(view["resource_id"])
    return view


@tk.chained_action
def resource_view_update(next_action: Action, context: dict[str, Any], data_dict: dict[str, Any]) -> Any:
    """A view stays with its resource where that is not named again; CKAN's permission asks for its name."""
    view = model.ResourceView.get(data_dict.get("id")) if data_dict.get("id") else None
    if view is not None and not data_dict.get("resource_id"):
        data_dict = {**data_dict, "resource_id": view.resource_id}
    return next_action(context, data_dict)


@tk.chained_action
@tk.side_effect_free
def resource_search(next_action: Action, context: dict[str, Any], data_dict: dict[str, Any]) -> Any:
    """CKAN's search over resources, kept to datasets that the caller may see.

    CKAN's own looks at every active dataset that is not private whatever the permission labels say, so its matches
    are filtered here and counted again. Questions about addresses and digests match no restricted resource.
    """
    query = data_dict.get("query")
    pairs = [query] if isinstance(query, str) else query
    if pairs is not None and not (isinstance(pairs, list) and all(isinstance(pair, str) for pair in pairs)):
        raise tk.ValidationError({"query": [tk._("Must be <field>:<value> pair(s)")]})
    offset, limit = _whole(data_dict, "offset", 0), _whole(data_dict, "limit", SEARCH_ROWS_MAX)
    if context.get("search_query") or "\x00" in "".join(pairs or []):
        raise tk.ValidationError({"query": [tk._("Contains characters that cannot be stored")]})
    found = next_action(context, {**data_dict, "offset": 0, "limit": 10 * SEARCH_ROWS_MAX})
    probing = any(pair.partition(":")[0].strip() in ORACLE_FIELDS for pair in pairs or [])
    visible = visible_packages(context, {str(one.get("package_id")) for one in found["results"]})
    kept = [
        one for one in found["results"]
        if one.get("package_id") in visible and not (probing and sealing.is_restricted(one.get("id")))
    ]
    return {"count": len(kept), "results": kept[offset:offset + min(limit, SEARCH_ROWS_MAX)]}


def _whole(data_dict: dict[str, Any], name: str, default: int) -> int:
    value = data_dict.get(name)
    if value in (None, ""):
        return default
    if isinstance(value, bool) or not str(value).isdigit() or len(str(value)) > 9:
        raise tk.ValidationError({name: [tk._("Must be a whole number")]})
    return int(str(value))


def visible_packages(context: dict[str, Any], ids: set[str]) -> set[str]:
    """Those of the datasets that share a permission label with the caller."""
    if sees_all(context):
        return ids
    user = model.User.get(context.get("user")) if context.get("user") else None
    labels = get_permission_labels()
    mine = set(labels.get_user_dataset_labels(user))
    packages = model.Session.query(model.Package).filter(model.Package.id.in_(ids)) if ids else []
    return {package.id for package in packages if mine.intersection(labels.get_dataset_labels(package))}


def sees_all(context: dict[str, Any]) -> bool:
    """CKAN's own work, and system administrators."""
    user = model.User.get(context.get("user")) if context.get("user") else None
    return bool(context.get("ignore_auth") or (user is not None and user.sysadmin and user.is_active))
