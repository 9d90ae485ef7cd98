"""Delivery of data: one path for open and restricted data."""

from ops.delivery.parts import close_delivery, delivery_of

__all__ = ["close_delivery", "delivery_of"]
