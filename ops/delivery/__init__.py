"""Delivery of data: one path for open and restricted data."""
