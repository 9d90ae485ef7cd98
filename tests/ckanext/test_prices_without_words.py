"""Prices as pages tell them: a document that is missing or says only a part of a price is no error of the server."""

from __future__ import annotations

import re
from typing import Any

import pytest

TIERS = [{"up_to": 100, "amount_fen": 20, "per": 10}, {"up_to": None, "amount_fen": 10, "per": 10}]
NOTHING = ("missing", {}, {"kind": "graduated", "meter": "rows"})


def told(app: Any, macro: str, price: Any, language: str = "zh_Hans_CN") -> str:
    """What a macro of the pages says of a price, as words."""
    file, _, name = macro.rpartition(":")
    with app.flask_app.test_request_context(environ_overrides={"CKAN_LANG": language}):
        app.flask_app.preprocess_request()
        made = getattr(app.flask_app.jinja_env.get_template(f"govopen/{file}.html").module, name)
        page = made(app.flask_app.jinja_env.undefined("pricing") if price == "missing" else price)
    return " ".join(re.sub("<[^>]*>", " ", str(page)).split())


@pytest.mark.parametrize("macro", ["my/parts:price", "staff/macros:pricing"])
def test_a_price_that_is_not_recorded_is_said_to_be_none(app: Any, migrated: None, macro: str) -> None:
    for price in NOTHING:
        assert told(app, macro, price) == "未记载价格。", price
        assert told(app, macro, price, "en") == "No price is recorded.", price


def test_what_of_a_price_is_there_is_told(app: Any, migrated: None) -> None:
    assert told(app, "my/parts:price", None, "en").startswith("Free of charge")
    assert told(app, "my/parts:price", {"flat_fen": 0}, "en").startswith("Free of charge")
    assert "A flat ¥1.00 a month." in told(app, "my/parts:price", {"flat_fen": 100}, "en")
    assert "¥0.20 / 10 rows" in told(app, "my/parts:price", {"tiers": TIERS}, "en")
    assert "Flat fee ¥0.00 a month" in told(app, "staff/macros:pricing", {"flat_fen": 0, "tiers": []}, "en")
    partly = told(app, "staff/macros:pricing", {"meter": "rows", "tiers": TIERS}, "en")
    assert "Flat fee" not in partly
    assert "up to 100 rows: ¥0.20 per 10 rows" in partly
