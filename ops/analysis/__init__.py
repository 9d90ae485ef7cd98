"""Usable but not visible 可用不可见: aggregates over restricted rows, and yes or no on given values."""
