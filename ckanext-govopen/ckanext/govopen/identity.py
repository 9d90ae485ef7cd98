"""Who is asking, as claims for the service."""

from __future__ import annotations

from typing import Any

from ckan import model

ADMINISTRATIVE = ("admin", "editor", "member")


def memberships(user_id: str) -> list[dict[str, Any]]:
    """Departments in which the person really holds a capacity; being a system administrator adds none."""
    rows = (
        model.Session.query(model.Group, model.Member.capacity)
        .join(model.Member, model.Member.group_id == model.Group.id)
        .filter(
            model.Member.table_name == "user", model.Member.table_id == user_id,
            model.Member.state == "active", model.Group.state == "active",
            model.Group.is_organization.is_(True), model.Member.capacity.in_(ADMINISTRATIVE),
        )
        .order_by(model.Group.name)
    )
    return [
        {"id": group.id, "name": group.name, "title": group.title or group.name, "capacity": capacity}
        for group, capacity in rows
    ]


def claims_of(user: model.User) -> dict[str, Any]:
    """What the service is told of a person."""
    return {
        "sub": user.id, "name": user.name, "display": user.display_name or user.name,
        "sysadmin": bool(user.sysadmin), "orgs": memberships(user.id),
    }


def find_user(name: str | None) -> model.User | None:
    """An active user by name or id."""
    user = model.User.get(name) if name else None
    return user if user is not None and user.is_active else None
