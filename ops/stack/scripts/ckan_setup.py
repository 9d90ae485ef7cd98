"""Bring CKAN's database to its newest state and make the first administrator, in one process of CKAN's own.

Usage: ``python ckan_setup.py`` with CKAN_INI, GOVOPEN_SYSADMIN and GOVOPEN_SYSADMIN_PASSWORD_FILE in the
environment. Safe to repeat. Imports nothing of ours.
"""

import os
from logging.config import fileConfig
from pathlib import Path

import ckan.model as model
import ckan.plugins.toolkit as tk
from ckan.cli import CKANConfigLoader
from ckan.cli.db import _migrate_plugins, _run_migrations
from ckan.config.middleware import make_app


def main() -> None:
    ini = os.environ["CKAN_INI"]
    fileConfig(ini, disable_existing_loggers=False)
    app = make_app(CKANConfigLoader(ini).get_config())
    with app._wsgi_app.test_request_context():
        _run_migrations("")
        _migrate_plugins(apply=True)
        make_sysadmin(os.environ["GOVOPEN_SYSADMIN"], os.environ["GOVOPEN_SYSADMIN_PASSWORD_FILE"])


def make_sysadmin(name: str, password_file: str) -> None:
    if model.User.get(name) is not None:
        return
    site_user = tk.get_action("get_site_user")({"ignore_auth": True}, {})
    tk.get_action("user_create")(
        {"ignore_auth": True, "user": site_user["name"]},
        {
            "name": name,
            "email": f"{name}@localhost.localdomain",
            "password": Path(password_file).read_text(encoding="ascii").strip(),
            "fullname": "系统管理员",
        },
    )
    user = model.User.get(name)
    user.sysadmin = True
    model.Session.commit()


if __name__ == "__main__":
    main()
