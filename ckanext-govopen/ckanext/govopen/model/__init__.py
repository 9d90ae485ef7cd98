"""Tables of the extension in CKAN's database; none refers to a table of CKAN's core."""

from ckanext.govopen.model.tables import CatalogCode, Outbox, Publication, Rating, ResourceFigures, Stale

__all__ = ["CatalogCode", "Outbox", "Publication", "Rating", "ResourceFigures", "Stale"]
