"""Made restricted tables: seeded, realistic in shape, with valid check digits, real about nobody.

Telephone numbers begin with 12, which no operator uses; credit codes carry registration-authority digits and a
division of the real code list but a made subject part.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from stdnum.cn import uscc
from stdnum.iso7064 import mod_37_36

SEED = 20_261_121
ROWS = 200_000
CITY_PREFIX = "3205"
"""The demo city borrows the divisions of one prefecture, so that region filters mean something."""

_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)

_FIRST = "华恒瑞德信诚泰丰盛达通利安康宏远鑫源博创启明锦程嘉禾云帆海纳百川同和正方元亨"
_SECOND = "辰宇翔腾飞越峰林森泽润沐霖涛汇聚融智慧新科联众合力天成鼎立卓凡优品尚美佳"
_TRADES = (
    ("信息技术", "I65"), ("供应链管理", "L72"), ("建筑工程", "E47"), ("餐饮管理", "H62"), ("机械制造", "C34"),
    ("电子科技", "C39"), ("物流", "G59"), ("商贸", "F51"), ("农业发展", "A01"), ("医疗器械", "C35"),
    ("环保科技", "N77"), ("文化传媒", "R87"), ("教育咨询", "P83"), ("新能源", "D44"), ("纺织品", "C17"),
)
_FAMILY = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰涛明超霞平刚桂英建华文玉兰志红"
_STATUS = (("存续", 86), ("注销", 9), ("吊销", 2), ("迁出", 3))


def organisation_check(body: str) -> str:
    """Check character of an organisation code (GB 11714): weights 3 7 9 10 5 8 4 2, modulus 11."""
    total = sum(w * int(c, 36) for w, c in zip(_ORGANISATION_WEIGHTS, body, strict=True))
    return "0123456789X0"[11 - total % 11]


def credit_code(division: str, serial: int, kind: str = "91") -> str:
    """A unified social credit code (GB 32100) with both check characters right; the subject part is made.

    ``kind`` is the registering authority and category: 91 an enterprise, 11 a government body.
    """
    body = f"{serial:08d}"
    head = f"{kind}{division}{body}{organisation_check(body)}"
    return head + str(uscc.calc_check_digit(head))


def _divisions(folder: Path, prefix: str) -> list[tuple[str, str]]:
    table = pq.read_table(folder / "areas.parquet", columns=["code", "name"])
    rows = zip(table["code"].to_pylist(), table["name"].to_pylist(), strict=True)
    return [(code, name) for code, name in rows if code.startswith(prefix)]


def _person(dice: random.Random) -> str:
    return dice.choice(_FAMILY) + "".join(dice.choices(_GIVEN, k=dice.choice((1, 2, 2))))


def _phone(dice: random.Random) -> str:
    return f"12{dice.randrange(10**9):09d}"


def enterprises(folder: Path, count: int = ROWS) -> pa.Table:
    """The register of enterprises: one row per made enterprise of the demo province."""
    dice = random.Random(SEED)
    areas = _divisions(folder, CITY_PREFIX[:2])
    columns: dict[str, list[Any]] = {
        name: [] for name in (
            "credit_code", "enterprise_name", "legal_representative", "contact_phone", "registered_capital",
            "industry_code", "region_code", "address", "founded_on", "status", "employees",
        )
    }
    states = [s for s, weight in _STATUS for _ in range(weight)]
    start = date(1996, 1, 1)
    for serial in range(1, count + 1):
        code, area = dice.choice(areas)
        trade, industry = dice.choice(_TRADES)
        name = dice.choice(_FIRST) + dice.choice(_SECOND) + dice.choice(_SECOND)
        row = (
            credit_code(code, 20_000_000 + serial * 7),
            f"{area}{name}{trade}有限公司",
            _person(dice),
            _phone(dice),
            dice.choice((10, 50, 100, 200, 500, 1_000, 5_000, 20_000)) * 10_000,
            industry,
            code,
            f"{area}{dice.choice(_FIRST)}{dice.choice(_SECOND)}路{dice.randrange(1, 999)}号",
            start + timedelta(days=dice.randrange(11_200)),
            dice.choice(states),
            dice.choice((3, 8, 15, 30, 60, 120, 300, 900)) + dice.randrange(3),
        )
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return pa.table({
        **columns, "registered_capital": pa.array(columns["registered_capital"], pa.int64()),
        "employees": pa.array(columns["employees"], pa.int64()),
    })


def licences(folder: Path, count: int = ROWS) -> pa.Table:
    """Electronic licences: identifiers end in the check character of ISO 7064 MOD 37,36."""
    dice = random.Random(SEED + 1)
    areas = _divisions(folder, CITY_PREFIX)
    kinds = (
        ("食品经营许可证", "JY"), ("道路运输经营许可证", "DL"), ("建筑业企业资质证书", "JZ"),
        ("药品经营许可证", "YP"), ("排污许可证", "PW"), ("特种设备使用登记证", "TS"),
    )
    rows = []
    for serial in range(1, count + 1):
        code, area = dice.choice(areas)
        kind, letters = dice.choice(kinds)
        issued = date(2019, 1, 1) + timedelta(days=dice.randrange(2_850))
        body = f"{letters}{code}{serial:08d}"
        name = dice.choice(_FIRST) + dice.choice(_SECOND) + dice.choice(_TRADES)[0]
        rows.append((
            body + mod_37_36.calc_check_digit(body), kind, f"{area}{name}有限公司", _person(dice), code, issued,
            issued + timedelta(days=365 * dice.choice((3, 5))), dice.choice(("有效", "有效", "有效", "注销")),
        ))
    names = (
        "licence_number", "licence_kind", "holder_name", "responsible_person", "region_code", "issued_on",
        "valid_until", "status",
    )
    return pa.table({name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)})


def meter_readings(folder: Path, count: int = ROWS) -> pa.Table:
    """Monthly water use of made industrial meters: 12 readings a meter, always rising."""
    dice = random.Random(SEED + 2)
    areas = _divisions(folder, CITY_PREFIX)
    rows = []
    for meter in range(count // 12 + 1):
        code, _ = dice.choice(areas)
        reading = dice.randrange(50_000)
        usual = dice.choice((20, 60, 200, 900))
        user = credit_code(code, 60_000_000 + meter)
        for month in range(1, 13):
            used = round(usual * dice.uniform(0.6, 1.5))
            reading += used
            rows.append((f"SB{code}{meter:06d}", user, code, date(2025, month, 28), reading, used))
    rows = rows[:count]
    names = ("meter_number", "user_credit_code", "region_code", "read_on", "reading_m3", "used_m3")
    return pa.table({name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)})


MADE = {"enterprises": enterprises, "licences": licences, "meter_readings": meter_readings}


def write(name: str, divisions: Path, target: Path) -> Path:
    """Make a table once as Parquet under ``target``; later calls find it there."""
    path = target / f"{name}.parquet"
    if not path.exists():
        target.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        pq.write_table(MADE[name](divisions), partial, compression="zstd")
        partial.replace(path)
    return path
