"""Run a command beside PostgreSQL, Redis and search, with an ini for CKAN's own test plugins.

``python -m ops.stack.testenv [--plugins "a b"] [--set KEY=VALUE] -- CMD …`` gives CMD the variables
GOVOPEN_TEST_INI (also CKAN_INI), GOVOPEN_TEST_POSTGRES, GOVOPEN_TEST_REDIS and GOVOPEN_TEST_SOLR, what CKAN needs
to find libmagic, and ends with CMD's exit code. ``{ini}`` in CMD stands for the ini's path.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from ops.stack import ckan_ini, postgres
from ops.stack.home import Home, choose_ports
from ops.stack.parts import Plan, ckan_env, store_parts
from ops.stack.supervisor import StartFailed, Supervisor

PLUGINS = "govopen activity datastore datatables_view text_view image_view"
PASSED_ON = ("LD_LIBRARY_PATH", "MAGIC", "CKAN_INI", "no_proxy", "NO_PROXY")

CORE_TEST_SETTINGS = {
    "testing": "true",
    "ckan.site_url": "http://test.ckan.net",
    "ckan.site_id": "test.ckan.net",
    "ckan.site_title": "CKAN",
    "ckan.locale_default": "en",
    "ckan.locales_offered": "",
    "ckan.locale_order": "",
    "ckan.display_timezone": "UTC",
    "ckan.auth.anon_create_dataset": "false",
    "ckan.auth.user_create_organizations": "true",
    "ckan.auth.user_create_groups": "true",
    "ckan.auth.user_delete_groups": "true",
    "ckan.auth.user_delete_organizations": "true",
    "ckan.auth.create_user_via_api": "false",
    "ckan.auth.create_user_via_web": "true",
    "ckan.auth.create_dataset_if_not_in_organization": "true",
    "ckan.auth.create_unowned_dataset": "true",
    "ckan.auth.public_user_details": "true",
    "ckan.dataset.create_on_ui_requires_resources": "true",
    "ckan.gravatar_default": "identicon",
    "ckan.hide_version": "false",
    "ckan.max_resource_size": "10",
    "ckan.views.default_views": "",
    "SESSION_TYPE": "cookie",
    "SESSION_COOKIE_NAME": "ckan",
    "REMEMBER_COOKIE_NAME": "remember_token",
    "smtp.server": "localhost:6675",
    "smtp.mail_from": "info@test.ckan.net",
}
"""As CKAN's own test-core.ini has them (its wheel does not carry that file)."""


def write_ini(plan: Plan, plugins: str, extra: list[str]) -> Path:
    """An ini like CKAN's test-core.ini, pointed at the stores of ``plan``."""
    known = set(plugins.split())
    settings = {
        **ckan_ini.settings(plan.home, plan.site_url, plan.port, plan.ports), **CORE_TEST_SETTINGS,
        "ckan.plugins": plugins, **dict(line.split("=", 1) for line in extra),
    }
    if "datastore" not in known:
        settings = {key: value for key, value in settings.items() if not key.startswith("ckan.datastore.sqlalchemy")}
    ini = plan.home.path / "test.ini"
    lines = [f"{key.strip()} = {value.strip().replace('%', '%%')}" for key, value in settings.items()]
    ini.touch(0o600)
    ini.write_text("[app:main]\n" + "\n".join(lines) + "\n" + ckan_ini.LOGGING, encoding="utf-8")
    return ini


def _variables(plan: Plan, ini: Path) -> dict[str, str]:
    ckan = ckan_env(plan, "test")
    return {
        **os.environ, **{name: value for name, value in ckan.items() if name in PASSED_ON},
        "CKAN_INI": str(ini), "GOVOPEN_TEST_INI": str(ini),
        "GOVOPEN_TEST_POSTGRES": postgres.url(plan.home, plan.ports["postgres"], "postgres", "postgres"),
        "GOVOPEN_TEST_REDIS": ckan_ini.redis_url(plan.home, plan.ports, 2),
        "GOVOPEN_TEST_SOLR": f"http://ckan:{plan.home.secret('search')}@127.0.0.1:{plan.ports['search']}/solr/ckan",
    }


async def _run(plan: Plan, command: list[str], ini: Path) -> int:
    supervisor = Supervisor(plan.home, store_parts(plan), {"home": str(plan.home.path), "ports": plan.ports})
    running = asyncio.create_task(supervisor.run())
    ready = asyncio.create_task(supervisor.all_ready())
    await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
    code = 1
    try:
        if not running.done():
            words = [word.replace("{ini}", str(ini)) for word in command]
            process = await asyncio.create_subprocess_exec(*words, env=_variables(plan, ini))
            stopped = asyncio.create_task(supervisor.stopping.wait())
            ended = asyncio.create_task(process.wait())
            await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                process.terminate()
            code = await ended
    finally:
        ready.cancel()
        supervisor.stopping.set()
        await running
    return code


def main(argv: list[str] | None = None) -> int:
    given = list(sys.argv[1:] if argv is None else argv)
    cut = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(prog="python -m ops.stack.testenv", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--plugins", default=PLUGINS, help="ckan.plugins of the ini")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a further line of the ini")
    arguments = parser.parse_args(given[:cut])
    command = given[cut + 1 :]
    if not command:
        parser.error("no command after --")
    folder = Path(tempfile.mkdtemp(prefix="govopen-testenv-"))
    home = Home.at(folder)
    try:
        home.prepare()
        plan = Plan(home, 5000, choose_ports({}), "http://test.ckan.net")
        return asyncio.run(_run(plan, command, write_ini(plan, arguments.plugins, arguments.set)))
    except StartFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
