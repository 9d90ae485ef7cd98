"""Solr 9 as the peer of the search service: same schema, same requests, genuine answers."""

from ops.bench.peers.solr.jars import Unavailable, version
from ops.bench.peers.solr.node import available, running, start, stop

__all__ = ["Unavailable", "available", "running", "start", "stop", "version"]
