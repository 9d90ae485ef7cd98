"""Was this Python built with its optimizations? Without them the same work takes a fifth to two fifths longer.

As a script it is quiet and ends with 0 when it was, else with 1. ``ops/install.sh`` asks a Python that has nothing
installed, so this file imports nothing but the standard library.
"""

from __future__ import annotations

import sys
import sysconfig

DISTRIBUTION = "/usr"
"""Where Linux distributions put theirs, which are optimized; Debian's does not say so of itself."""


def is_optimized() -> bool:
    """Does it say of itself that it was, or come from where all are? True where nothing is told (Windows)."""
    options = sysconfig.get_config_var("CONFIG_ARGS")
    return options is None or "--enable-optimizations" in options or sys.base_prefix == DISTRIBUTION


if __name__ == "__main__":
    sys.exit(not is_optimized())
