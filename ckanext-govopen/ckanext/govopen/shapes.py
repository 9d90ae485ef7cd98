"""What CKAN's actions take for those parameters on which their own code crashes when anything else is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import ckan.plugins.toolkit as tk
from ckan.authz import auth_functions_list
from ckan.model import PackageRelationship

NAMING = frozenset({"id", "name", "name_or_id", "object_type", "q", "user", "username"})
"""What is one text in every question to an action, beside every name that ends with ``_id``."""
DIGITS_MAX, DAYS_DIGITS_MAX = 18, 5
WORD_MAX, PHRASE_MAX = 100, 800
"""Characters; a phrase still fits into an index of PostgreSQL, which takes 2,700 bytes."""
MANY = {"task_status_update_many": "task_status_update", "term_translation_update_many": "term_translation_update"}
"""Actions that do with every entry of ``data`` what another does with one."""
JOB = re.compile(r"[A-Za-z0-9_-]+")
TRUTHS = frozenset({"true", "yes", "on", "y", "t", "1", "false", "no", "off", "n", "f", "0"})


def N_(text: str) -> str:
    """Mark a text for translation where it stands."""
    return text


@dataclass(frozen=True)
class Shape:
    """Whether a value is what an action takes, and what is said of one that is not."""

    fits: Callable[[Any], bool]
    sentence: str


def _text(longest: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= longest


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _whole(digits: int) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, bool) and str(value).isdecimal() and len(str(value)) <= digits


def _instant(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def _owner(value: Any) -> bool:
    """Whether CKAN has a permission that it could ask for about the files of such an owner."""
    return isinstance(value, str) and bool({f"{value}_update", f"{value}_file_scan"} & set(auth_functions_list()))


def _relation(value: Any) -> bool:
    return isinstance(value, str) and value in {"", "relationships", *PackageRelationship.get_all_types()}


SHAPES: Mapping[str, Shape] = {
    "text": Shape(lambda value: isinstance(value, str), N_("Must be text")),
    "word": Shape(_text(WORD_MAX), N_("Must be text, and not so long")),
    "phrase": Shape(_text(PHRASE_MAX), N_("Must be text, and not so long")),
    "texts": Shape(_texts, N_("Must be a list of texts")),
    "text|texts": Shape(lambda value: isinstance(value, str) or _texts(value), N_("Must be text or a list of texts")),
    "whole": Shape(_whole(DIGITS_MAX), N_("Must be a whole number")),
    "days": Shape(_whole(DAYS_DIGITS_MAX), N_("Must be a whole number")),
    "number": Shape(lambda value: isinstance(value, int | float | str), N_("Must be a whole number")),
    "instant": Shape(_instant, N_("Must be a date and a time")),
    "job": Shape(lambda value: isinstance(value, str) and bool(JOB.fullmatch(value)), N_("Not found")),
    "owner": Shape(_owner, N_("There are no files of such an owner")),
    "relation": Shape(_relation, N_("There is no such relationship")),
    "truth": Shape(
        lambda value: isinstance(value, bool | int) or (isinstance(value, str) and value.strip().lower() in TRUTHS),
        N_("Must be true or false"),
    ),
    "object": Shape(lambda value: isinstance(value, dict), N_("Must be an object")),
    "resource": Shape(
        lambda value: isinstance(value, dict) and isinstance(value.get("package_id"), str),
        N_("Must be a resource with its package_id"),
    ),
    "objects": Shape(
        lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value),
        N_("Must be a list of objects"),
    ),
}

TAKES = """
activity_create: activity_type=text
activity_delete: offset_days=days
activity_delete_all: batch_size=whole
api_token_revoke: jti=text
bulk_update_delete bulk_update_private bulk_update_public: datasets!=texts
config_option_show: key=text
current_package_list_with_resources: limit=whole offset=whole page=whole
dashboard_activity_list package_activity_list recently_changed_packages_activity_list: limit=number
datastore_create: resource=object records=objects
datastore_run_triggers: resource_id!=text
datastore_search: limit=number
datastore_search_sql: sql!=text
file_owner_scan: owner_type=owner rows=whole start=whole sort=text|texts
format_autocomplete job_list tag_autocomplete user_autocomplete: limit=whole
group_autocomplete organization_autocomplete: q!=text limit=whole
group_list organization_list: groups=text|texts organizations=text|texts limit=whole offset=whole sort=text
group_list organization_list: order_by=text type=text all_fields=truth include_dataset_count=truth
group_member_create organization_member_create: id!=text username!=text role!=text
group_member_delete organization_member_delete: id!=text
group_package_show: limit=whole
group_show organization_show tag_show: include_datasets=truth
group_update organization_update: name=word
job_cancel job_show: id!=job
member_create: object!=text object_type!=text capacity!=text
member_delete: object!=text object_type!=text
organization_list_for_user: include_dataset_count=truth
package_activity_list: include_data=truth
package_autocomplete package_list: limit=whole offset=whole
package_create package_update package_patch: owner_org=text
package_create_default_resource_views: package!=object
package_relationship_create: subject!=text object!=text comment=text
package_relationship_delete package_relationship_update: subject!=text object!=text type!=relation comment=text
package_relationships_list: id2=text rel=relation
package_resource_reorder resource_view_reorder: order=texts
package_revise: include?=text|texts
package_search: facet.mincount=whole fl=text|texts fq_list?=text|texts rows=number start=whole
package_search: include_deleted=truth include_drafts=truth include_private=truth use_default_schema=truth
package_show: include_plugin_data=truth use_default_schema=truth
resource_create resource_patch resource_update: url=text
resource_create_default_resource_views: resource!=resource
resource_view_clear: view_types=texts
tag_list: query=text
tag_search: query=text|texts
task_status_show: key=text task_type=text
task_status_update: entity_id=word task_type=word key=word value!=text state=text error=text last_updated=instant
task_status_update_many term_translation_update_many: data!=objects
term_translation_show: terms=text|texts lang_codes?=text|texts
term_translation_update: term=phrase lang_code=word
user_create user_patch user_update: email=text fullname=phrase password=phrase
user_invite: email!=text group_id!=text role!=text
user_list: email=text order_by?=text all_fields=truth include_site_user=truth
user_show: include_datasets=truth include_num_followers=truth include_password_hash=truth include_plugin_extras=truth
"""
"""By action: parameters and their shapes. ``!``: it has to be there. ``?``: it may be left out, but is not null."""


@dataclass(frozen=True)
class Parameter:
    name: str
    shape: Shape
    needed: bool
    nullable: bool


@cache
def parameters() -> Mapping[str, tuple[Parameter, ...]]:
    """The table by action."""
    found: dict[str, tuple[Parameter, ...]] = {}
    for line in TAKES.strip().splitlines():
        actions, _, rest = line.partition(": ")
        for action in actions.split():
            found[action] = (*found.get(action, ()), *(_parameter(one) for one in rest.split()))
    return found


def _parameter(written: str) -> Parameter:
    name, _, shape = written.partition("=")
    plain = name.rstrip("!?")
    return Parameter(plain, SHAPES[shape], name.endswith("!"), not name.endswith("?"))


def wrong(action: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is wrong with a question to an action, as CKAN's own validation tells it."""
    found: dict[str, Any] = {
        name: [tk._("Must be text")] for name, value in given.items()
        if (name in NAMING or name.endswith("_id")) and not isinstance(value, str | None)
    }
    for one in parameters().get(action, ()):
        value = given.get(one.name)
        if value is None and one.needed:
            found[one.name] = [tk._("Missing value")]
        elif value is None and (one.nullable or one.name not in given):
            continue
        elif not one.shape.fits(value):
            found[one.name] = [tk._(one.shape.sentence)]
    if action in MANY and "data" not in found:
        entries = [wrong(MANY[action], entry) for entry in given["data"]]
        found.update({"data": entries} if any(entries) else {})
    return found
