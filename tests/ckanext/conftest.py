"""A migrated CKAN for the run, a double of the service per test, and people to act as."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
from ckan import model, plugins
from ckan.common import config
from ckan.lib import app_globals
from ckan.tests import factories, helpers
from ckan.tests.pytest_ckan import ckan_setup
from ckanext.govopen.testing import ServiceDouble
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

Call = Callable[..., Any]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ckan_config(key, value): a setting of CKAN for one test")


@pytest.fixture(scope="session")
def token_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private key that signs tokens for the service."""
    file = tmp_path_factory.mktemp("keys") / "token.pem"
    key = Ed25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file


@pytest.fixture(scope="session")
def prepared() -> dict[str, Any]:
    """What has been made once for the run."""
    return {}


@pytest.fixture(scope="session")
def loaded() -> Any:
    """The plugins and one application for the whole run, as CKAN takes a second to make them for every test anew.

    What plugins put into the configuration becomes a part of that to which CKAN's plugin returns before every test.
    """
    plugins.load_all()
    made = helpers._get_test_app()
    ckan_setup._config = config.copy()
    yield made.app
    plugins.unload_all()


@pytest.fixture
def with_plugins(loaded: Any, ckan_config: Any) -> None:
    """The plugins of the run, in the place of CKAN's fixture that loads them again."""


@pytest.fixture
def app(loaded: Any, ckan_config: Any) -> Any:
    """A client of the application without cookies from other tests."""
    app_globals._CONFIG_CACHE.clear()
    return helpers.CKANTestApp(loaded)


@pytest.fixture
def migrated(
    with_plugins: Any, prepared: dict[str, Any], reset_db: Any, reset_index: Any, migrate_db_for: Any
) -> None:
    """An empty database with the extension's tables and those of the plugins it runs beside."""
    if not prepared:
        reset_db()
        migrate_db_for("activity")
        migrate_db_for("govopen")
        reset_index()
        prepared["database"] = True


@pytest.fixture
def service(
    migrated: None, ckan_config: Any, monkeypatch: pytest.MonkeyPatch, token_key: Path
) -> Iterator[ServiceDouble]:
    """The double, with CKAN pointed at it."""
    double = ServiceDouble()
    monkeypatch.setitem(ckan_config, "ckanext.govopen.service_url", double.url)
    monkeypatch.setitem(ckan_config, "ckanext.govopen.token_key_file", str(token_key))
    yield double
    double.stop()


@pytest.fixture
def people(service: ServiceDouble, prepared: dict[str, Any]) -> dict[str, Any]:
    """A department with its editor, an editor of another department, somebody else and a system administrator.

    They are made once for the run, as making a user's password takes long.
    """
    if "people" not in prepared:
        editor, stranger, outsider = factories.User(), factories.User(), factories.User()
        own = factories.Organization(
            users=[{"name": editor["name"], "capacity": "editor"}], name=f"org-{uuid.uuid4().hex[:8]}",
            title="民政局",
        )
        other = factories.Organization(
            users=[{"name": stranger["name"], "capacity": "editor"}], name=f"org-{uuid.uuid4().hex[:8]}",
        )
        prepared["people"] = {
            "editor": editor, "stranger": stranger, "outsider": outsider, "sysadmin": factories.Sysadmin(),
            "org": own, "other_org": other,
        }
    found: dict[str, Any] = prepared["people"]
    return found


@pytest.fixture
def act(people: dict[str, Any]) -> Call:
    """Call an action with its permissions checked: ``act("editor", "package_create", **data)``."""

    def call(who: str | None, action: str, **data: Any) -> Any:
        name = people[who]["name"] if who else ""
        context = {"user": name, "ignore_auth": False}
        return tk.get_action(action)(context, data)

    return call


@pytest.fixture
def write(people: dict[str, Any]) -> Iterator[Callable[..., str]]:
    """Put a dataset into CKAN's tables as it is given, past all checks; the test's end takes it back."""

    def put(resources: Any = (), tags: Any = (), groups: Any = (), **columns: Any) -> str:
        name = f"raw-{uuid.uuid4().hex[:10]}"
        package = model.Package(**{"name": name, "title": name, "owner_org": people["org"]["id"], **columns})
        model.Session.add(package)
        model.Session.flush()
        for position, one in enumerate(resources):
            made = model.Resource(package_id=package.id, extras=one.get("extras"))
            for key, value in {"position": position, "state": "active", **one}.items():
                setattr(made, key, value)
            model.Session.add(made)
        for tag in tags:
            package.add_tag_by_name(tag)
        for group in groups:
            model.Session.add(model.Member(
                group_id=group, table_id=package.id, table_name="package", capacity="public", state="active"))
        model.Session.flush()
        model.Session.expire_all()
        return str(package.id)

    yield put
    model.Session.rollback()
    model.Session.remove()


@pytest.fixture
def headers_of(people: dict[str, Any]) -> Callable[[str | None], dict[str, str]]:
    """Headers of a request by a person's API token; none for the anonymous."""

    def make(who: str | None) -> dict[str, str]:
        if who is None:
            return {}
        token = tk.get_action("api_token_create")(
            {"ignore_auth": True, "user": people[who]["name"]}, {"user": people[who]["name"], "name": "test"}
        )
        return {"Authorization": token["token"]}

    return make
