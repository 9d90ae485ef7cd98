"""CKAN's actions that tell of people, or of datasets that are not to be seen, kept to what the caller may see.

CKAN lists tags, formats and members of every dataset whatever its state, hands out earlier versions of withdrawn
datasets in its activity streams, and shows every account to every account. Each is chained here. Work of CKAN itself
(``ignore_auth``) and system administrators get CKAN's own answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ckan.plugins as p
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan import authz, model
from ckan.lib import helpers
from ckanext.govopen import guards, outbox
from ckanext.govopen.guards import sees_all as trusted

Context = dict[str, Any]
DataDict = dict[str, Any]
Action = Callable[[Context, DataDict], Any]

STREAMS = (
    "user_activity_list", "package_activity_list", "group_activity_list", "organization_activity_list",
    "recently_changed_packages_activity_list", "dashboard_activity_list",
)
NAMES = ("id", "name", "title", "type", "is_organization")
"""Of what an activity was about, its stream tells no more than this."""
YES = ("true", "yes", "on", "t", "y", "1")
VIEW_NAMES = ("id", "resource_id", "package_id", "title")
OWN_FACTS = ("about", "email_hash", "apikey", "email")
"""Of another person nobody needs these: the digest of an address can be guessed back."""
LISTED_MAX = 1000


def chained() -> dict[str, Callable[..., Any]]:
    """The chained actions by name."""
    found: dict[str, Callable[..., Any]] = {
        "format_autocomplete": format_autocomplete, "member_list": member_list, "tag_autocomplete": tag_autocomplete,
        "tag_list": tag_list, "tag_search": tag_search, "tag_show": tag_show, "user_autocomplete": user_autocomplete,
        "user_show": user_show,
    }
    for verb in ("list", "create", "delete"):
        found[f"package_collaborator_{verb}"] = _collaborating(f"package_collaborator_{verb}")
    for name in ("organization_show", "group_show"):
        found[name] = _without_facts(name)
    if p.plugin_loaded("activity"):
        found.update({name: _stream(name) for name in STREAMS})
        found["activity_show"] = activity_show
    return found


def caller(context: Context) -> model.User | None:
    """The account that asks; None for the anonymous and for accounts that are no more."""
    user = model.User.get(context["user"]) if context.get("user") else None
    return user if user is not None and user.is_active else None


def manages(user: model.User | None) -> bool:
    """Whether somebody is an administrator of a department or group, who makes others its members."""
    return user is not None and model.Session.query(model.Member.id).filter_by(
        table_name="user", table_id=user.id, state="active", capacity="admin").first() is not None


def may_name(me: model.User | None, person: model.User) -> bool:
    """Whether somebody may be told a name: one's own, of colleagues, of anybody to whoever makes members."""
    if me is None:
        return False
    if me.id == person.id or me.sysadmin or manages(me):
        return True
    groups = model.Session.query(model.Member.group_id).filter_by(table_name="user", state="active")
    return groups.filter_by(table_id=person.id).filter(
        model.Member.group_id.in_(groups.filter_by(table_id=me.id).scalar_subquery())).first() is not None


def linked_user(user: Any, maxlength: int = 0, avatar: int = 20) -> Any:
    """CKAN's helper, which names people on every page they have touched; strangers are told that it was a person."""
    person = user if isinstance(user, model.User) else model.User.get(str(user))
    me = tk.current_user
    if person is None or not may_name(me if getattr(me, "is_authenticated", False) else None, person):
        return tk._("A user")
    return helpers.linked_user(person, maxlength, avatar)


def _stream(name: str) -> Callable[..., Any]:
    def stream(next_action: Action, context: Context, data_dict: DataDict) -> Any:
        """Names instead of whole earlier versions, and only of datasets that the caller may see now."""
        listed = next_action(context, data_dict)
        if trusted(context):
            return listed
        whole = name == "package_activity_list" and tk.asbool(data_dict.get("include_data", False))
        me = caller(context)
        about = {one["object_id"] for one in listed if _of_dataset(one)}
        visible = guards.visible_packages(context, about)
        return [
            one if whole else {**one, "data": _names(one.get("data"))}
            for one in listed
            if one["object_id"] in visible or (not _of_dataset(one) and (_public(one) or _by(one, me)))
        ]

    stream.__name__ = name
    return tk.chained_action(tk.side_effect_free(stream))


@tk.chained_action
@tk.side_effect_free
def activity_show(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    """One activity: the version that it holds where that is asked for, which CKAN keeps to the department, or names.

    CKAN takes it for granted that the caller says which, and gives the version in either case.
    """
    whole = str(data_dict.get("include_data", "")).strip().lower() in YES
    found = next_action(context, {**data_dict, "include_data": whole})
    return found if whole or trusted(context) else {**found, "data": _names(found.get("data"))}


def _of_dataset(activity: DataDict) -> bool:
    """Activities of views are those of their dataset."""
    return str(activity.get("activity_type")).endswith(("package", "resource view"))


def _public(activity: DataDict) -> bool:
    return str(activity.get("activity_type")).endswith(("group", "organization"))


def _by(activity: DataDict, person: model.User | None) -> bool:
    return person is not None and activity.get("user_id") == person.id


def _names(data: Any) -> DataDict:
    found = data if isinstance(data, dict) else {}
    if "resource_id" in found:  # of a view, whose table everybody sees who sees the activity
        return {key: found.get(key) for key in VIEW_NAMES}
    return {kind: {key: found[kind].get(key) for key in NAMES if key in found[kind]}
            for kind in ("package", "group") if isinstance(found.get(kind), dict)}


def _public_tags(names: Iterable[str]) -> set[str]:
    """Those of the free tags that a public dataset has."""
    query = model.Session.query(model.Tag.name).join(
        model.PackageTag, model.PackageTag.tag_id == model.Tag.id,
    ).join(model.Package, model.Package.id == model.PackageTag.package_id).filter(
        model.Tag.vocabulary_id.is_(None), model.Tag.name.in_(set(names)), model.PackageTag.state == "active",
        model.Package.state == "active", model.Package.private.is_(False))
    return {name for name, in query}


def _cut(found: list[Any], data_dict: DataDict, usual: int | None) -> list[Any]:
    offset, limit = data_dict.get("offset"), data_dict.get("limit", usual)
    start = int(offset) if str(offset or "").isdigit() else 0
    return found[start:start + int(limit)] if str(limit or "").isdigit() else found[start:]


@tk.chained_action
@tk.side_effect_free
def tag_list(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    found = next_action(context, data_dict)
    if data_dict.get("vocabulary_id") or trusted(context):
        return found
    kept = _public_tags(one["name"] if isinstance(one, dict) else one for one in found)
    return [one for one in found if (one["name"] if isinstance(one, dict) else one) in kept]


@tk.chained_action
@tk.side_effect_free
def tag_autocomplete(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    if data_dict.get("vocabulary_id") or trusted(context):
        return next_action(context, data_dict)
    found = next_action(context, {**data_dict, "offset": 0, "limit": LISTED_MAX})
    kept = _public_tags(found)
    return _cut([one for one in found if one in kept], data_dict, 10)


@tk.chained_action
@tk.side_effect_free
def tag_search(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    if data_dict.get("vocabulary_id") or trusted(context):
        return next_action(context, data_dict)
    found = next_action(context, {**data_dict, "offset": 0, "limit": LISTED_MAX})["results"]
    public = _public_tags(one["name"] for one in found)
    kept = [one for one in found if one["name"] in public]
    return {"count": len(kept), "results": _cut(kept, data_dict, None)}


@tk.chained_action
@tk.side_effect_free
def tag_show(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    found = next_action(context, data_dict)
    if found.get("vocabulary_id") or trusted(context) or found["name"] in _public_tags([found["name"]]):
        return found
    raise tk.ObjectNotFound(tk._("Not found"))


@tk.chained_action
@tk.side_effect_free
def format_autocomplete(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    if trusted(context):
        return next_action(context, data_dict)
    found = next_action(context, {**data_dict, "limit": LISTED_MAX})
    lowered = sa.func.lower(model.Resource.format)
    public = {name for name, in model.Session.query(lowered).join(
        model.Package, model.Package.id == model.Resource.package_id,
    ).filter(
        lowered.in_(set(found)), model.Resource.state == "active", model.Package.state == "active",
        model.Package.private.is_(False),
    ).distinct()}
    return _cut(list(dict.fromkeys(one for one in found if one in public)), data_dict, 5)


@tk.chained_action
@tk.side_effect_free
def member_list(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    """Datasets that the caller may see, and the people of a group only to its members."""
    found = next_action(context, data_dict)
    if trusted(context):
        return found
    datasets = guards.visible_packages(context, {one[0] for one in found if one[1] == "package"})
    group, me = model.Group.get(data_dict.get("id")), caller(context)
    among = bool(me and group and authz.has_user_permission_for_group_or_org(group.id, me.name, "read"))
    return [one for one in found if (one[0] in datasets if one[1] == "package" else among or one[1] != "user")]


@tk.chained_action
@tk.side_effect_free
def user_autocomplete(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    """Accounts whose name begins so, for whoever makes members; nobody is found by parts of a real name."""
    if trusted(context):
        return next_action(context, data_dict)
    begun = str(data_dict.get("q") or "").strip().lower()
    found = next_action(context, {**data_dict, "limit": LISTED_MAX})
    return _cut([one for one in found if one["name"].startswith(begun)], data_dict, 20)


@tk.chained_action
@tk.side_effect_free
def user_show(next_action: Action, context: Context, data_dict: DataDict) -> Any:
    found = next_action(context, data_dict)
    me = caller(context)
    if trusted(context) or (me is not None and me.id == found.get("id")):
        return found
    return _named_only(found)


def _named_only(person: DataDict) -> DataDict:
    """An account with what is its holder's left blank, as pages read every key."""
    return {name: "" if name in OWN_FACTS else value for name, value in person.items()}


def _without_facts(name: str) -> Callable[..., Any]:
    def show(next_action: Action, context: Context, data_dict: DataDict) -> Any:
        """Members by name: what else their accounts say is theirs."""
        found = next_action(context, data_dict)
        if trusted(context) or not isinstance(found, dict) or not found.get("users"):
            return found
        return {**found, "users": [_named_only(one) for one in found["users"]]}

    show.__name__ = name
    return tk.chained_action(tk.side_effect_free(show))


def _collaborating(name: str) -> Callable[..., Any]:
    def collaborating(next_action: Action, context: Context, data_dict: DataDict) -> Any:
        """Where there are no collaborators CKAN's own refusal ends in an error of the server."""
        if not tk.asbool(tk.config.get("ckan.auth.allow_dataset_collaborators")):
            raise tk.NotAuthorized(tk._("Dataset collaborators not enabled"))
        with outbox.acting(context.get("user")):
            return next_action(context, data_dict)

    collaborating.__name__ = name
    return tk.chained_action(tk.side_effect_free(collaborating) if name.endswith("list") else collaborating)
