"""Every refusal of billing: code, status, sentences, next step. Checked in the order in which they stand."""

from __future__ import annotations

from authz import Conflict, Forbidden, Refusal


class QuantityTooLarge(Refusal):
    code = "quantity_too_large"
    status = 422
    zh = "用量 {quantity} 超过单月上限 {limit}。"
    en = "The quantity {quantity} is beyond the bound of {limit} a month."


class OpenDataFree(Conflict):
    code = "open_data_free"
    zh = "无条件开放的数据不得收取任何费用。"
    en = "Data open without conditions can never be charged for."
    next_zh = "请核对该数据的开放属性；收费仅适用于授权运营的产业发展用途。"
    next_en = "Check the open attribute; fees exist only for industry use under authorised operation."


class PublicInterestFree(Conflict):
    code = "public_interest_free"
    zh = "用于公共治理、公益事业的，一律免费，不能设置大于零的价格。"
    en = "Use for public governance or public welfare is free by law; a price above zero cannot be set."
    next_zh = "请将各项价格设为 0，用量仍会计量。"
    next_en = "Set every price to 0; use is still metered."


class CeilingExceeded(Conflict):
    """``reasons`` name each tier, its price and its ceiling."""

    code = "ceiling_exceeded"
    zh = "有 {count} 项价格高于上限收费标准或没有上限依据，最先一项：{first_zh}"
    en = "{count} price(s) are above the ceiling or have none; the first: {first_en}"
    next_zh = "请降低列出的价格；确需更高价格的，应先由授权主体调整上限收费标准。"
    next_en = "Lower the listed prices; a higher ceiling must first be set by the authority."


class CeilingBelowRates(Conflict):
    code = "ceiling_below_rates"
    zh = "已公布的收费标准中有 {count} 项高于拟公布的上限：{cards}。"
    en = "{count} published rate(s) are above the ceiling to be published: {cards}."
    next_zh = "请先按新上限降低或废止这些收费标准，再公布上限。"
    next_en = "Lower or retire those rates first, then publish the ceiling."


class SamePerson(Forbidden):
    code = "same_person"
    zh = "提出人不能审批自己提出的事项。"
    en = "Whoever proposed this cannot decide it."
    next_zh = "请由另一名有审批权限的人员办理。"
    next_en = "Another person with the right to approve must decide."


class ProposalWaiting(Conflict):
    code = "proposal_waiting"
    zh = "该收费标准已有待审批的版本 {version_id}。"
    en = "Version {version_id} of this rate card is waiting for a decision."
    next_zh = "请先审批或退回该版本。"
    next_en = "Approve or reject it first."


class NothingProposed(Conflict):
    code = "nothing_proposed"
    zh = "没有待审批的价格。"
    en = "No price is waiting for a decision."


class PeriodNotEnded(Conflict):
    code = "period_not_ended"
    zh = "账期 {period} 尚未结束（{ends_at} 结束），不能结账。"
    en = "Period {period} has not ended (it ends at {ends_at}), so it cannot be closed."
    next_zh = "请在账期结束后再结账。"
    next_en = "Close it after its end."


class EarlierPeriodOpen(Conflict):
    code = "earlier_period_open"
    zh = "账期须逐月结账，下一个应结的账期是 {period}。"
    en = "Periods are closed one after another; the next to close is {period}."
    next_zh = "请先为账期 {period} 结账。"
    next_en = "Close {period} first."


class PeriodPassed(Conflict):
    code = "period_passed"
    zh = "账期 {period} 早于首个结账账期，不能再结账。"
    en = "Period {period} lies before the first one closed and cannot be closed any more."
    next_zh = "迟到的用量会作为调整计入下一账期。"
    next_en = "Late usage is billed as an adjustment in the next period."


class ReservationsOpen(Conflict):
    code = "reservations_open"
    zh = "账期 {period} 内还有 {count} 笔用量正在交付，尚未结清。"
    en = "{count} deliveries of period {period} are still under way and not settled."
    next_zh = "请稍后重试；交付结束或超时后会自动结清。"
    next_en = "Try again shortly; they settle when the delivery ends or times out."


class PricingMissing(Conflict):
    code = "pricing_missing"
    zh = "授权 {grant_id} 有用量，但找不到它约定的收费标准。"
    en = "Grant {grant_id} has usage but its agreed rate card cannot be found."
    next_zh = "请先核对该授权的协议与收费标准。"
    next_en = "Check the grant's agreement and rate card first."


class InvoiceNotDue(Conflict):
    code = "invoice_not_due"
    zh = "账单 {number} 没有待付金额。"
    en = "Invoice {number} has nothing left to pay."


class ReferenceMismatch(Conflict):
    code = "reference_mismatch"
    zh = "汇款附言中没有账单号 {number}，不能记入该账单。"
    en = "The transfer's reference does not name invoice {number}, so it cannot be recorded against it."
    next_zh = "请核对附言；附言写错的，记为未匹配收款后再人工核销。"
    next_en = "Check the reference; if the payer wrote a wrong one, record it unmatched and allocate it by hand."


class BankSerialReused(Conflict):
    code = "bank_serial_reused"
    zh = "银行流水号 {bank_serial} 已登记过另一笔内容不同的收付款。"
    en = "Bank serial {bank_serial} is already recorded with other content."
    next_zh = "请核对银行回单上的流水号与金额。"
    next_en = "Check the serial and the amount on the bank's slip."


class AllocationTooLarge(Conflict):
    code = "allocation_too_large"
    zh = "最多可核销 {limit_fen} 分。"
    en = "At most {limit_fen} fen can be allocated."


class RefundTooLarge(Conflict):
    code = "refund_too_large"
    zh = "最多可退 {limit_fen} 分：只能退还多付或已冲减的金额。"
    en = "At most {limit_fen} fen can be refunded: only what was overpaid or credited."
    next_zh = "如需退更多，请先开具冲减单。"
    next_en = "To refund more, issue a credit note first."


class CreditTooLarge(Conflict):
    code = "credit_too_large"
    zh = "第 {line} 行最多可冲减 {limit_fen} 分。"
    en = "At most {limit_fen} fen of line {line} can be credited."


class ProviderNotConfigured(Refusal):
    code = "provider_not_configured"
    status = 503
    zh = "在线支付尚未开通。"
    en = "Online payment is not configured."
    next_zh = "请使用对公转账，附言填写账单号。"
    next_en = "Pay by bank transfer with the invoice number as reference."


class ProviderFailed(Refusal):
    code = "provider_failed"
    status = 502
    zh = "支付服务商未能完成请求（{what}）。"
    en = "The payment provider could not complete the request ({what})."
    next_zh = "请稍后重试，或使用对公转账。"
    next_en = "Try again shortly, or pay by bank transfer."


class WebhookRejected(Refusal):
    code = "webhook_rejected"
    status = 400
    zh = "通知未通过签名校验。"
    en = "The notification did not pass signature verification."
    next_zh = "请核对签名密钥。"
    next_en = "Check the signing secret."


class ShareRuleMissing(Conflict):
    code = "share_rule_missing"
    zh = "账期 {period} 没有已生效的收益分配规则。"
    en = "No revenue-share rule is in force for period {period}."
    next_zh = "请先制定并批准收益分配规则。"
    next_en = "Propose and approve a revenue-share rule first."


class PeriodNotClosed(Conflict):
    code = "period_not_closed"
    zh = "账期 {period} 尚未结账。"
    en = "Period {period} is not closed."
    next_zh = "请先为该账期结账。"
    next_en = "Close the period first."


class NothingToSettle(Conflict):
    code = "nothing_to_settle"
    zh = "账期 {period} 没有已付清且未结算的账单。"
    en = "Period {period} has no invoice that is paid and not settled."
    next_zh = "请在收到款项后再结算。"
    next_en = "Settle after payment has arrived."


class SettlementPending(Conflict):
    code = "settlement_pending"
    zh = "账期 {period} 已有待审批的结算 {settlement_id}。"
    en = "Settlement {settlement_id} of period {period} is waiting for approval."
    next_zh = "请先审批或退回该结算。"
    next_en = "Approve or reject it first."


class SettlerPriced(Forbidden):
    code = "settler_priced"
    zh = "您参与过这些账单的定价，不能再办理其结算。"
    en = "You took part in pricing these invoices, so you cannot settle them."
    next_zh = "请由未参与定价的人员办理结算。"
    next_en = "Somebody who did not price them must settle."


class PayoutTooLarge(Conflict):
    code = "payout_too_large"
    zh = "最多可支付 {limit_fen} 分。"
    en = "At most {limit_fen} fen can be paid out."


class LedgerKeyReused(Conflict):
    code = "ledger_key_reused"
    zh = "记账标识 {key} 已用于内容不同的分录。"
    en = "The ledger key {key} was already used with other content."


class Unbalanced(Refusal):
    code = "unbalanced"
    status = 422
    zh = "分录借贷不平，差额 {off_fen} 分。"
    en = "The entry does not balance; it is off by {off_fen} fen."


class AccountsNotAllowed(Refusal):
    code = "accounts_not_allowed"
    status = 422
    zh = "“{kind}”分录不能使用科目 {account}。"
    en = "An entry of kind {kind} may not use account {account}."


class SettlementNotApproved(Conflict):
    code = "settlement_not_approved"
    zh = "结算尚未批准，不能付款。"
    en = "The settlement is not approved, so nothing can be paid out."
    next_zh = "请先由另一人批准结算。"
    next_en = "Another person must approve it first."
