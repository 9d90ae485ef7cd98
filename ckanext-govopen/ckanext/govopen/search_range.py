"""Many datasets at once as CKAN's ``package_show`` gives them to its index: the same, with a dozen queries for all.

CKAN shows a dataset for its index with a dozen queries and two runs of validation, though showing only ever leaves out,
renames and sorts. That is done here in one go for the datasets of our own form; hooks of plugins are called as CKAN
calls them, and CKAN's own ``index_package`` makes the documents. A dataset of another kind is ``Odd`` and goes CKAN's
way, and of many ranges one dataset goes both ways: where they differ, nothing is shown here any more.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import ckan.plugins as p
import sqlalchemy as sa
from ckan import logic, model
from ckan.lib import dictization, munge
from ckan.lib import plugins as lib_plugins
from ckan.lib.dictization import model_dictize
from ckan.lib.helpers import helper_functions as h
from ckanext.govopen import dictionary, figures, presentation
from ckanext.govopen.dataset_form import DatasetForm
from ckanext.govopen.logic import schema

log = logging.getLogger(__name__)

Dataset = dict[str, Any]
Both = tuple[Dataset, Dataset]
"""A dataset in CKAN's own schema, in which ours are extras, and in that of its form."""

TOP = (
    "author", "author_email", "creator_user_id", "id", "isopen", "license_id", "license_title", "license_url",
    "maintainer", "maintainer_email", "metadata_created", "metadata_modified", "name", "notes", "num_resources",
    "num_tags", "organization", "owner_org", "private", "state", "title", "type", "url", "version",
)
"""What CKAN's schema for showing keeps beside lists."""
LISTS = ("extras", "groups", "resources", "tags")
EMPTY_LISTS = ("extras", "resources", "tags", "groups", "relationships_as_subject", "relationships_as_object")
"""Lists without anything in them stand at the end, in this order."""
GROUP = ("description", "display_name", "id", "image_display_url", "name", "title")
LEFT_OUT_WITHOUT_VALUE = ("created", "datastore_active", "format", "hash", "url")
"""Of a resource; other keys without a value stay."""
TESTED_FIRST, TESTED_EACH = 16, 4
"""Of so many ranges at first one dataset goes both ways, later of every so many."""
PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Odd(Exception):
    """A dataset that is not of the kind that is known here."""


class Range:
    """Datasets read together; ``both`` shows one of them, ``read_ahead`` spares its indexing further queries."""

    def __init__(self, dataset_ids: Sequence[str]) -> None:
        ids = list(dataset_ids)
        found = model.Session.query(model.Package).filter(model.Package.id.in_(ids)).order_by(model.Package.id)
        self.packages: list[model.Package] = found.all()
        self._resources = _resources(ids)
        self._tags = _tags(ids)
        self._groups = _groups(ids)
        self._organizations = _organizations({one.owner_org for one in self.packages if one.owner_org})
        self._related = _related(ids)
        self._read = _hooks(p.IPackageController, "read")
        self._shown = _hooks(p.IPackageController, "after_dataset_show")
        self._resource_shown = _hooks(p.IResourceController, "before_resource_show")

    def both(self, package: model.Package) -> Both:
        """A dataset as CKAN's ``package_show_default_and_custom_schemas`` gives it; raises ``Odd``."""
        kind = package.type or "dataset"
        if package.id in self._related or not _is_ours(kind):
            raise Odd(package.id)
        resources = [_resource(row, package) for row in self._resources.get(package.id, ())]
        if any(one["position"] is None for one in resources):
            raise Odd(package.id)
        resources.sort(key=lambda one: int(one["position"]))
        for hook in self._read:
            hook(package)
        for hook in self._resource_shown:
            for resource in resources:
                hook(resource)
        default = self._default(package, kind, resources)
        custom = _custom(default)
        if self._shown:
            context = logic.fresh_context({}, ignore_auth=True, use_cache=False, validate=False)
            context["package"] = package
            for hook in self._shown:
                hook(context, custom)
        return default, custom

    def _default(self, package: model.Package, kind: str, resources: list[Dataset]) -> Dataset:
        tags = self._tags.get(package.id, [])
        title = (package.title or "").strip() or package.name
        values = {
            **{name: getattr(package, name) for name in TOP if name in model.package_table.c},
            **_license(package.license_id), "title": title, "type": kind,
            "metadata_created": package.metadata_created.isoformat() if package.metadata_created else None,
            "metadata_modified": package.metadata_modified.isoformat(),
            "num_resources": len(resources), "num_tags": len(tags),
            "organization": self._organizations.get(package.owner_org),
        }
        lists = {
            "extras": [{"key": key, "value": value} for key, value in (package.extras or {}).items()],
            "groups": sorted(self._groups.get(package.id, ()), key=lambda one: h.strxfrm(one["display_name"])),
            "resources": [_shown_resource(one) for one in resources], "tags": tags,
        }
        lists["groups"] = [{name: one[name] for name in GROUP if one.get(name) is not None} for one in lists["groups"]]
        found = {name: values[name] for name in TOP if name in values}
        found.update((name, lists[name]) for name in LISTS if lists[name])
        found.update((name, []) for name in EMPTY_LISTS if name not in found)
        return found


def _custom(default: Dataset) -> Dataset:
    """The same with our extras brought back to the top."""
    ours = {one["key"]: one["value"] for one in default["extras"] if one["key"] in schema.KEYS}
    lists = {**default, "extras": [one for one in default["extras"] if one["key"] not in ours]}
    plain = {name: value for name, value in default.items() if not isinstance(value, list)}
    found = dict(sorted({**plain, **ours}.items()))
    found.update((name, [dict(one) for one in lists[name]]) for name in LISTS if lists[name])
    found.update((name, []) for name in EMPTY_LISTS if not default[name])
    return found


class Shower:
    """Shows range after range, for as long as what it shows is what CKAN shows."""

    def __init__(self) -> None:
        self.is_trusted = True
        self._count = 0
        self._range: Range | None = None
        """The last one, so that CKAN finds its datasets in the session when it indexes them."""

    def show(self, dataset_ids: Sequence[str], sample: int) -> dict[str, Both]:
        """Datasets by id, without those that have to go CKAN's way; the one at ``sample`` goes both ways."""
        if not dataset_ids or not self.is_trusted:
            return {}
        tested = dataset_ids[sample % len(dataset_ids)]
        self._count += 1
        is_tested = self._count <= TESTED_FIRST or self._count % TESTED_EACH == 0
        try:
            self._range = Range(dataset_ids)
            found = _show(self._range)
            if not is_tested or tested not in found or any(
                _is_as_ckan_shows(tested, both) for both in (found[tested], None)
            ):
                return found
            log.warning("Dataset %s is not shown as CKAN shows it; all datasets are read one by one", tested)
            self.is_trusted = False
        except Exception:
            log.exception("Datasets around %s are read one by one", tested)
            model.Session.rollback()
        return {}


def _show(together: Range) -> dict[str, Both]:
    found: dict[str, Both] = {}
    for package in together.packages:
        try:
            found[package.id] = together.both(package)
        except Odd:
            continue
        except Exception as problem:
            log.info("Dataset %s is shown by itself: %s", package.id, type(problem).__name__)
    return found


def _is_as_ckan_shows(dataset_id: str, both: Both | None) -> bool:
    """Without ``both`` it is read again: it may have been changed between the two readings."""
    if both is None:
        model.Session.expire_all()  # or the session gives what it read before
        both = _show(Range([dataset_id])).get(dataset_id)
    real = logic.package_show_default_and_custom_schemas({"ignore_auth": True}, dataset_id)
    return both is not None and _comparable(both) == _comparable(real)


def _comparable(both: Both) -> str:
    """Tags have no order in CKAN's database."""
    found = [
        {**shown, "tags": sorted(shown.get("tags") or [], key=lambda tag: str(tag.get("id")))} for shown in both
    ]
    return json.dumps(found, sort_keys=True, default=str)


def index(dataset_ids: Sequence[str], shower: Shower | None = None, sample: int = 0) -> Iterator[tuple[str, Any]]:
    """Give datasets to CKAN's own indexing, without a commit; tells of each what went wrong, None if nothing did.

    With a ``shower`` they are read together as far as that is possible, without one each by itself.
    """
    shown = shower.show(dataset_ids, sample) if shower is not None else {}
    with read_ahead([custom for _, custom in shown.values()]):
        for dataset_id in dataset_ids:
            try:
                make_document(dataset_id, shown.get(dataset_id))
            except Exception as problem:
                model.Session.rollback()
                yield dataset_id, problem
            else:
                yield dataset_id, None


def make_document(dataset_id: str, shown: Both | None) -> None:
    """CKAN's own indexing, of what was shown together with others or of what CKAN reads of this dataset alone."""
    if shown is None:
        logic.index_update_package({"ignore_auth": True}, dataset_id, True)
    else:
        logic.index_update_package_dicts(shown, True)


@contextmanager
def read_ahead(shown: list[Dataset]) -> Iterator[None]:
    """Within it, what the indexing of these datasets asks for besides is read already."""
    resources = [resource["id"] for dataset in shown for resource in dataset.get("resources") or ()
                 if resource.get("datastore_active") and not presentation.is_restricted(resource, dataset)]
    with figures.read_ahead(shown), dictionary.read_ahead(resources):
        yield


# -- reading -------------------------------------------------------------------------------------------------------


def _resources(ids: list[str]) -> dict[str, list[Any]]:
    table = model.resource_table
    found: dict[str, list[Any]] = {}
    rows = model.Session.execute(
        sa.select(table).where(table.c.package_id.in_(ids), table.c.state == "active").order_by(table.c.position)
    )
    for row in rows:
        found.setdefault(row.package_id, []).append(row)
    return found


def _tags(ids: list[str]) -> dict[str, list[Dataset]]:
    tag, tagged = model.tag_table, model.package_tag_table
    found: dict[str, list[Dataset]] = {}
    rows = model.Session.execute(
        sa.select(tagged.c.package_id, tag.c.id, tag.c.name, tag.c.vocabulary_id)
        .join(tagged, tag.c.id == tagged.c.tag_id)
        .where(tagged.c.package_id.in_(ids), tagged.c.state == "active").order_by(tag.c.name)
    )
    for dataset_id, id_, name, vocabulary in rows:
        found.setdefault(dataset_id, []).append(
            {"display_name": name, "id": id_, "name": name, "state": "active", "vocabulary_id": vocabulary}
        )
    return found


def _groups(ids: list[str]) -> dict[str, list[Dataset]]:
    group, member = model.group_table, model.member_table
    pairs = model.Session.execute(
        sa.select(member.c.table_id, member.c.group_id).join(group, group.c.id == member.c.group_id).where(
            member.c.table_id.in_(ids), member.c.state == "active", group.c.is_organization.is_(False)
        )
    ).all()
    rows = model.Session.execute(sa.select(group).where(group.c.id.in_({group_id for _, group_id in pairs}))).all()
    context = logic.fresh_context({}, ignore_auth=True)
    context["with_capacity"] = False
    listed = model_dictize.group_list_dictize(
        rows, context, with_package_counts=False, with_member_counts=False
    )
    shown = {one["id"]: one for one in listed}
    found: dict[str, list[Dataset]] = {}
    for dataset_id, group_id in pairs:
        found.setdefault(dataset_id, []).append(shown[group_id])
    return found


def _organizations(ids: set[str]) -> dict[str, Dataset]:
    group = model.group_table
    rows = model.Session.execute(sa.select(group).where(group.c.id.in_(ids), group.c.state == "active"))
    found = {one["id"]: one for one in dictization.obj_list_dictize(rows, logic.fresh_context({}))}
    for one in found.values():
        del one["extras"]
    return found


def _related(ids: list[str]) -> set[str]:
    """Datasets that have to do with others: few, so they go CKAN's way."""
    table = model.package_relationship_table
    found: set[str] = set()
    for column in (table.c.subject_package_id, table.c.object_package_id):
        found.update(model.Session.scalars(sa.select(column).where(column.in_(ids))))
    return found


# -- one resource ----------------------------------------------------------------------------------------------------


def _resource(row: Any, package: model.Package) -> Dataset:
    """As ``resource_dictize``."""
    found: Dataset = {
        name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row._mapping.items()
    }
    found.update(found.pop("extras") or {})
    url = found["url"]
    if found.get("url_type") == "upload":
        name = munge.munge_filename(url.rsplit("/")[-1])
        found["url"] = _download(package.type or "dataset", package.id, found["id"], name)
    elif url and not urlsplit(url).scheme:
        found["url"] = "http://" + url.lstrip("/")
    return found


def _download(kind: str, dataset_id: str, resource_id: str, name: str) -> str:
    if not all(map(PLAIN_NAME.fullmatch, (dataset_id, resource_id, name))):
        return str(_address(kind, dataset_id, resource_id, name))
    return _pattern(kind).replace("-dataset-", dataset_id).replace("-resource-", resource_id).replace("-file-", name)


@lru_cache(maxsize=16)
def _pattern(kind: str) -> str:
    return str(_address(kind, "-dataset-", "-resource-", "-file-"))


def _address(kind: str, dataset_id: str, resource_id: str, name: str) -> Any:
    return h.url_for(f"{kind}_resource.download", id=dataset_id, resource_id=resource_id, filename=name, qualified=True)


def _shown_resource(resource: Dataset) -> Dataset:
    found = {name: resource[name] for name in sorted(resource)
             if name not in LEFT_OUT_WITHOUT_VALUE or resource[name] is not None}
    if "url" in found:
        found["url"] = found["url"].strip()
    if "format" in found:
        found["format"] = h.unified_resource_format(found["format"])
    return found


# -- what hardly ever changes ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1000)
def _license(license_id: str | None) -> Dataset:
    try:
        known = model.Package.get_license_register()[license_id] if license_id else None
    except KeyError:
        known = None
    if known is None:
        return {"isopen": False, "license_title": license_id}
    found = {"isopen": known.isopen(), "license_title": known.title}
    if known.url:
        found |= {"license_title": known.title.split("::")[-1], "license_url": known.url}
    return found


@lru_cache(maxsize=100)
def _is_ours(kind: str) -> bool:
    """Whether datasets of this type are shown by our form, as it is."""
    form = lib_plugins.lookup_package_plugin(kind)
    return type(form).show_package_schema is DatasetForm.show_package_schema and not hasattr(form, "validate")


def _hooks(interface: Any, name: str) -> list[Callable[..., Any]]:
    """Hooks of plugins that do anything."""
    return [getattr(plugin, name) for plugin in p.PluginImplementations(interface)
            if getattr(type(plugin), name) is not getattr(interface, name)]
