"""CKAN's configuration, written anew at each start; an operator's ``ckan.local.ini`` wins."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ops.stack import postgres
from ops.stack.home import Home

PLUGINS = ("activity", "datastore", "datatables_view", "text_view", "image_view")
SITE_TITLE = "公共数据开放与授权运营平台"

SITE = {
    "ckan.auth.route_after_login": "govopen_my.home",
    "ckanext.govopen.site_title_en": "Open Public Data",
    "ckanext.govopen.contact_unit": "示范市数据局",
    "ckanext.govopen.contact_phone": "0512-12000000",
    "ckanext.govopen.contact_email": "data@govopen.example",
    "ckanext.govopen.payee_name": "示范数据交易所",
    "ckanext.govopen.payee_bank": "示范银行示范市分行",
    "ckanext.govopen.payee_account": "0000 0000 0000 0000 000",
}
"""What a city sets for itself in ``ckan.local.ini``."""

LOGGING = """
[loggers]
keys = root, ckan, ckanext

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARNING
handlers = console

[logger_ckan]
level = WARNING
handlers = console
qualname = ckan
propagate = 0

[logger_ckanext]
level = INFO
handlers = console
qualname = ckanext
propagate = 0

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic

[formatter_generic]
format = %(asctime)s %(levelname)-5.5s [%(name)s] %(message)s
"""


def extension_folder() -> Path | None:
    """Where the plugin ``govopen`` is installed; None when it is not there."""
    try:
        spec = find_spec("ckanext.govopen")
    except ModuleNotFoundError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations)))
    return folder if (folder / "plugin.py").exists() or (folder / "plugin").is_dir() else None


def plugins() -> tuple[str, ...]:
    """Ours comes first, so that its templates and actions win over CKAN's own plugins'."""
    return ("govopen", *PLUGINS) if extension_folder() else PLUGINS


def settings(home: Home, site_url: str, port: int, ports: dict[str, int]) -> dict[str, str]:
    """Keys and values of ``[app:main]``."""
    def database(role: str, name: str) -> str:
        return postgres.url(home, ports["postgres"], role, name)

    return {
        "use": "egg:ckan",
        "debug": "false",
        "SECRET_KEY": home.secret("ckan_secret_key"),
        "WTF_CSRF_SECRET_KEY": home.secret("ckan_csrf"),
        "api_token.jwt.encode.secret": f"string:{home.secret('ckan_api_token')}",
        "api_token.jwt.decode.secret": f"string:{home.secret('ckan_api_token')}",
        "SESSION_TYPE": "redis",
        "SESSION_COOKIE_NAME": f"govopen_{port}",
        "REMEMBER_COOKIE_NAME": f"govopen_remember_{port}",
        "PERMANENT_SESSION_LIFETIME": "43200",
        "SESSION_COOKIE_SECURE": str(site_url.startswith("https")).lower(),
        "sqlalchemy.url": database("ckan", "ckan"),
        "sqlalchemy.pool_size": "5",
        "sqlalchemy.max_overflow": "10",
        "sqlalchemy.pool_pre_ping": "true",
        "ckan.datastore.write_url": database("datastore_rw", "datastore"),
        "ckan.datastore.read_url": database("datastore_ro", "datastore"),
        "ckan.datastore.sqlsearch.enabled": "true",
        "ckan.datastore.sqlalchemy.pool_size": "4",
        "ckan.datastore.sqlalchemy.pool_pre_ping": "true",
        "ckan.redis.url": redis_url(home, ports, 0),
        "solr_url": f"http://127.0.0.1:{ports['search']}/solr/ckan",
        "solr_user": "ckan",
        "solr_password": home.secret("search"),
        "ckan.site_id": "govopen",
        "ckan.site_url": site_url,
        "ckan.site_title": SITE_TITLE,
        **(SITE if extension_folder() else {}),
        "ckan.plugins": " ".join(plugins()),
        "ckan.views.default_views": "datatables_view text_view image_view",
        "ckan.storage_path": str(home.folder("files")),
        "ckan.webassets.path": str(home.folder("webassets")),
        "ckan.max_resource_size": "100",
        "ckan.locale_default": "zh_Hans_CN",
        "ckan.locales_offered": "zh_Hans_CN en",
        "ckan.locale_order": "zh_Hans_CN en",
        "ckan.display_timezone": "Asia/Shanghai",
        "ckan.hide_version": "true",
        "ckan.auth.anon_create_dataset": "false",
        "ckan.auth.create_unowned_dataset": "false",
        "ckan.auth.create_dataset_if_not_in_organization": "false",
        "ckan.auth.user_create_organizations": "false",
        "ckan.auth.user_create_groups": "false",
        "ckan.auth.user_delete_organizations": "false",
        "ckan.auth.user_delete_groups": "false",
        "ckan.auth.create_user_via_web": "true",
        "ckan.auth.create_user_via_api": "false",
        "ckan.auth.public_user_details": "false",
        "ckan.dataset.create_on_ui_requires_resources": "false",
        "ckan.jobs.timeout": "900",
        "ckan.gravatar_default": "disabled",
        "ckanext.govopen.service_url": f"http://127.0.0.1:{ports['service']}",
        "ckanext.govopen.token_key_file": str(home.token_private_key),
    }


def redis_url(home: Home, ports: dict[str, int], number: int) -> str:
    """Redis database ``number``: 0 is CKAN's, 1 the service's."""
    return f"redis://:{home.secret('redis')}@127.0.0.1:{ports['redis']}/{number}"


def local_settings(home: Home) -> dict[str, str]:
    """The operator's own lines; blank ones and comments are skipped."""
    try:
        lines = home.ckan_local_ini.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith(("#", ";")))
    return {key.strip(): value.strip() for key, _, value in pairs}


def write(home: Home, site_url: str, port: int, ports: dict[str, int]) -> None:
    merged = {**settings(home, site_url, port, ports), **local_settings(home)}
    lines = [f"{key} = {value.replace('%', '%%')}" for key, value in merged.items()]
    draft = home.ckan_ini.with_suffix(".tmp")
    draft.touch(0o600)
    draft.write_text("[app:main]\n" + "\n".join(lines) + "\n" + LOGGING, encoding="utf-8")
    draft.replace(home.ckan_ini)
