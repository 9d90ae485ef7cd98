"""The publish gate: what is saved in CKAN is what the service has accepted, in the same step.

The hooks below run inside CKAN's transaction, after validation and before index and commit. Each resource's facts are
checked and put to the service; a refusal, or no answer, rolls everything back. If CKAN itself then fails to commit,
the service knows of facts that were not saved: the next save, or ``ckan govopen republish``, puts that right.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import ckan.plugins as p
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan import model
from ckanext.govopen import identity, scanning, sealing, transition
from ckanext.govopen.described import read_items
from ckanext.govopen.gateway import SYSTEM, Gateway, ServiceProblem, ServiceRefusal, segment
from ckanext.govopen.logic.rules import CONDITIONAL_NEEDS
from ckanext.govopen.model import Publication as Published
from sqlalchemy.dialects.postgresql import insert

log = logging.getLogger(__name__)

FIELD_KEYS = ("name", "title", "type", "grade", "open_attribute", "sensitive", "mask", "description")
POSTGRES_TYPES = {
    "int2": "integer", "int4": "integer", "int8": "integer", "int": "integer", "integer": "integer",
    "bigint": "integer", "numeric": "numeric", "float8": "numeric", "float4": "numeric", "date": "date",
    "timestamp": "timestamp", "timestamptz": "timestamp", "bool": "boolean", "boolean": "boolean",
}
Sample = list[dict[str, Any]]


class Publication:
    """Hooks of IPackageController that keep the service's facts and CKAN's the same."""

    def after_dataset_create(self, context: Any, pkg_dict: dict[str, Any]) -> None:
        synchronise(context.get("user"), pkg_dict["id"])

    def after_dataset_update(self, context: Any, pkg_dict: dict[str, Any]) -> None:
        synchronise(context.get("user"), pkg_dict["id"])

    def after_dataset_delete(self, context: Any, pkg_dict: dict[str, Any]) -> None:
        package = model.Package.get(pkg_dict["id"])
        if package is not None:
            retract(package)


def synchronise(user: str | None, dataset_id: str) -> None:
    """Publish, or withdraw, what a dataset's state says; raises ValidationError when the service says no."""
    package = model.Package.get(dataset_id)
    if package is None or not package.extras.get("open_attribute"):
        return
    model.Session.flush()
    resources = [one for one in package.resources if one.state == "active"]
    if package.state != "active" or package.private:
        retract(package)
    else:
        _publish_all(user, package, resources)
    transition.clean(package, resources)


def _publish_all(user: str | None, package: model.Package, resources: list[model.Resource]) -> None:
    retract(package, keep={one.id for one in resources})
    known = dict(
        model.Session.query(Published.resource_id, Published.digest).filter_by(dataset_id=package.id).all()
    )
    for resource in resources:
        document = document_of(package, resource)
        digest = hashlib.sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        if known.get(resource.id) != digest:
            _publish(user, document, sample_of(resource), digest)


def _publish(user: str | None, document: dict[str, Any], sample: Sample, digest: str) -> None:
    check(user, document, sample)
    try:
        path = f"/v1/data-objects/{segment(document['resource_id'])}"
        _gateway(user, document).put(path, {**document, "sample": sample})
    except ServiceProblem as problem:
        refuse(problem, document)
    table = Published.__table__
    values = {"digest": digest, "dataset_id": document["dataset_id"], "published_at": sa.func.now()}
    model.Session.execute(
        insert(table).values(resource_id=document["resource_id"], **values)
        .on_conflict_do_update(index_elements=[table.c.resource_id], set_=values)
    )


def _gateway(user: str | None, document: dict[str, Any]) -> Gateway:
    """As the person who publishes; as CKAN itself for its own work, never for a person who took that name."""
    itself = user == SYSTEM and identity.find_user(SYSTEM) is None
    caller = Gateway.for_system(document["organisation_id"]) if itself else Gateway.for_user(user)
    return caller.publishing(document["resource_id"], document["organisation_id"])


def check_rows(user: str | None, document: dict[str, Any], records: Iterable[Any]) -> None:
    """Ask the gate about facts and all of these rows, in as few calls as their candidates need; raises as ``check``."""
    taken = len(json.dumps(document))
    for sample, places in scanning.chunks(records, taken):
        check(user, document, sample, places)


def check(user: str | None, document: dict[str, Any], sample: Sample, places: Sequence[int] = ()) -> None:
    """Ask the gate about facts and rows; raises ValidationError with its reasons, rolling the change back.

    ``places`` are the numbers of the rows among those that were given, told where they differ from the sample's.
    """
    try:
        answer = _gateway(user, document).post("/v1/data-objects/check", {**document, "sample": sample})
    except ServiceProblem as problem:
        refuse(problem, document)
    if not isinstance(answer, dict) or answer.get("effect") != "permit":
        problem = _placed(answer, places) if isinstance(answer, dict) else {}
        refuse(ServiceRefusal({**problem, "status": 422, "code": "publish_gate"}), document)


def _placed(answer: dict[str, Any], places: Sequence[int]) -> dict[str, Any]:
    """The gate's answer with a reason that gives the rows' own numbers, where the sample leaves rows out."""
    if list(places) == list(range(1, len(places) + 1)):
        return answer
    named = (one.get("row") for one in answer.get("findings") or [] if isinstance(one, dict))
    rows = sorted({places[row - 1] for row in named if isinstance(row, int) and 0 < row <= len(places)})
    if not rows:
        return answer
    sentence = tk._("Counted in the rows that were sent, these are rows {rows}").format(
        rows=", ".join(map(str, rows)))
    return {**answer, "reasons": [*(answer.get("reasons") or []), {"detail": sentence}]}


def refuse(problem: ServiceProblem, document: dict[str, Any] | None = None) -> NoReturn:
    """Undo the change and say why, in the words of the service."""
    model.Session.rollback()
    if not isinstance(problem, ServiceRefusal):
        log.error("service away at publication: %s", problem)
        raise tk.ValidationError({"service": [f"{problem.detail} {problem.next}"]})
    sentences = [_sentence(one) for one in (*problem.reasons, *problem.errors)]
    found = [sentence for sentence in sentences if sentence] or [problem.detail]
    if problem.next:
        found.append(problem.next)
    title = (document or {}).get("title") or (document or {}).get("dataset_title")
    errors: dict[str, Any] = {"publish_gate": found, "code": [problem.code]}
    if title:
        errors["publish_gate"] = [f"{title}: {found[0]}", *found[1:]]
    raise tk.ValidationError(errors)


def _sentence(reason: dict[str, Any]) -> str:
    where = [str(reason[name]) for name in ("field", "column", "row") if reason.get(name) not in (None, "")]
    detail = str(reason.get("detail") or reason.get("code") or "")
    return f"{' '.join(where)}: {detail}" if where and not all(one in detail for one in where) else detail


def retract(package: model.Package, keep: set[str] | None = None) -> None:
    """Take back from the service what it was told of this dataset, but for ``keep``.

    CKAN does so itself, whoever hides or deletes a dataset here (an administrator holds no role in the service);
    who it was stands in the outbox.
    """
    rows = model.Session.query(Published).filter_by(dataset_id=package.id).all()
    organisation_id = package.owner_org
    for row in rows:
        if keep and row.resource_id in keep:
            continue
        try:
            Gateway.for_system(organisation_id).delete(f"/v1/data-objects/{segment(row.resource_id)}")
        except ServiceProblem as problem:
            if problem.status != 404:
                refuse(problem)
        model.Session.delete(row)
    model.Session.flush()


def document_of(package: model.Package, resource: model.Resource) -> dict[str, Any]:
    """The facts of one resource as the service takes them (``PUT /v1/data-objects/{resource_id}``)."""
    extras, own = package.extras, resource.extras or {}
    organisation = model.Group.get(package.owner_org) if package.owner_org else None
    attribute = own.get("open_attribute") or extras["open_attribute"]
    grade = own.get("grade") or extras["grade"]
    personal = own.get("has_personal_info") or extras.get("has_personal_info")
    document: dict[str, Any] = {
        "dataset_id": package.id, "dataset_name": package.name, "dataset_title": package.title or package.name,
        "resource_id": resource.id, "title": resource.name or package.title or package.name,
        "organisation_id": package.owner_org or "",
        "organisation_name": (organisation.title or organisation.name) if organisation else "",
        "open_attribute": attribute, "grade": grade, "has_personal_info": personal == "true",
        "fields": _fields(own.get("govopen_fields") or extras.get("items"), resource, attribute, grade),
        "conditions": {name: extras[name] for name in CONDITIONAL_NEEDS if extras.get(name)},
        "refuse_reason": extras.get("refuse_reason") or "", "legal_basis": extras.get("legal_basis") or "",
    }
    document.update({name: extras[name] for name in ("shared_from", "operator_uscc") if extras.get(name)})
    return document


def _fields(described: Any, resource: model.Resource, attribute: str, grade: str) -> list[dict[str, Any]]:
    """Described fields with the data's own grade and attribute where they have none, then undescribed columns."""
    fields = []
    for item in read_items(described):
        field = {key: item[key] for key in FIELD_KEYS if item.get(key) not in (None, "")}
        fields.append({"grade": grade, "open_attribute": attribute, **field})
    known = {field["name"] for field in fields}
    for name, kind in _columns(resource):
        if name not in known:
            fields.append({
                "name": name, "title": name, "type": POSTGRES_TYPES.get(kind, "text"), "grade": grade,
                "open_attribute": attribute,
            })
    return fields


def in_datastore(resource: model.Resource) -> bool:
    return bool((resource.extras or {}).get("datastore_active")) and p.plugin_loaded("datastore")


def _columns(resource: model.Resource) -> Sequence[tuple[str, str]]:
    if not in_datastore(resource) or sealing.is_restricted_row(resource):
        return []
    try:
        info = tk.get_action("datastore_search")(
            {"ignore_auth": True}, {"resource_id": resource.id, "limit": 0, "include_total": False}
        )
    except (tk.ObjectNotFound, tk.ValidationError):
        return []
    return [(field["id"], field.get("type", "text")) for field in info["fields"] if field["id"] != "_id"]


def sample_of(resource: model.Resource) -> Sample:
    """The first rows of an open table, for the scanner."""
    if not in_datastore(resource) or sealing.is_restricted_row(resource):
        return []
    rows = int(tk.config["ckanext.govopen.sample_rows"])
    try:
        found = tk.get_action("datastore_search")(
            {"ignore_auth": True}, {"resource_id": resource.id, "limit": rows, "include_total": False}
        )
    except (tk.ObjectNotFound, tk.ValidationError):
        return []
    return plain_rows(found["records"])


def plain_rows(records: Any) -> Sample:
    """At most the configured number of rows, cells as short text or what in them could be personal."""
    rows = int(tk.config["ckanext.govopen.sample_rows"])
    return next(scanning.chunks(list(records)[:rows]))[0]
