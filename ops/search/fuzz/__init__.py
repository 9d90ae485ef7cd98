"""Hostile requests: no crash, nothing from behind the labels, work that grows no faster than the request."""
