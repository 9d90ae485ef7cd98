"""The main job in ten steps, each checked from outside."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from ops.demo import catalogue
from ops.demo.load import City
from ops.demo.record import Record
from ops.demo.story import apply, evidence, leaks, money, public, use
from ops.demo.story.apply import Customer
from ops.stack import Stack

SignIn = Callable[[str, str, str], httpx.Client]


def play(city: City, record: Record, stack: Stack, sign_in: SignIn) -> None:
    """Play all steps in order; a step that fails does not keep those that need nothing of it from being played."""
    home = stack.home
    customers = {
        "lender": Customer(city.people["qiye-sun"], city.parties["lender"], "industry", "lending_risk_control"),
        "supply": Customer(city.people["qiye-qian"], city.parties["supply"], "industry", "supply_chain_credit"),
        "welfare": Customer(
            city.people["gongyi-he"], city.parties["welfare"], "public_interest", "public_welfare_service"
        ),
    }
    lender, supply, welfare = customers.values()
    reader = Customer(
        welfare.person, welfare.party_id, "public_interest", "public_welfare_service", "dianzi-zhengzhao",
        tuple(item.name for item in catalogue.entry("dianzi-zhengzhao").items), "shenpi-admin", 1_000_000,
    )
    with record.step("公众查找、预览、下载开放数据") as step:
        public.download_villages(city, step)
    with record.step("受限数据谁也读不到") as step:
        leaks.try_everything(city, step, home.path, sign_in)
    with record.step("企业申请三个字段，补正一次") as step:
        apply.apply_with_supplement(city, step, lender)
    with record.step("审查、审核、定价、报价、签约") as step:
        apply.review_and_sign(city, step, lender)
    with record.step("企业按授权调用，越界被拒绝") as step:
        use.call_with_key(city, step, lender, home.path)
    with record.step("公益用途：计量，免费") as step:
        apply.straight_through(city, welfare)
        use.use_for_the_public(city, step, welfare)
    with record.step("关账、账单、对公转账与 Stripe 付款") as step:
        apply.straight_through(city, supply)
        use.fetch(city, supply, purpose=supply.purpose, limit=12_345)
        period = money.close_month(city, step, stack, customers)
        step.figures["period"] = period
    with record.step("结算分账到分，总账平衡") as step:
        money.settle(city, step, record.steps[-2].figures["period"], customers)
    with record.step("数据产品登记，凭证可查验") as step:
        evidence.register_product(city, step, home)
    with record.step("下载中撤销授权，审计导出校验") as step:
        apply.straight_through(city, reader)
        evidence.revoke_while_running(city, step, reader)
        evidence.verify_audit(city, step, home)
