"""Certificates verify offline, and not after any one character was changed."""

from datetime import UTC, date, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from licensing.certificates import Certificate, CertificateInvalid, issue, verify
from licensing.certificates.pdf import qr_svg, render

KEY = Ed25519PrivateKey.generate()
CERTIFICATE = Certificate(
    code="GY320500202611000000015", registration_id="reg_1", registrant="示范数据运营有限公司",
    registrant_code="91320500200000144T", kind="product", title="企业信用核验服务", summary="依授权核验企业登记状态。",
    domain="信用服务", source="agreement: 授权运营协议", scale="20 万户", update_cycle="每日", region="示范市",
    restrictions="", registrar="示范市公共数据登记中心", coded_on=date(2026, 11, 23), valid_from=date(2026, 11, 23),
    valid_until=date(2029, 11, 22), evidence_algorithm="SM3", evidence_digest="ab" * 32, evidence_at="2026-11-01",
)
TOKEN = issue(CERTIFICATE, KEY, "http://govopen.test", datetime(2026, 11, 23, tzinfo=UTC))


def test_a_certificate_comes_back_as_it_was_signed() -> None:
    assert verify(TOKEN, KEY.public_key()) == CERTIFICATE


CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from(CHARACTERS))
def test_any_one_changed_character_is_refused(place: int, other: str) -> None:
    changed = TOKEN[:place] + other + TOKEN[place + 1 :]
    if changed == TOKEN:
        return
    with pytest.raises(CertificateInvalid):
        verify(changed, KEY.public_key())


def test_another_authoritys_key_is_refused() -> None:
    with pytest.raises(CertificateInvalid):
        verify(TOKEN, Ed25519PrivateKey.generate().public_key())


@given(st.text(max_size=300))
def test_no_text_crashes_the_verifier(text: str) -> None:
    with pytest.raises(CertificateInvalid):
        verify(text, KEY.public_key())


def test_the_printed_certificate_is_one_page_of_pdf() -> None:
    document = render(CERTIFICATE, TOKEN, "http://govopen.test/verify/GY320500202611000000015")
    assert document.startswith(b"%PDF-")
    assert document.count(b"/Type /Page\n") == 1


def test_the_qr_is_an_svg_without_scripts() -> None:
    drawing = qr_svg("http://govopen.test/verify/GY320500202611000000015")
    assert drawing.startswith("<svg")
    assert "script" not in drawing
