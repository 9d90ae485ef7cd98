"""Which resources are restricted, and the only address such a resource may show."""

from __future__ import annotations

import re
from typing import Any

import ckan.plugins.toolkit as tk
from ckan import model

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def sentinel(resource_id: str) -> str:
    """Address of the page where use of the resource is applied for."""
    return f"{str(tk.config['ckan.site_url']).rstrip('/')}/apply/{resource_id}"


def is_sentinel(url: str, resource_id: str) -> bool:
    return url.rstrip("/").endswith(f"/apply/{resource_id}")


def is_restricted_row(resource: model.Resource) -> bool:
    """Whether rows of this resource may only leave through the service.

    The mark is derived when the dataset is saved. A resource saved before the extension was installed has none;
    it is as restricted as its dataset says.
    """
    extras = resource.extras or {}
    mark = extras.get("govopen_access")
    if mark:
        return bool(mark != "open")
    attribute = extras.get("open_attribute")
    if not attribute and resource.package is not None:
        attribute = resource.package.extras.get("open_attribute")
    return attribute in ("conditional", "closed")


def is_restricted(resource_id: Any) -> bool:
    """The same by id; an id that is unknown or no text is not restricted, as there is nothing to protect."""
    if not isinstance(resource_id, str) or not resource_id or "\x00" in resource_id:
        return False
    resource = model.Session.get(model.Resource, resource_id)
    return resource is not None and is_restricted_row(resource)


def restricted_ids_in(text: Any) -> list[str]:
    """Ids of restricted resources that occur anywhere in a text, such as an SQL statement."""
    found = {match.lower() for match in UUID.findall(text)} if isinstance(text, str) else set()
    return sorted(one for one in found if is_restricted(one))


class Restricted(tk.NotAuthorized):  # type: ignore[misc]
    """Access through CKAN to a resource that is not here at all; the same for everybody, administrators too."""

    def __init__(self, resource_id: str) -> None:
        super().__init__(
            tk._("This data is open under conditions. Apply for its use at {address}").format(
                address=sentinel(resource_id)))
