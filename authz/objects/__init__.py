"""The catalogue of data objects that ``authz`` decides about: facts by version, and the secret location."""

from authz.objects.store import STAMP, delete, get, history, last_known, listed, lock, put, set_location

__all__ = ["STAMP", "delete", "get", "history", "last_known", "listed", "lock", "put", "set_location"]
