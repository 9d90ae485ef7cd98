"""Stars from the page of a dataset."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
from flask import Blueprint

blueprint = Blueprint("govopen_rating", __name__)


@blueprint.post("/dataset/<name>/rating")
def rate(name: str) -> Any:
    """Give stars, change them, or take them back, and return to the dataset."""
    if not tk.current_user.is_authenticated:
        return tk.redirect_to("user.login", came_from=f"{tk.url_for('dataset.read', id=name)}#rating")
    context = {"user": tk.current_user.name, "auth_user_obj": tk.current_user}
    withdrawn = bool(tk.request.form.get("withdraw"))
    try:
        if withdrawn:
            tk.get_action("govopen_rating_delete")(context, {"id": name})
        else:
            tk.get_action("govopen_rating_create")(context, {"id": name, "stars": tk.request.form.get("stars", "")})
    except tk.ObjectNotFound:
        return tk.abort(404, tk._("This dataset does not exist, has been withdrawn, or is not visible to you."))
    except tk.NotAuthorized as problem:
        return tk.abort(403, str(problem) or tk._("Only published datasets can be rated"))
    except tk.ValidationError as problem:
        tk.h.flash_error(" ".join(sentence for found in problem.error_dict.values() for sentence in found))
    else:
        tk.h.flash_success(tk._("Your rating has been taken back.") if withdrawn
                           else tk._("Thank you. Your rating has been taken; you can change it at any time."))
    return tk.redirect_to(f"{tk.url_for('dataset.read', id=name)}#rating")
