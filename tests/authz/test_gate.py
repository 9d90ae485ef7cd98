"""The publish gate and its scanner: checksums, places without values, denial when the engine fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric

from authz import Effect, OpenAttribute, PublishGateRefused, scan
from authz.gate import Finding, Scan, check
from authz.gate.scanner import PLACES_MAX, luhn
from authz.model import Grade, Mask
from authz.pdp.engine import EngineFailure
from authz.testing import a_register, an_open_table


def id_number(serial: int, born: str = "19900307") -> str:
    """A made identity number with a valid check digit."""
    head = f"330106{born}{serial:03d}"
    return head + ric.calc_check_digit(head + "0")


def kinds(**row: Any) -> dict[str, list[str]]:
    return scan([row]).by_column()


@pytest.mark.parametrize("value", [
    id_number(1), id_number(2).lower(), f"身份证：{id_number(3)}，请核对", "330106 19900307 001" + id_number(1)[-1],
    id_number(4).translate(str.maketrans("0123456789", "０１２３４５６７８９")),
])
def test_identity_numbers_are_found(value: str) -> None:
    assert "id_number" in kinds(a=value)["a"]


def test_a_wrong_check_digit_or_date_is_no_identity_number() -> None:
    good = id_number(1)
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    assert kinds(a=wrong, b=good[:6] + "19901399" + good[14:], c="9" * 18) == {}


@pytest.mark.parametrize("value", [
    "13812345678", "+86 138-1234-5678", "电话 13812345678。", 13812345678, "138 1234 5678",
])
def test_phones_are_found(value: Any) -> None:
    assert kinds(a=value) == {"a": ["phone"]}


@pytest.mark.parametrize("value", ["12812345678", "138123456789", "0571-85023456", "x13812345678", 3.13812345678])
def test_other_numbers_are_no_phones(value: Any) -> None:
    assert kinds(a=value) == {}


def test_bank_cards_need_luhn_in_half_of_a_column() -> None:
    assert luhn("6222021234567894128") is luhn("6222021234567894128")
    cards = [f"62220212345678{n:04d}" for n in range(2_000)]
    valid = [one for one in cards if luhn(one)]
    assert 150 < len(valid) < 250
    assert scan([{"a": one} for one in valid[:5]]).by_column() == {"a": ["bank_card"]}
    assert scan([{"a": one} for one in cards]).by_column() == {}


def test_notes_do_not_count_as_personal() -> None:
    found = scan([{"mail": "office@example.gov.cn"}], [("tel", "联系电话"), ("mail", "邮箱")])
    assert found.by_column() == {"mail": ["email"], "tel": ["column_name"]}


def test_findings_name_places_and_never_values() -> None:
    number = id_number(7)
    found = scan([{"a": "x"}, {"a": None, "b": f"{number} 13812345678"}])
    assert found.rows == 2
    assert set(found.findings) == {Finding("id_number", 2, "b"), Finding("phone", 2, "b")}
    assert number not in repr(found)
    assert "13812345678" not in repr(found)


def test_places_are_few_and_counts_are_whole() -> None:
    found = scan([{"a": "13812345678"}] * 50)
    assert len(found.findings) == PLACES_MAX
    assert found.counts == {("a", "phone"): 50}


@given(st.lists(st.dictionaries(st.text(max_size=3), st.none() | st.text() | st.integers() | st.floats()), max_size=5))
def test_the_scanner_takes_anything(rows: list[dict[str, Any]]) -> None:
    scan(rows)


# --- the gate -------------------------------------------------------------------------------------------------------

async def test_what_fits_passes() -> None:
    for data in (a_register(), an_open_table()):
        decision = await check(data, Scan())
        assert decision.effect is Effect.PERMIT
        decision.require()
        with pytest.raises(TypeError):
            bool(decision)


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("grade_blocks_open", {"grade": Grade.IMPORTANT}),
    ("field_grade_above_dataset", {"grade": Grade.GENERAL_1}),
    ("statement_missing", {"conditions": {"open_mode": "接口", "use_requirements": "  "}}),
    ("statement_missing", {"open_attribute": OpenAttribute.CLOSED}),
    ("personal_info_open", {"open_attribute": OpenAttribute.UNCONDITIONAL}),
]


@pytest.mark.parametrize(("code", "changes"), REFUSED)
async def test_what_does_not_fit_is_refused(code: str, changes: dict[str, Any]) -> None:
    decision = await check(a_register(**changes), Scan())
    assert code in [reason.code for reason in decision.reasons]
    with pytest.raises(PublishGateRefused) as refused:
        decision.require()
    assert refused.value.status == 422
    assert all("{" not in reason.zh + reason.en for reason in refused.value.reasons)


async def test_grade_3_needs_a_mask() -> None:
    bare = tuple(replace(one, mask=None) if one.name == "phone" else one for one in a_register().fields)
    decision = await check(a_register(fields=bare), Scan())
    assert [(reason.code, reason.facts) for reason in decision.reasons] == [
        ("field_grade_needs_mask", {"field": "phone"})
    ]
    hashed = tuple(replace(one, mask=Mask("hash")) if one.name == "phone" else one for one in bare)
    assert (await check(a_register(fields=hashed), Scan())).effect is Effect.PERMIT


async def test_personal_data_in_open_rows_is_caught_by_row_and_column() -> None:
    rows = [{"code": "330106", "name": "甲"}, {"code": "330106", "name": f"乙 {id_number(9)}"}]
    decision = await check(an_open_table(), scan(rows))
    [reason] = decision.reasons
    assert reason.code == "personal_info_found"
    assert reason.facts == {"field": "name", "rows": [2]}
    assert "第 2 行" in reason.zh
    assert id_number(9) not in str(decision.as_document("zh"))


async def test_lowering_openness_needs_the_authority() -> None:
    lowered = a_register(has_personal_info=False, fields=())
    for approved in (False, True):
        decision = await check(
            lowered, Scan(), previous=OpenAttribute.UNCONDITIONAL, downgrade_approved=approved
        )
        assert (decision.effect is Effect.PERMIT) is approved
    assert (await check(an_open_table(), Scan(), previous=OpenAttribute.CLOSED)).effect is Effect.PERMIT


@pytest.mark.parametrize("answer", [
    EngineFailure("away"), {}, {"effect": "deny"}, {"effect": "deny", "violations": []},
    {"effect": "deny", "violations": [["made_up", ""]]}, {"effect": "permit", "violations": [["x", ""]]},
    {"effect": "deny", "violations": "all"},
], ids=str)
async def test_whatever_the_engine_does_wrong_refuses(answer: Any) -> None:
    class Engine:
        async def evaluate_async(self, policy: str, facts: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    decision = await check(an_open_table(), Scan(), engine=Engine())  # type: ignore[arg-type]
    assert decision.effect is Effect.DENY
    assert [reason.code for reason in decision.reasons] == ["policy_unavailable"]
