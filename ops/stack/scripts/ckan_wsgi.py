"""CKAN as a WSGI application for the production server. Runs in CKAN's processes; imports nothing of ours."""

import ctypes
import os
import signal
import sys
from logging.config import fileConfig
from typing import Any

if sys.platform == "linux":
    # A server's worker must not outlive the server's main process (PR_SET_PDEATHSIG = 1).
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)

if "pygments" not in sys.modules:
    # Mako, which CKAN has for its migrations, would bring it along to color pages of errors: 5 MB.
    sys.modules["mako.ext.pygmentplugin"] = None  # type: ignore[assignment]

import sqlalchemy as sa
from ckan import model
from ckan.cli import CKANConfigLoader
from ckan.config.middleware import make_app

_ini = os.environ["CKAN_INI"]
fileConfig(_ini, disable_existing_loggers=False)
ALIAS = sa.text('SELECT alias_of FROM "_table_metadata" WHERE name = :id')
application = make_app(CKANConfigLoader(_ini).get_config())


def _mend_datastore() -> None:
    """Read the row before its connection goes back to the pool.

    CKAN 2.12.0 reads it afterwards: when another thread has taken the connection by then, ``datastore_search`` answers
    500 ("cursor already closed"), one request in twenty at sixteen callers.
    """
    postgres = sys.modules.get("ckanext.datastore.backend.postgres")
    if postgres is None:
        return

    def resource_id_from_alias(self: Any, alias: str) -> tuple[bool, str | None]:
        with self._get_read_engine().connect() as connection:
            row = connection.execute(ALIAS, {"id": alias}).fetchone()
        return row is not None, row[0] if row else None

    postgres.DatastorePostgresqlBackend.resource_id_from_alias = resource_id_from_alias


def _let_go() -> None:
    """Close the connections that the start needed; requests open as many as they use. Each costs some 20 MB."""
    model.meta.engine.dispose()
    postgres = sys.modules.get("ckanext.datastore.backend.postgres")
    for engine in postgres._engines.values() if postgres else ():
        engine.dispose()


_mend_datastore()
_let_go()
