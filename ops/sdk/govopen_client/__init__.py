"""Client of a GovOpen site: rows, files, Arrow tables, lookups, verification, analyses, usage and export jobs."""

from .asynchronous import AsyncClient, AsyncDataset, AsyncExport
from .faults import (
    ApiError,
    ChecksumMismatch,
    ConnectionLost,
    Denied,
    ExportFailed,
    GovOpenError,
    IncompleteDownload,
    Invalid,
    NotAuthenticated,
    NotThere,
    QuotaExhausted,
    RateLimited,
    Unavailable,
)
from .sync import Client, Dataset, Export
from .values import Analysis, Downloaded, ExportState, Lookup, Row

__version__ = "0.1.0"
__all__ = [
    "Analysis",
    "ApiError",
    "AsyncClient",
    "AsyncDataset",
    "AsyncExport",
    "ChecksumMismatch",
    "Client",
    "ConnectionLost",
    "Dataset",
    "Denied",
    "Downloaded",
    "Export",
    "ExportFailed",
    "ExportState",
    "GovOpenError",
    "IncompleteDownload",
    "Invalid",
    "Lookup",
    "NotAuthenticated",
    "NotThere",
    "QuotaExhausted",
    "RateLimited",
    "Row",
    "Unavailable",
]
