"""``/department/<resource_id>/data``: a department loads restricted rows; the file goes on as it comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import ServiceProblem, segment
from ckanext.govopen.helpers.pages import govopen_grade_label, govopen_number, govopen_problem, govopen_term
from ckanext.govopen.views.staff_base import Desk, gone, staff_page
from flask import Blueprint

blueprint = Blueprint("govopen_department", __name__)
TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
PATIENCE_S = 300
OBJECTS_MAX = 200
FAULTS_MAX = 200


@blueprint.get("/department/data")
@staff_page
def listing(desk: Desk) -> Any:
    """Restricted data of the departments in which the person may load."""
    found: list[dict[str, Any]] = []
    for organisation in desk.actions.get("data:load", []):
        page = desk.gateway.get("/v1/data-objects", organisation_id=organisation, limit=OBJECTS_MAX)
        found += [one for one in page["items"] if one["open_attribute"] != "unconditional"]
    return desk.page("department_list.html", "department", items=sorted(found, key=lambda one: one["dataset_title"]))


def _show(
    desk: Desk, resource_id: str, problem: ServiceProblem | None = None, errors: Mapping[str, Any] | None = None,
    status: int = 200,
) -> Any:
    source = desk.gateway.get(f"/v1/data-objects/{segment(resource_id)}")
    loaded = desk.gateway.get(f"/v1/restricted/{segment(resource_id)}")
    faults = [{"field": one.get("field") or "–", "detail": one.get("detail") or one.get("code")}
              for one in govopen_problem(problem)["errors"]] if problem else []
    return desk.page(
        "department.html", "department", status=status, source=source, loading=loaded, refusal=problem,
        errors=errors or {}, faults=faults[:FAULTS_MAX],
        fields=[{
            **one, "kind": govopen_term("item_type", one["type"]), "grade_label": govopen_grade_label(one["grade"]),
        } for one in source["fields"]],
    )


@blueprint.get("/department/<resource_id>/data")
@staff_page
def data(desk: Desk, resource_id: str) -> Any:
    """What is loaded, and the form that replaces it."""
    return _show(desk, resource_id)


@blueprint.post("/department/<resource_id>/data")
@staff_page
def load(desk: Desk, resource_id: str) -> Any:
    """Replace the rows by those of a file; what the file really is, the service tells by its content."""
    given = tk.request.files.get("file")
    kind = TYPES.get(str(given.filename or "").rpartition(".")[2].lower()) if given else None
    if given is None or kind is None:
        return _show(desk, resource_id, errors={"file": tk._("Choose a CSV or Parquet file.")}, status=422)
    try:
        answer = desk.gateway.put(
            f"/v1/restricted/{segment(resource_id)}", data=given.stream, content_type=kind, timeout_s=PATIENCE_S)
    except ServiceProblem as problem:
        return _show(desk, resource_id, problem, status=problem.status)
    return gone(f"/department/{segment(resource_id)}/data",
                tk._("{n} rows were loaded.").format(n=govopen_number(answer.get("rows"))))
