"""CKAN's connection to the search service, with its password in a header.

CKAN writes the password into the address, and pysolr quotes the address in the errors that CKAN shows to an editor
when the service is away, and in its log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import ckan.plugins.toolkit as tk
import pysolr
import simplejson
from ckan.lib import search
from ckan.lib.search import common, index, query


def parts() -> tuple[str, tuple[str, str] | None]:
    """The service's address without a password, and the account; one in the address itself is taken from there."""
    given = urlsplit(str(tk.config["solr_url"]))
    address = urlunsplit(given._replace(netloc=given.netloc.rpartition("@")[2]))
    user, password = tk.config.get("solr_user"), tk.config.get("solr_password")
    if not (user and password):
        user, password = unquote(given.username or ""), unquote(given.password or "")
    return address, (str(user), str(password)) if user and password else None


def make_connection(decode_dates: bool = True) -> pysolr.Solr:
    """As CKAN's own, but for where the password stands."""
    address, account = parts()
    reading: dict[str, Any] = (
        {"decoder": simplejson.JSONDecoder(object_hook=common.solr_datetime_decoder)} if decode_dates else {})
    return pysolr.Solr(address, timeout=tk.config.get("solr_timeout"), auth=account, **reading)


def install() -> None:
    """Take the place of CKAN's own wherever it is called; a test's or a rebuild's replacement stays."""
    replaced: Callable[..., Any] = common.make_connection
    for module in (search, common, index, query):
        if getattr(module, "make_connection", None) is replaced:
            module.make_connection = make_connection
