"""Pages and guards: every module here with a ``blueprint`` (or a list ``BLUEPRINTS``) is registered."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from flask import Blueprint

BLUEPRINTS: list[Blueprint] = []

for _found in sorted(iter_modules(__path__), key=lambda module: module.name):
    _module = import_module(f"{__name__}.{_found.name}")
    if hasattr(_module, "BLUEPRINTS"):
        BLUEPRINTS.extend(_module.BLUEPRINTS)
    elif hasattr(_module, "blueprint"):
        BLUEPRINTS.append(_module.blueprint)
