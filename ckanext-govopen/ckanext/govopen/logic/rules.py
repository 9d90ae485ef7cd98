"""What the dataset's fields demand of each other, what is assigned, and how restricted resources are sealed.

These run inside CKAN's validation on its flattened data; keys of resources are ``("resources", n, name)``.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan import model
from ckanext.govopen import codes, sealing, text
from ckanext.govopen import vocabularies as lists
from ckanext.govopen.described import read_items
from ckanext.govopen.model import CatalogCode

Data = dict[Any, Any]
BEIJING = ZoneInfo("Asia/Shanghai")
SERIAL_LOCK = 4_701_926_002
CONDITIONAL_NEEDS = ("open_mode", "use_requirements", "security_measures")
CLOSED_NEEDS = ("refuse_reason", "legal_basis")
SEALED_KEYS = frozenset({
    "id", "name", "description", "format", "position", "state", "created", "last_modified", "package_id",
    "resource_type", "open_attribute", "grade", "has_personal_info", "govopen_fields", "govopen_access", "url",
    "url_type", "mimetype", "mimetype_inner", "hash", "size", "cache_url", "cache_last_updated", "datastore_active",
    "metadata_modified", "__extras", "__junk",
})
BLANKED = {"url_type": "", "hash": "", "mimetype": None, "mimetype_inner": None, "cache_url": None, "size": None,
           "cache_last_updated": None, "datastore_active": False}


def value_of(data: Data, name: str) -> str:
    """A top-level value as text; what is missing or of a wrong type is empty."""
    value = data.get((name,))
    return value if isinstance(value, str) else ""


def refuse(errors: Data, name: str, sentence: str) -> None:
    errors.setdefault((name,), []).append(sentence)


def default_provider_code(key: Any, data: Data, errors: Data, context: Any) -> None:
    """The department's own code (extra ``uscc`` of the organisation) stands in where none is given."""
    if data.get(key) not in (None, "", tk.missing):
        return
    owner = data.get(("owner_org",))
    organisation = model.Group.get(owner) if isinstance(owner, str) and owner else None
    if organisation is not None and organisation.extras.get("uscc"):
        data[key] = organisation.extras["uscc"]


def default_issued(key: Any, data: Data, errors: Data, context: Any) -> None:
    """The date of issue stays what it was; a new entry is issued today (Beijing)."""
    if data.get(key) in (None, "", tk.missing):
        data[key] = stored(context, "issued") or datetime.now(BEIJING).date().isoformat()


def stored(context: Any, name: str) -> str:
    """The value that the dataset being updated has now; empty for a new one."""
    package = context.get("package")
    return str(package.extras.get(name) or "") if package is not None else ""


def assign_catalog_code(key: Any, data: Data, errors: Data, context: Any) -> None:
    """Keep the code an entry has; take a free one that is offered; else assign the category's next serial.

    A code is never reused: its row in ``govopen_catalog_code`` outlives the dataset.
    """
    known = stored(context, "catalog_code")
    given = data.get(key)
    given = given.strip() if isinstance(given, str) else ""
    if known:
        if given and given != known:
            raise tk.Invalid(tk._("The catalogue code {code} cannot be changed").format(code=known))
        data[key] = known
        return
    category = value_of(data, "category")
    if not codes.CATEGORY.fullmatch(category):
        data[key] = tk.missing
        return
    if given and not codes.CATALOG_CODE.fullmatch(given):
        raise tk.Invalid(tk._("Is not a catalogue code such as 101001/1"))
    if not given and value_of(data, "state") == "draft":
        data[key] = tk.missing
        return
    data[key] = _take(given, category, value_of(data, "name"))


def _take(given: str, category: str, name: str) -> str:
    session = model.Session
    prefix = given.partition("/")[0] or codes.catalog_prefix(category)
    session.execute(sa.text("SELECT pg_advisory_xact_lock(:a, hashtext(:b))"), {"a": SERIAL_LOCK % 2**31, "b": prefix})
    if given:
        serial = int(given.partition("/")[2])
        taken = session.query(CatalogCode).filter_by(category=prefix, serial=serial).first()
        if taken is not None:
            raise tk.Invalid(tk._("The catalogue code {code} has been assigned before").format(code=given))
    else:
        last = session.query(sa.func.max(CatalogCode.serial)).filter_by(category=prefix).scalar()
        serial = (last or 0) + 1
    code = f"{prefix}/{serial}"
    session.execute(sa.insert(CatalogCode.__table__).values(
        code=code, category=prefix, serial=serial, dataset_name=name,
    ))
    return code


def derive_access(key: Any, data: Data, errors: Data, context: Any) -> None:
    """``open`` or ``restricted``, from the resource's own attribute or the dataset's; never from the sender."""
    attribute = attribute_of(data, key[1])
    data[key] = "open" if attribute == "unconditional" else "restricted"


def attribute_of(data: Data, number: int) -> str:
    for place in (("resources", number, "open_attribute"), ("open_attribute",)):
        term = lists.find("open_attribute", data.get(place))
        if term:
            return term.value
    return "closed"


def consistent(key: Any, data: Data, errors: Data, context: Any) -> None:
    """Rules between fields (DOMAIN: CAT-01, CAT-11, CAT-12, CAT-14)."""
    attribute = value_of(data, "open_attribute")
    required = tk._("Required for data that is {attribute}").format(
        attribute=lists.label("open_attribute", attribute, text.language()) if attribute else ""
    )
    needs = {"conditional": CONDITIONAL_NEEDS, "closed": CLOSED_NEEDS}.get(attribute, ())
    for name in needs:
        if not value_of(data, name):
            refuse(errors, name, required)
    if value_of(data, "share_type") in ("conditional", "closed") and not value_of(data, "share_condition"):
        refuse(errors, "share_condition", tk._("Required when sharing is limited"))
    if attribute == "unconditional" and value_of(data, "has_personal_info") == "true":
        refuse(errors, "open_attribute", tk._("Data with personal information cannot be open without conditions"))
    start, end = value_of(data, "time_start"), value_of(data, "time_end")
    if start and end and start > end:
        refuse(errors, "time_end", tk._("The end lies before the beginning"))
    _check_fields(data, errors, value_of(data, "items"), attribute, value_of(data, "grade"), "items")
    for number in resource_numbers(data):
        described = data.get(("resources", number, "govopen_fields"))
        own = data.get(("resources", number, "grade"))
        grade = own if isinstance(own, str) and own else value_of(data, "grade")
        if isinstance(described, str) and described:
            _check_fields(data, errors, described, attribute_of(data, number), grade, "resources", number)
        if attribute_of(data, number) == "unconditional" and attribute == "closed":
            place = ("resources", number, "open_attribute")
            errors.setdefault(place, []).append(tk._("A dataset that is not open cannot have an open resource"))


def _check_fields(
    data: Data, errors: Data, described: str, attribute: str, grade: str, name: str, number: int | None = None
) -> None:
    """No field is graver than its dataset, nor, in open data, less open."""
    place = (name,) if number is None else (name, number, "govopen_fields")
    for item in read_items(described):
        own = item.get("grade")
        if own and grade in lists.GRADES and own in lists.GRADES and lists.graver(own, grade) != grade:
            errors.setdefault(place, []).append(
                tk._("Field {name} has a higher grade than the data as a whole").format(name=item.get("name")))
        if attribute == "unconditional" and item.get("open_attribute") not in (None, "unconditional"):
            errors.setdefault(place, []).append(
                tk._("Field {name} is not open without conditions, so the data as a whole cannot be").format(
                    name=item.get("name")))


def resource_numbers(data: Data) -> Iterator[int]:
    return iter(sorted({key[1] for key in data if len(key) > 2 and key[0] == "resources"}))


def seal_resources(key: Any, data: Data, errors: Data, context: Any) -> None:
    """A restricted resource holds a link to its apply page and nothing that leads to data (DESIGN: section 6)."""
    for number in resource_numbers(data):
        place = ("resources", number)
        given = data.get((*place, "url"))
        url = given if isinstance(given, str) else ""
        identity = data.get((*place, "id"))
        if attribute_of(data, number) == "unconditional":
            if isinstance(identity, str) and sealing.is_sentinel(url, identity):
                data[(*place, "url")] = ""
            continue
        if not isinstance(identity, str) or not identity:
            identity = data[(*place, "id")] = str(uuid.uuid4())
        before = model.Session.get(model.Resource, identity)
        was_open = before is not None and (before.extras or {}).get("govopen_access") != "restricted"
        if url and not sealing.is_sentinel(url, identity) and not was_open:
            errors.setdefault((*place, "url"), []).append(
                tk._("Restricted data is never kept here: leave the address empty and load the data afterwards"))
        _seal(data, place, identity)


def _seal(data: Data, place: tuple[Any, ...], identity: str) -> None:
    for found in [key for key in data if key[:2] == place and key[2] not in SEALED_KEYS]:
        del data[found]
    for name, value in BLANKED.items():
        data[(*place, name)] = value
    data[(*place, "url")] = sealing.sentinel(identity)
    description = data.get((*place, "description"))
    if isinstance(description, str):
        data[(*place, "description")] = re.sub(r"\s+$", "", description)
