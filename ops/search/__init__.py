"""The search service: the part of Solr's HTTP protocol that CKAN speaks, on tantivy.

Run it with ``python -m ops.search --home DIR --port N``; see README.md in this folder.
"""

from ops.search.app import build_search_app
from ops.search.engine import Engine
from ops.search.errors import SearchFault

__all__ = ["Engine", "SearchFault", "build_search_app"]
