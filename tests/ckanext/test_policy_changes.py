"""What a proposed policy would change, in words: why it denies, and what differs between two permits."""

from __future__ import annotations

from typing import Any

import pytest
from ckanext.govopen.views.staff_policies import told

PERMIT = {"effect": "permit", "reasons": [], "sentences": [], "columns": ["name", "phone"],
          "masks": {"phone": "partial:phone"}}
DENIAL = {"effect": "deny", "reasons": ["object_closed"], "columns": [], "masks": {},
          "sentences": [{"code": "object_closed", "zh": "该数据不予开放。", "en": "This data is closed."}]}


@pytest.mark.parametrize(("after", "said"), [
    (DENIAL, ([], ["This data is closed."])),
    ({**PERMIT, "columns": ["name"], "masks": {}}, (["only here: phone"], [])),
    ({**PERMIT, "masks": {}}, (["phone: Cover partly · phone number"], ["phone: as it is"])),
    ({**PERMIT, "masks": {"phone": "hash"}}, (["phone: Cover partly · phone number"], ["phone: Hash"])),
    (PERMIT, ([], ["other duties than before"])),
], ids=["denied", "a field less", "a mask less", "another mask", "neither"])
def test_both_sides_say_what_the_other_does_not(
    app: Any, migrated: None, after: dict[str, Any], said: tuple[list[str], list[str]]
) -> None:
    with app.flask_app.test_request_context(environ_overrides={"CKAN_LANG": "en"}):
        app.flask_app.preprocess_request()
        found = told({"grant_id": "g", "channel": "api", "before": PERMIT, "after": after})
    assert (found["before"]["lines"], found["after"]["lines"]) == said
    assert found["grant_id"] == "g"
