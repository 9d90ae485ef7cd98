"""Template helpers: every function of the modules here whose name begins with ``govopen_`` is one."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

HELPERS: dict[str, Callable[..., Any]] = {}

for _found in sorted(iter_modules(__path__), key=lambda module: module.name):
    _module = import_module(f"{__name__}.{_found.name}")
    for _name, _value in vars(_module).items():
        if _name.startswith("govopen_") and callable(_value):
            HELPERS[_name] = _value
