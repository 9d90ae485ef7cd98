"""What delivery refuses, and what the caller can do about it."""

from __future__ import annotations

from authz import Refusal, Unavailable


class KeyRequired(Refusal):
    """Restricted data without a key."""

    code = "key_required"
    status = 401
    zh = "该数据有条件开放，需要授权的访问密钥。"
    en = "This data is open on conditions: an access key of a grant is needed."
    next_zh = (
        "请在请求头 Authorization: Bearer gok_… 中提供访问密钥；尚无授权的，可在 {site}/apply/{resource_id} 申请。"
    )
    next_en = (
        "Send the key in the header 'Authorization: Bearer gok_…'; without a grant, apply at "
        "{site}/apply/{resource_id}."
    )

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="govopen-data"'}


class KeyUnknown(KeyRequired):
    """A key that is not known, was ended, or is misspelled: which of these is not told."""

    code = "key_invalid"
    zh = "访问密钥无效：不存在、已停用或抄写有误。"
    en = "The access key is not valid: unknown, ended or misspelled."
    next_zh = "请核对密钥，或在 {site}/my 的授权页面新建密钥；尚无授权的，可在 {site}/apply/{resource_id} 申请。"
    next_en = (
        "Check the key or make a new one on the grant's page at {site}/my; without a grant, apply at "
        "{site}/apply/{resource_id}."
    )


class KeyScopeMissing(Refusal):
    """The key is right, the grant stands, but this key was made for other uses."""

    code = "key_scope"
    status = 403
    zh = "该访问密钥不可用于此操作（{scope}），其用途为：{scopes}。"
    en = "This key may not be used for this ({scope}); it was made for: {scopes}."
    next_zh = "请使用用途包含 {scope} 的密钥，或在授权页面新建一个。"
    next_en = "Use a key whose uses include {scope}, or make one on the grant's page."


class KeyInAddress(Refusal):
    """A key in the address ends up in logs and histories: it is refused even when it is right."""

    code = "key_in_address"
    status = 400
    zh = "访问密钥不得写在网址中（参数 {parameter}），该密钥可能已经泄露。"
    en = "A key must not be part of the address (parameter {parameter}); it may have leaked already."
    next_zh = "请改用请求头 Authorization: Bearer gok_…，并在授权页面更换该密钥。"
    next_en = "Use the header 'Authorization: Bearer gok_…' and replace that key on the grant's page."


class DataWithdrawn(Refusal):
    code = "data_withdrawn"
    status = 410
    zh = "该数据已从目录中撤下，不再提供。"
    en = "This data has been taken out of the catalogue and is no longer provided."
    next_zh = "请在目录中查找替代数据，或向提供部门咨询。"
    next_en = "Look for a successor in the catalogue, or ask the department."


class DataNotLoaded(Refusal):
    code = "data_not_loaded"
    status = 404
    zh = "该数据已在目录中登记，但尚未入库或已被移除，暂时无法通过接口提供。"
    en = "This data is in the catalogue, but no rows are loaded (or they were removed)."
    next_zh = "请稍后重试，或查看数据页面上的其他下载方式。"
    next_en = "Try again later, or see the other ways to get it on the data's page."


class CursorInvalid(Refusal):
    code = "cursor_invalid"
    status = 400
    zh = "翻页游标无效，或不属于本次查询。"
    en = "The cursor is not valid, or belongs to another query."
    next_zh = "请用相同的参数从第一页（不带 cursor）重新开始。"
    next_en = "Start again from the first page (without cursor), with the same parameters."


class CursorStale(Refusal):
    code = "cursor_stale"
    status = 409
    zh = "数据已更新为新版本，原游标不能继续使用。"
    en = "The data has a new version; the cursor of the old one cannot go on."
    next_zh = "请从第一页（不带 cursor）重新开始。"
    next_en = "Start again from the first page (without cursor)."


class RowsPerCallExceeded(Refusal):
    code = "rows_call_exceeded"
    status = 403
    zh = "本次将返回的行数超过授权的单次上限 {limit} 行。"
    en = "This call would return more rows than the {limit} the grant allows a call."
    next_zh = "请加上 limit={limit}，或用过滤条件缩小范围，或用 /rows 分页读取。"
    next_en = "Add limit={limit}, narrow it by a filter, or read page by page with /rows."


class LookupTooLarge(Refusal):
    code = "lookup_too_large"
    status = 422
    zh = "本次查询命中超过 {limit} 行。"
    en = "More than {limit} rows have these values."
    next_zh = "请分批查询（减少 values），或用过滤条件下载。"
    next_en = "Ask for fewer values at a time, or download with a filter."


class MaskedFilter(Refusal):
    """Comparing with what is hidden would reveal it."""

    code = "filter_on_masked_field"
    status = 403
    zh = "字段 {field} 以脱敏形式提供，不能作为过滤条件。"
    en = "The field {field} is provided masked and cannot be filtered by."
    next_zh = "请改用未脱敏的字段过滤：{fields}。"
    next_en = "Filter by fields that are not masked: {fields}."


class TooManyRequests(Refusal):
    code = "rate_limited"
    status = 429
    zh = "请求过于频繁。"
    en = "Too many requests."
    next_zh = "请在 {wait_s} 秒后重试；限额见响应头 RateLimit-Limit。"
    next_en = "Try again in {wait_s} s; the limit is in the header RateLimit-Limit."

    def headers(self) -> dict[str, str]:
        limits = self.facts.get("limits")
        return {"Retry-After": str(self.facts["wait_s"]), **(limits if isinstance(limits, dict) else {})}


class Busy(Unavailable):
    """Every connection that is kept for deliveries is in use."""

    code = "busy"
    zh = "当前下载人数较多，请稍后重试。"
    en = "Too many downloads at the moment."
