"""Who plays in the demo city: accounts, institutions, enterprises and the roles they hold."""

from __future__ import annotations

from dataclasses import dataclass

from ops.demo.made import credit_code


@dataclass(frozen=True)
class Account:
    """A CKAN user. ``departments`` maps an organisation's name to a capacity; ``roles`` a role to an institution."""

    name: str
    display: str
    departments: tuple[tuple[str, str], ...] = ()
    roles: tuple[tuple[str, str], ...] = ()


SECURITY = Account("anquan-zhou", "周安（安全管理员）")
STAFF = (
    Account("xitong-wu", "吴维（系统管理员）", roles=(("system_admin", "city"),)),
    Account("shenji-zheng", "郑查（审计员）", roles=(("auditor", "city"),)),
    Account("zhuguan-li", "李审（数据局）", roles=(("authority", "authority"),)),
    Account("zhuguan-han", "韩核（数据局）", roles=(("authority", "authority"),)),
    Account("jiaoyi-chen", "陈办（交易所专员）", roles=(("exchange_officer", "exchange"),)),
    Account("jiaoyi-lin", "林价（交易所定价员）", roles=(("exchange_pricer", "exchange"),)),
    Account("jiaoyi-gao", "高批（交易所审批员）", roles=(("exchange_approver", "exchange"),)),
    Account("dengji-fang", "方登（登记员）", roles=(("registrar", "registrar"),)),
)
PUBLISHERS = (
    Account("minzheng-admin", "民政局数据责任人", departments=(("minzheng", "admin"),)),
    Account("tongji-admin", "统计局数据责任人", departments=(("tongji", "admin"),)),
    Account("shichang-admin", "市场监管局数据责任人", departments=(("shichang-jianguan", "admin"),)),
    Account("shichang-editor", "市场监管局数据发布员", departments=(("shichang-jianguan", "editor"),)),
    Account("renshe-admin", "人社局数据责任人", departments=(("renshe", "admin"),)),
    Account("shenpi-admin", "行政审批局数据责任人", departments=(("xingzheng-shenpi", "admin"),)),
    Account("shuiwu-admin", "水务局数据责任人", departments=(("shuiwu", "admin"),)),
    Account("shangwu-admin", "商务局数据责任人", departments=(("shangwu", "admin"),)),
    Account("shuju-admin", "数据局数据责任人", departments=(("shuju", "admin"),)),
    Account("gongan-admin", "公安局数据责任人", departments=(("gongan", "admin"),)),
)
APPLICANTS = (
    Account("qiye-sun", "孙申（诚信小额贷款）"),
    Account("qiye-qian", "钱借（恒通供应链）"),
    Account("gongyi-he", "何益（助残公益）"),
    Account("yunying-ma", "马营（数据运营公司）"),
)
ACCOUNTS = (SECURITY, *STAFF, *PUBLISHERS, *APPLICANTS)


@dataclass(frozen=True)
class Institution:
    key: str
    kind: str
    name: str


INSTITUTIONS = (
    Institution("authority", "authority", "示范市数据局（主管部门）"),
    Institution("exchange", "exchange", "示范数据交易所"),
    Institution("registrar", "registrar", "示范市公共数据登记中心"),
)


@dataclass(frozen=True)
class Applicant:
    """An organisation that signs up by itself, through one of its people."""

    key: str
    account: str
    kind: str
    name: str
    uscc: str


ORGANISATIONS = (
    Applicant("lender", "qiye-sun", "enterprise", "示范诚信小额贷款有限公司", credit_code("320508", 70_000_001)),
    Applicant("supply", "qiye-qian", "enterprise", "示范恒通供应链金融有限公司", credit_code("320507", 70_000_002)),
    Applicant("operator", "yunying-ma", "enterprise", "示范数据运营有限公司", credit_code("320505", 70_000_004)),
    Applicant("welfare", "gongyi-he", "public_welfare", "示范市助残公益服务中心",
              credit_code("320506", 70_000_003, "52")),
)
