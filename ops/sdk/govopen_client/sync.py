"""The synchronous client."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx

from . import requests
from .asking import Ask, Filters, Patience, headers_for
from .faults import ApiError, ConnectionLost, ExportFailed, GovOpenError, IncompleteDownload, fault_of
from .saving import Saving
from .values import Analysis, Downloaded, ExportState, Lookup, Row

if TYPE_CHECKING:
    import pyarrow


class Client:
    """A site and how to be known to it: ``key`` of a grant for data, ``token`` of a person for usage.

    ``language`` ("zh" or "en") is that of the sentences in faults; ``timeout_s`` the longest silence of the site.
    """

    def __init__(
        self,
        site: str,
        *,
        key: str | None = None,
        token: str | None = None,
        language: str = "zh",
        tries: int = 5,
        wait_max_s: float = 60.0,
        timeout_s: float = 90.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.patience = Patience(tries, wait_max_s)
        self.metered = key is not None
        self._http = httpx.Client(
            base_url=site, headers=headers_for(key, token, language), timeout=timeout_s, transport=transport
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def dataset(self, resource_id: str) -> Dataset:
        """One data resource, by the id in its address."""
        return Dataset(self, resource_id)

    def usage(self, grant_id: str, days: int = 31) -> dict[str, Any]:
        """Sums by day and month and what the quota leaves; needs the ``token`` of a member of the grant's party."""
        return dict(self.ask_json(requests.usage(grant_id, days)))

    def usage_events(self, grant_id: str, period: str | None = None) -> Iterator[dict[str, Any]]:
        """Every metered event (CloudEvents), of a month ("2026-11") or of all time."""
        cursor = None
        while True:
            page = self.ask_json(requests.events(grant_id, period, cursor))
            yield from page["items"]
            cursor = page.get("next")
            if cursor is None:
                return

    def ask_json(self, ask: Ask) -> Any:
        return self.ask(ask).json()

    def ask(self, ask: Ask) -> httpx.Response:
        """The answer, read; waits and tries again where nothing can have been counted."""
        with self.stream(ask) as response:
            try:
                response.read()
            except httpx.TransportError as fault:
                raise ConnectionLost(f"{ask.method} {ask.path}: {type(fault).__name__}") from fault
            return response

    @contextlib.contextmanager
    def stream(self, ask: Ask) -> Iterator[httpx.Response]:
        """The answer's head; its body is the caller's to read."""
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._send(ask)
                break
            except GovOpenError as fault:
                wait = self.patience.wait_after(ask, fault, attempt)
                if wait is None:
                    raise
                time.sleep(wait)
        try:
            yield response
        finally:
            response.close()

    def _send(self, ask: Ask) -> httpx.Response:
        request = self._http.build_request(
            ask.method, ask.path, params=list(ask.params) or None, json=ask.json, headers=dict(ask.headers)
        )
        try:
            response = self._http.send(request, stream=True)
            if response.status_code >= 300:
                response.read()
        except httpx.TransportError as fault:
            raise ConnectionLost(f"{ask.method} {ask.path}: {type(fault).__name__}") from fault
        if response.status_code >= 300:
            raise fault_of(response)
        return response

    def save(self, ask: Ask, path: str | Path) -> Downloaded:
        """Into a file; goes on after a break where the site can."""
        saving, attempt = Saving(Path(path)), 0
        while True:
            attempt += 1
            wanted = replace(ask, headers=saving.headers())
            try:
                with self.stream(wanted) as got:
                    saving.begin(got)
                    for block in got.iter_raw():
                        saving.write(block)
                    return saving.finish()
            except httpx.TransportError as fault:
                if not saving.pause() or attempt >= self.patience.tries:
                    raise IncompleteDownload(f"{ask.path} broke off") from fault
            except ApiError as fault:
                if fault.status != 416 or attempt >= self.patience.tries:
                    raise
                saving.discard()
            time.sleep(self.patience.pause_s)


class Dataset:
    """One data resource. Under a grant every page, lookup and download is one metered call."""

    def __init__(self, client: Client, resource_id: str) -> None:
        self.client, self.resource_id = client, resource_id

    def schema(self) -> dict[str, Any]:
        """Fields with types, grades, and the masks that apply to this caller. Not metered."""
        return dict(self.client.ask_json(requests.schema(self.resource_id)))

    def files(self) -> dict[str, Any]:
        """Every format with size, checksum and rows where its file is ready. Not metered."""
        return dict(self.client.ask_json(requests.files(self.resource_id)))

    def rows(
        self,
        *,
        columns: Sequence[str] | None = None,
        filters: Filters | None = None,
        purpose: str | None = None,
        page_rows: int = 1_000,
        most: int | None = None,
    ) -> Iterator[Row]:
        """All rows in a stable order, page by page; ``most`` ends it earlier.

        Each page is a metered call under a grant. When the data is replaced meanwhile, ``Invalid`` with code
        ``cursor_stale`` is raised: what was read so far is of the old version.
        """
        cursor, left = None, most
        while left is None or left > 0:
            size = page_rows if left is None else min(page_rows, left)
            page = self.client.ask_json(
                requests.page(self.resource_id, columns, filters, purpose, size, cursor, self.client.metered)
            )
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return
            left = None if left is None else left - len(page["items"])

    def download(
        self,
        path: str | Path,
        *,
        format: str = "csv",
        columns: Sequence[str] | None = None,
        filters: Filters | None = None,
        purpose: str | None = None,
        limit: int | None = None,
        sort: str | None = None,
    ) -> Downloaded:
        """Everything into a file: resumed and compared with the checksum where the site keeps files (open data)."""
        return self.client.save(
            requests.download(
                self.resource_id, format, columns, filters, purpose, self.client.metered, limit=limit, sort=sort
            ),
            path,
        )

    def arrow(
        self,
        *,
        columns: Sequence[str] | None = None,
        filters: Filters | None = None,
        purpose: str | None = None,
        limit: int | None = None,
    ) -> pyarrow.Table:
        """Everything as an Arrow table; needs pyarrow. One metered call under a grant."""
        import pyarrow as pa

        ask = requests.download(self.resource_id, "arrow", columns, filters, purpose, self.client.metered, limit=limit)
        return pa.ipc.open_stream(self.client.ask(ask).content).read_all()

    def lookup(
        self, key: str, values: Sequence[Any], *, columns: Sequence[str] | None = None, purpose: str | None = None
    ) -> Lookup:
        """Rows that have one of up to 1,000 values in the field ``key``. One metered call."""
        answer = self.client.ask(requests.lookup(self.resource_id, key, values, columns, purpose, self.client.metered))
        found = answer.json()
        return Lookup(found["items"], found["not_found"], answer.headers.get("x-govopen-usage-id"))

    def verify(self, checks: Iterable[Mapping[str, Any]], *, purpose: str | None = None) -> list[dict[str, Any]]:
        """Yes or no on given values: ``{"match": {"uscc": "…"}, "claims": {"name": "…"}}`` each."""
        return list(self.client.ask_json(requests.verify(self.resource_id, checks, purpose))["results"])

    def analysis(self, sql: str, *, purpose: str | None = None) -> Analysis:
        """Aggregates over rows that stay where they are; the table is called ``data``."""
        return Analysis(self.client.ask_json(requests.analysis(self.resource_id, sql, purpose)))

    def export(
        self,
        *,
        format: str = "csv",
        columns: Sequence[str] | None = None,
        filters: Filters | None = None,
        purpose: str | None = None,
        idempotency_key: str | None = None,
    ) -> Export:
        """Have a file made in the background. Its rows are metered once; fetching the file is not."""
        ask = requests.export(self.resource_id, format, columns, filters, purpose, idempotency_key)
        return Export(self.client, self.resource_id, ExportState.read(self.client.ask_json(ask)))

    def export_of(self, export_id: str) -> Export:
        """A job that was begun before."""
        found = self.client.ask_json(Ask("GET", requests.export_path(self.resource_id, export_id)))
        return Export(self.client, self.resource_id, ExportState.read(found))


class Export:
    """An export job; ``state`` is as of the last look."""

    def __init__(self, client: Client, resource_id: str, state: ExportState) -> None:
        self.client, self.resource_id, self.state = client, resource_id, state
        self._path = requests.export_path(resource_id, state.id)

    def refresh(self) -> ExportState:
        self.state = ExportState.read(self.client.ask_json(Ask("GET", self._path)))
        return self.state

    def wait(self, timeout_s: float = 3_600.0, every_s: float = 2.0) -> Export:
        """Until the file is ready. Raises ExportFailed, or TimeoutError while the job goes on."""
        ends = time.monotonic() + timeout_s
        while not self.state.ended:
            if time.monotonic() >= ends:
                raise TimeoutError(f"the export {self.state.id} is still {self.state.state}")
            time.sleep(every_s)
            self.refresh()
        if self.state.state != "ready":
            raise ExportFailed(self.state.state, self.state.error)
        return self

    def download(self, path: str | Path) -> Downloaded:
        """The file: resumed after breaks, compared with its checksum, not metered."""
        return self.client.save(Ask("GET", f"{self._path}/file"), path)

    def manifest(self) -> str:
        """What the file is, signed by the site (JWS)."""
        return str(self.client.ask(Ask("GET", f"{self._path}/manifest")).text)

    def delete(self) -> ExportState:
        """Cancel the job, or delete its file."""
        self.state = ExportState.read(self.client.ask_json(Ask("DELETE", self._path)))
        return self.state
