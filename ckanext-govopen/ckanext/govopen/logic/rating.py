"""Actions of ratings: give, withdraw, show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ckan.plugins.toolkit as tk
from ckan import model
from ckanext.govopen import figures, ratings, recount

Context = dict[str, Any]
DataDict = dict[str, Any]


def actions() -> dict[str, Callable[..., Any]]:
    return {
        "govopen_rating_create": govopen_rating_create, "govopen_rating_delete": govopen_rating_delete,
        "govopen_rating_show": govopen_rating_show,
    }


def govopen_rating_create(context: Context, data_dict: DataDict) -> DataDict:
    """Give a published dataset 1 to 5 stars (``id``, ``stars``), in the place of earlier ones of the same person."""
    dataset = _dataset(context, data_dict)
    tk.check_access("govopen_rating_create", context, {"id": dataset["id"]})
    stars = str(data_dict.get("stars", "")).strip()
    if stars not in {str(number) for number in ratings.STARS}:
        raise tk.ValidationError({"stars": [tk._("Choose one to five stars.")]})
    user = model.User.get(context["user"])
    ratings.hold_back(user.id)
    ratings.give(user.id, dataset["id"], int(stars))
    return _changed(dataset["id"], user.id)


def govopen_rating_delete(context: Context, data_dict: DataDict) -> DataDict:
    """Take one's own stars back (``id``)."""
    dataset = _dataset(context, data_dict)
    tk.check_access("govopen_rating_create", context, {"id": dataset["id"]})
    user = model.User.get(context["user"])
    ratings.hold_back(user.id)
    ratings.withdraw(user.id, dataset["id"])
    return _changed(dataset["id"], user.id)


@tk.side_effect_free
def govopen_rating_show(context: Context, data_dict: DataDict) -> DataDict:
    """Average and number of a dataset's ratings, and the caller's own: ``average, count, mine, may_rate``."""
    dataset = _dataset(context, data_dict)
    user = model.User.get(context["user"]) if context.get("user") else None
    try:
        may_rate = bool(tk.check_access("govopen_rating_create", dict(context), {"id": dataset["id"]}))
    except tk.NotAuthorized:
        may_rate = False
    return {**_told(dataset["id"], user.id if user else None), "may_rate": may_rate}


def _dataset(context: Context, data_dict: DataDict) -> DataDict:
    """The dataset as the caller may see it; raises ObjectNotFound or NotAuthorized."""
    identity = data_dict.get("id")
    if not isinstance(identity, str):
        raise tk.ValidationError({"id": [tk._("Must be text")]})
    return dict(tk.get_action("package_show")(dict(context), {"id": identity}))


def _told(dataset_id: str, user_id: str | None) -> DataDict:
    summary = ratings.of_dataset(dataset_id)
    return {
        "average": round(summary.average, 2) if summary.average is not None else None, "count": summary.count,
        "mine": ratings.given_by(user_id, dataset_id) if user_id else None,
    }


def _changed(dataset_id: str, user_id: str) -> DataDict:
    figures.mark_stale([dataset_id])
    model.Session.commit()
    recount.index_now(dataset_id)
    return _told(dataset_id, user_id)
