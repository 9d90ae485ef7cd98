"""Doubles and builders for tests and the demo city."""
