"""Webhooks: what concerns a grant, told to addresses that its holder named; at least once, signed, never inwards."""

from ops.delivery.webhooks.send import deliver_webhooks

__all__ = ["deliver_webhooks"]
