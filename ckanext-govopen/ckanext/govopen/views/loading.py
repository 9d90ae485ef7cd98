"""Loading of restricted data: a file from a publisher's browser, handed to the service and never kept by CKAN."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import Gateway, ServiceProblem, segment
from ckanext.govopen.helpers.pages import govopen_number, govopen_problem
from flask import Blueprint

blueprint = Blueprint("govopen_loading", __name__)
TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
PATIENCE_S = 300


@blueprint.post("/dataset/<name>/resource/<resource_id>/load")
def load(name: str, resource_id: str) -> Any:
    """Replace the rows of a restricted table. Who may is decided twice: by CKAN here, by the service there."""
    context = {"user": tk.current_user.name, "auth_user_obj": tk.current_user}
    try:
        tk.check_access("resource_update", context, {"id": resource_id})
    except (tk.NotAuthorized, tk.ObjectNotFound):
        return tk.abort(403, tk._("Only the department of this data may load it."))
    back = tk.redirect_to("dataset_resource.edit", id=name, resource_id=resource_id)
    given = tk.request.files.get("file")
    kind = TYPES.get(str(given.filename or "").rpartition(".")[2].lower()) if given else None
    if given is None or kind is None:
        tk.h.flash_error(tk._("Choose a CSV or Parquet file."))
        return back
    try:
        answer = Gateway.for_user(tk.current_user.name).put(
            f"/v1/restricted/{segment(resource_id)}", data=given.stream, content_type=kind, timeout_s=PATIENCE_S)
    except ServiceProblem as problem:
        told = govopen_problem(problem)
        reasons = [str(entry.get("detail") or "") for entry in [*told["errors"], *told["reasons"]]][:5]
        tk.h.flash_error(" ".join(part for part in (told["detail"], *reasons, told["next"]) if part))
        return back
    tk.h.flash_success(tk._("{n} rows were loaded.").format(n=govopen_number(answer.get("rows"))))
    return tk.redirect_to("dataset_resource.read", id=name, resource_id=resource_id)
