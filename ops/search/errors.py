"""Refusals of the search service, in Solr's shape: ``{"error": {"msg": ..., "code": ...}}``."""

from __future__ import annotations


class SearchFault(Exception):
    """A request that cannot be answered; ``code`` is the HTTP status."""

    def __init__(self, message: str, code: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class TooMuch(SearchFault):
    """A request that would cost too much; no part of it is answered."""


class NoRoom(SearchFault):
    def __init__(self) -> None:
        super().__init__("There is no room on the disk: nothing was written", 507)


class QuerySyntaxFault(SearchFault):
    """A query text that Lucene's grammar does not know."""

    def __init__(self, text: str, problem: str) -> None:
        shown = text if len(text) <= 200 else text[:200] + "…"
        super().__init__(f"org.apache.solr.search.SyntaxError: Cannot parse '{shown}': {problem}")


def unsupported(what: str) -> SearchFault:
    """This service is CKAN's view of an index, not a general Solr: say so instead of guessing."""
    return SearchFault(f"{what} is not supported by this search service (see ops/search/README.md)")
