"""Refusals of licensing: stable codes, both languages, the next step."""

from __future__ import annotations

from authz import Conflict, FieldError, Forbidden, InvalidInput, NotSignedIn


def invalid(field: str, code: str, zh: str, en: str) -> InvalidInput:
    """One fault in one field as a 422."""
    return InvalidInput([FieldError(field, code, zh, en)])


class OwnSubmission(Forbidden):
    """Nobody decides their own submission, nor one of an organisation they act for."""

    code = "own_submission"
    zh = "不能审核、定价或会签本人或本单位提交的事项。"
    en = "You may not decide, price or countersign what you or your organisation submitted."
    next_zh = "请由与申请人无关的其他工作人员办理。"
    next_en = "Somebody who is not connected with the applicant has to do it."


class SamePerson(Forbidden):
    code = "same_person"
    zh = "该步骤须由另一人办理，不能由提出人本人办理。"
    en = "This step has to be done by another person than the one who asked for it."
    next_zh = "请由另一位有权限的工作人员办理。"
    next_en = "Ask a colleague with the role to do it."


class PartyNotVerified(Conflict):
    code = "party_not_verified"
    zh = "单位尚未通过实名核验，暂不能办理。"
    en = "The organisation has not passed its real-name check yet."
    next_zh = "请等待主管部门核验；如核验未通过，请修改资料后重新提交。"
    next_en = "Wait for the authority's check, or correct the particulars and send them again."


class PartyKindCannotApply(Forbidden):
    code = "party_kind_cannot_apply"
    zh = "该类主体不能申请使用有条件开放数据。"
    en = "This kind of organisation cannot apply for data."
    next_zh = "请以企业或公益组织身份申请。"
    next_en = "Apply for an enterprise or a public-welfare organisation."


class UsccTaken(Conflict):
    code = "uscc_taken"
    zh = "该统一社会信用代码已注册。"
    en = "This unified social credit code is already signed up."
    next_zh = "请联系本单位管理员将您添加为成员；如被冒用，请向主管部门反映。"
    next_en = "Ask your organisation's administrator to add you; if it was misused tell the authority."


class OpenNeedsNoApplication(Conflict):
    code = "open_needs_no_application"
    zh = "该数据无条件开放，无需申请。"
    en = "This data is open without condition; no application is needed."
    next_zh = "请直接下载或调用 /data/v1/{resource_id}。"
    next_en = "Download it, or call /data/v1/{resource_id}, directly."


class ClosedToApplication(Forbidden):
    code = "closed_to_application"
    zh = "该数据不予开放，不接受申请。理由：{why}"
    en = "This data is not open and cannot be applied for. Reason: {why}"
    next_zh = "可在平台提出数据需求，或联系提供部门。"
    next_en = "File a data request, or contact the department."


class OfferLapsed(Conflict):
    code = "offer_lapsed"
    zh = "报价已于 {until} 失效。"
    en = "The offer lapsed on {until}."
    next_zh = "请重新提交申请。"
    next_en = "Apply again."


class SupplementAlreadyRequested(Conflict):
    code = "supplement_already_requested"
    zh = "本环节已一次性告知补正，不能再次要求补正。"
    en = "This step has already asked for its one supplement."
    next_zh = "请根据已有材料作出决定。"
    next_en = "Decide on what has been handed in."


class ExtensionNotPossible(Conflict):
    code = "extension_not_possible"
    zh = "{why_zh}"
    en = "{why_en}"
    next_zh = "请在期限内办理。"
    next_en = "Decide within the limit."


class SilenceTooEarly(Conflict):
    code = "silence_too_early"
    zh = "第三方答复期限至 {until}，尚未届满。"
    en = "The third party may answer until {until}."
    next_zh = "请等待答复或期限届满。"
    next_en = "Wait for the answer or the end of the limit."


class NotYetSigned(Conflict):
    code = "not_yet_signed"
    zh = "申请人尚未签署协议。"
    en = "The applicant has not signed yet."
    next_zh = "请待申请人签署后会签。"
    next_en = "Countersign after the applicant has signed."


class AlreadySigned(Conflict):
    code = "already_signed"
    zh = "协议已由申请人签署。"
    en = "The applicant has already signed."
    next_zh = "请等待会签。"
    next_en = "Wait for the countersignature."


class OfferMalformed(InvalidInput):
    """An offer handed in by pricing that does not hold together."""


class TooManyKeys(Conflict):
    code = "too_many_keys"
    zh = "每项授权最多 {limit} 个有效密钥。"
    en = "A grant has at most {limit} live keys."
    next_zh = "请先停用不再使用的密钥。"
    next_en = "Revoke one that is no longer used."


class GrantNotActive(Conflict):
    code = "grant_not_active"
    zh = "授权当前不可用。"
    en = "The grant is not active."
    next_zh = "请在“我的授权”查看原因。"
    next_en = "See the grant for the reason."


class KeyInvalid(NotSignedIn):
    code = "key_invalid"
    zh = "访问密钥无效、已停用或已过期。"
    en = "The access key is invalid, revoked or expired."
    next_zh = "请在“我的授权”中创建新的密钥。"
    next_en = "Create a new key for the grant."


class SignatureBroken(Conflict):
    """Verification raises: a signature or digest does not match what it covers."""

    code = "signature_broken"
    zh = "签名或摘要与内容不符。"
    en = "The signature or digest does not match the content."
    next_zh = "请勿使用该文件，并联系平台核实。"
    next_en = "Do not rely on the document; contact the platform."
