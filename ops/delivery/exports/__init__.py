"""Export jobs: large restricted requests made into files in the background, metered once."""

from ops.delivery.exports.make import clear_exports, make_exports

__all__ = ["clear_exports", "make_exports"]
