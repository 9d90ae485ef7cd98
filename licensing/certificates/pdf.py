"""The printable certificate: one A4 page with the facts, the seal of the registrar and the QR of the public page."""

from __future__ import annotations

import hashlib
import io

import segno
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from licensing.certificates.model import KINDS, Certificate

FONT = "STSong-Light"
"""One of the Chinese fonts that every PDF reader supplies by itself, so no font file is shipped."""
INK, SECOND, BRAND, SEAL = HexColor("#1B2430"), HexColor("#4A5768"), HexColor("#0B4DA2"), HexColor("#B3261E")


def qr_svg(address: str) -> str:
    """The QR code of an address as an SVG document, error correction M."""
    buffer = io.BytesIO()
    segno.make(address, error="m", micro=False).save(
        buffer, kind="svg", scale=4, border=2, xmldecl=False, svgclass=None, lineclass=None, title="QR", light="white",
    )
    return buffer.getvalue().decode()


def _rows(certificate: Certificate) -> list[tuple[str, str]]:
    return [
        ("登记结果查询码", certificate.code),
        ("登记主体", certificate.registrant),
        ("统一社会信用代码", certificate.registrant_code),
        ("登记类型", KINDS[certificate.kind][0]),
        ("登记数据名称", certificate.title),
        ("内容简介", certificate.summary),
        ("所属领域", certificate.domain),
        ("数据来源", certificate.source),
        ("数据规模", certificate.scale),
        ("更新周期", certificate.update_cycle),
        ("地域范围", certificate.region),
        ("权利限制与备注", certificate.restrictions or "无"),
        ("存证", f"{certificate.evidence_algorithm}  {certificate.evidence_digest[:32]}…  {certificate.evidence_at}"),
        ("赋码日期", certificate.coded_on.isoformat()),
        ("有效期", f"{certificate.valid_from.isoformat()} 至 {certificate.valid_until.isoformat()}"),
    ]


def _draw_qr(canvas: Canvas, address: str, left: float, bottom: float, size: float) -> None:
    matrix = [list(row) for row in segno.make(address, error="m", micro=False).matrix]
    step = size / len(matrix)
    canvas.setFillColor(INK)
    for number, row in enumerate(matrix):
        for place, dark in enumerate(row):
            if dark:
                canvas.rect(left + place * step, bottom + size - (number + 1) * step, step, step, stroke=0, fill=1)


def _draw_seal(canvas: Canvas, x: float, y: float, registrar: str) -> None:
    canvas.setStrokeColor(SEAL)
    canvas.setFillColor(SEAL)
    canvas.setLineWidth(2)
    canvas.circle(x, y, 52, stroke=1, fill=0)
    canvas.setFont(FONT, 26)
    canvas.drawCentredString(x, y - 4, "★")
    canvas.setFont(FONT, 10)
    canvas.drawCentredString(x, y + 28, registrar[:12])
    canvas.drawCentredString(x, y - 32, "登记专用章")


def render(certificate: Certificate, token: str, address: str) -> bytes:
    """The PDF; ``address`` is the public page, printed as text and QR; ``token`` the signed twin it stands for."""
    if FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    buffer = io.BytesIO()
    width, height = A4
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    canvas.setTitle(f"公共数据资源登记凭证 {certificate.code}")
    canvas.setStrokeColor(BRAND)
    canvas.setLineWidth(1.5)
    canvas.rect(36, 36, width - 72, height - 72)
    canvas.setFillColor(BRAND)
    canvas.setFont(FONT, 26)
    canvas.drawCentredString(width / 2, height - 100, "公共数据资源登记凭证")
    y = height - 146
    for label, value in _rows(certificate):
        canvas.setFont(FONT, 11)
        canvas.setFillColor(SECOND)
        canvas.drawString(64, y, label)
        canvas.setFillColor(INK)
        for line in simpleSplit(value, FONT, 11, width - 64 - 176)[:4]:
            canvas.drawString(176, y, line)
            y -= 17
        y -= 7
    _draw_qr(canvas, address, 64, 76, 92)
    canvas.setFont(FONT, 9)
    canvas.setFillColor(SECOND)
    canvas.drawString(168, 150, "扫码或访问下列地址查验真伪与当前状态：")
    canvas.drawString(168, 136, address)
    canvas.drawString(168, 116, f"电子凭证摘要 SHA-256：{hashlib.sha256(token.encode()).hexdigest()[:40]}")
    canvas.drawString(168, 102, "系统存证记录与本凭证不一致的，以系统存证记录为准。")
    _draw_seal(canvas, width - 118, 196, certificate.registrar)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()
