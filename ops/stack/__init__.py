"""The embedded stack: every part of the platform on one machine, under one supervisor."""

from ops.stack.control import Stack, StackError, down, find, up
from ops.stack.home import Home

__all__ = ["Home", "Stack", "StackError", "down", "find", "up"]
