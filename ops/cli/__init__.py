"""The command ``govopen``."""

from ops.cli.main import main

__all__ = ["main"]
