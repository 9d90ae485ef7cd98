"""A catalogue to search in, one for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.search.testing import Catalogue


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    opened = Catalogue(tmp_path_factory.mktemp("search"))
    yield opened
    opened.close()
