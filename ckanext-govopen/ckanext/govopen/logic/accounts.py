"""Names that no account may have: the platform signs its own calls to the service with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen import outbox

RESERVED = frozenset({"ckan-system", "system"})
ACTIONS = ("user_create", "user_update", "user_patch", "user_invite")


def actions() -> dict[str, Callable[..., Any]]:
    return {name: _reserving(name) for name in ACTIONS}


def _reserving(name: str) -> Callable[..., Any]:
    given = ("name", "id") if name == "user_create" else ("name",)

    def reserving(
        next_action: Callable[..., Any], context: dict[str, Any], data_dict: dict[str, Any]
    ) -> Any:
        for key in given:
            value = data_dict.get(key)
            if isinstance(value, str) and value.strip().lower() in RESERVED:
                raise tk.ValidationError({"name": [tk._("This name is reserved for the platform itself")]})
        with outbox.acting(context.get("user")):
            return next_action(context, data_dict)

    reserving.__name__ = name
    return tk.chained_action(reserving)
