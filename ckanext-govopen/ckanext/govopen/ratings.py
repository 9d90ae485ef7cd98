"""Stars that signed-in people give datasets: one opinion a person, changeable, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan import model
from ckan.lib.redis import connect_to_redis
from ckanext.govopen.model import Rating
from redis.exceptions import RedisError
from sqlalchemy.dialects.postgresql import insert

STARS = range(1, 6)
CHANGES_PER_HOUR = 30
PRIOR_STARS, PRIOR_WEIGHT = 3, 5
"""For the order only: as if five people had given three stars before, so that one opinion does not beat fifty."""


@dataclass(frozen=True)
class Summary:
    """How many people gave stars, and how many stars in all."""

    count: int = 0
    total: int = 0

    @property
    def average(self) -> float | None:
        return self.total / self.count if self.count else None

    @property
    def score(self) -> int | None:
        """What the search sorts by, in hundredths of a star; None without any opinion."""
        if not self.count:
            return None
        return round(100 * (self.total + PRIOR_STARS * PRIOR_WEIGHT) / (self.count + PRIOR_WEIGHT))


def of_dataset(dataset_id: str) -> Summary:
    """The ratings of a dataset by people whose accounts are active."""
    return of_datasets([dataset_id]).get(dataset_id, Summary())


def of_datasets(dataset_ids: list[str]) -> dict[str, Summary]:
    """The same for several, by dataset; those without any rating are left out."""
    found = model.Session.execute(
        sa.select(Rating.dataset_id, sa.func.count(), sa.func.sum(Rating.stars))
        .select_from(Rating).join(model.User, model.User.id == Rating.user_id)
        .where(Rating.dataset_id.in_(dataset_ids), model.User.state == "active").group_by(Rating.dataset_id))
    return {dataset_id: Summary(int(count), int(total)) for dataset_id, count, total in found}


def given_by(user_id: str, dataset_id: str) -> int | None:
    """The stars that a person gave, None if none."""
    found = model.Session.get(Rating, (dataset_id, user_id))
    return found.stars if found else None


def give(user_id: str, dataset_id: str, stars: int) -> None:
    """Write down an opinion in the place of an earlier one of the same person; the caller commits."""
    values = {"stars": stars, "rated_at": sa.func.clock_timestamp()}
    model.Session.execute(
        insert(Rating.__table__).values(dataset_id=dataset_id, user_id=user_id, **values)
        .on_conflict_do_update(index_elements=["dataset_id", "user_id"], set_=values))


def withdraw(user_id: str, dataset_id: str) -> None:
    model.Session.execute(sa.delete(Rating).where(Rating.dataset_id == dataset_id, Rating.user_id == user_id))


def forget_dataset(dataset_id: str) -> None:
    """A purged dataset takes its ratings along; the caller commits."""
    model.Session.execute(sa.delete(Rating).where(Rating.dataset_id == dataset_id))


def hold_back(user_id: str) -> None:
    """Count a change; raises ValidationError when a person changes more than ``CHANGES_PER_HOUR``."""
    key = f"govopen:ratings:{user_id}:{datetime.now(UTC):%Y%m%d%H}"
    try:
        pipe = connect_to_redis().pipeline()
        pipe.incr(key)
        pipe.expire(key, 3600)
        changes = int(pipe.execute()[0])
    except RedisError as problem:
        raise tk.ValidationError({"stars": [tk._("Ratings cannot be taken at the moment. Please try again.")]}) \
            from problem
    if changes > CHANGES_PER_HOUR:
        raise tk.ValidationError({"stars": [tk._("You have rated many datasets within an hour. Please go on later.")]})


def belongs_to(user_id: str, organisation_id: Any) -> bool:
    """Whether a person is a member of the department: nobody rates the data of the own department."""
    return model.Session.query(model.Member.id).filter_by(
        table_name="user", table_id=user_id, group_id=str(organisation_id or ""), state="active").first() is not None
