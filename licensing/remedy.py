"""救济途径: what a person may do against a refusal, a return or a revocation; printed with each of them."""

from __future__ import annotations

from datetime import date
from typing import Any

from licensing.limits import procedure

BASIS = "中华人民共和国行政复议法第十一条、第二十条；政府信息公开条例第五十一条"


def remedy(known_on: date) -> dict[str, Any]:
    """The remedy text for an act that the person learns of on ``known_on``, with the last day for review.

    Sixty days from knowing the act (行政复议法 20); a last day off moves to the next working day.
    """
    limit = procedure().limit("remedy")
    deadline = limit.deadline(known_on)
    return {
        "zh": (
            f"如不服本决定，可自知道本决定之日起{limit.days}日内（至{deadline.on.isoformat()}）依法申请行政复议，"
            "也可依法提起行政诉讼，或向数据主管部门投诉、举报。您也可以按所述理由修改后重新申请。"
        ),
        "en": (
            f"If you disagree you may apply for administrative reconsideration within {limit.days} days of learning of"
            f" this decision (until {deadline.on.isoformat()}), bring administrative litigation, or complain to the"
            " data authority. You may also apply again with the stated reason answered."
        ),
        "until_on": deadline.on.isoformat(),
        "basis": BASIS,
    }
