"""Two catalogues that a caller must not be able to tell apart: one with documents behind labels, one without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ops.search.documents import prepare
from ops.search.engine import Change, Engine
from ops.search.oracle import corpus

LABELS = '+permission_labels:("public" OR "member-a")'
MARK = "kq8xvzj3w"
"""Stands in every hidden document, as value, part of values and field name; no request holds it."""
VISIBLE, HIDDEN = 36, 36

_CHINESE = (
    ("城市环境空气质量日报", "各监测站点的小时均值,含PM2.5与臭氧", ["空气", "环境"]),
    ("全国行政区划村级代码", "截至上年末的村级行政区划", ["区划"]),
    ("停车场泊位信息", "公共停车场的位置、泊位数与收费标准", ["停车", "交通"]),
    ("企业登记注册信息", "统一社会信用代码、名称、住所", ["企业"]),
    ("河流水质监测月报", "断面水质类别", ["水", "环境"]),
    ("公交线路站点", "線路、站點與首末班時間", ["公交", "交通"]),
)


def documents(*, hidden: bool) -> list[dict[str, Any]]:
    """Documents of one kind, made alike but for what is secret."""
    made: list[dict[str, Any]] = []
    for number in range(HIDDEN if hidden else VISIBLE):
        one = corpus.document(number + (1000 if hidden else 0))
        if number < len(_CHINESE):
            title, notes, tags = _CHINESE[number]
            one |= {"title": title, "title_string": title, "notes": notes, "tags": tags}
        one["permission_labels"] = ["member-z"] if hidden else [("public", "member-a")[number % 2]]
        if hidden:
            _hide(one, number)
        made.append(one)
    return made


def _hide(one: dict[str, Any], number: int) -> None:
    one["title"] = f"{one['title']} {MARK}{number} 机密{MARK}"
    one["title_string"] = one["title"]
    one["notes"] = f"{one['notes']} {MARK} {MARK}-{number}"
    one["tags"] = [*one.get("tags", []), MARK, f"{MARK} {number}", f"空气{MARK}"]
    one["groups"] = [MARK, *one.get("groups", [])]
    one["organization"] = f"org-{MARK}"
    one["name"] = f"{MARK}-{number}"
    one["author"] = f"Ada {MARK}"
    one["res_format"] = [MARK.upper(), "CSV"]
    one["license_id"] = f"cc-{MARK}"
    one["data_dict"] = f'{{"name": "{MARK}"}}'
    one[f"extras_{MARK}"] = f"{MARK} weekly"
    one[f"x{MARK}"] = MARK
    one[f"{MARK}_date"] = "2020-01-01T00:00:00Z"
    one["views_total"] = 10_000_000 + number


def opened(home: Path, *, with_hidden: bool) -> Engine:
    engine = Engine(home, clock=lambda: corpus.NOW)
    found = documents(hidden=False)
    if with_hidden:
        secret = documents(hidden=True)
        found = [one for pair in zip(found, secret, strict=True) for one in pair]
    engine.submit([Change(puts=[prepare(one, corpus.NOW) for one in found])], commit=True).result(60)
    return engine
