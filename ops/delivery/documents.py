"""What OpenAPI says of the addresses of delivery: parameters, answers, examples."""

from __future__ import annotations

from typing import Any

from ops.delivery.formats import FORMATS


def parameter(name: str, description: str, place: str = "query", **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "description": description, "schema": {"type": "string", **schema}}


def _header(description: str, example: str, kind: str = "string") -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}, "example": example}


PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {name: {"type": "string"} for name in ("type", "title", "code", "detail", "next", "request_id")}
    | {"status": {"type": "integer"}, "errors": {"type": "array", "items": {"type": "object"}}},
}


def _problem(description: str, status: int, code: str, detail: str) -> dict[str, Any]:
    example = {"type": f"/v1/errors#{code}", "title": detail, "status": status, "code": code, "detail": detail}
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": PROBLEM, "example": example}},
    }


PROBLEMS = {
    "401": _problem("需要访问密钥 (a key is needed)", 401, "key_required", "该数据有条件开放，需要授权的访问密钥。"),
    "403": _problem("授权不包含 (outside the grant)", 403, "column_not_allowed", "字段“phone”不在授权范围内。"),
    "404": _problem("没有该数据 (no such data)", 404, "not_found", "没有找到。"),
    "422": _problem("参数有误 (faulty input)", 422, "invalid_input", "提交的内容有误。"),
    "429": _problem(
        "请求过于频繁或额度用尽 (too many requests, or the quota is used up)", 429, "rate_limited", "请求过于频繁。"
    ),
    "503": _problem("繁忙 (busy)", 503, "busy", "当前下载人数较多，请稍后重试。"),
}
LIMITS = {
    "RateLimit-Limit": _header("一次最多的请求数 (most requests at once)", "600", "integer"),
    "RateLimit-Remaining": _header("还可请求的次数 (requests left)", "599", "integer"),
    "RateLimit-Reset": _header("多少秒后恢复 (seconds until whole again)", "1", "integer"),
}
SELECTION = [
    parameter("columns", "字段名，逗号分隔；缺省为可用的全部字段 (names, separated by commas)", example="code,name"),
    parameter("filter[字段]", "等于；亦可 filter[字段][prefix|gte|lte|in|eq]=值 (conditions, all must hold)"),
    parameter("purpose", "用途代码，须在授权范围内；亦可用请求头 X-Govopen-Purpose (purpose within the grant)"),
]
_CONTENT = {
    one.media_type.split(";")[0]: {
        "schema": {"type": "string", **({} if one.example else {"format": "binary"})},
        **({"example": one.example} if one.example else {}),
    }
    for one in FORMATS.values()
}
_WHOLE = {
    **LIMITS,
    "ETag": _header("开放数据的整份文件为强校验值 (strong for whole files of open data)", '"9f2c…"'),
    "Repr-Digest": _header("RFC 9530", "sha-256=:…:"),
    "Accept-Ranges": _header("整份文件可续传 (whole files can be resumed)", "bytes"),
    "X-Govopen-Version": _header("数据版本 (version of the data)", "3-4a01-4a01-12"),
    "X-Govopen-Source": _header(
        "file：已生成的文件；没有此头：直接来自数据表 (file, or straight from the table)", "file"
    ),
    "X-Govopen-Usage-Id": _header("受限数据的交付编号 (delivery of restricted data)", "use_…"),
}
DOWNLOAD = {
    "parameters": [
        parameter("format", "格式；缺省按请求头 Accept，再缺省为 csv (by Accept, else csv)", enum=list(FORMATS)),
        *SELECTION,
        parameter(
            "sort",
            "排序字段，逗号分隔，前加 - 为降序；相同者按行号 (fields, - descends, ties by row)",
            example="-year,code",
        ),
        parameter("limit", "最多行数 (most rows)", type="integer", minimum=1),
        parameter("bom", "1：供电子表格打开的 CSV (CSV for spreadsheets)", enum=["0", "1"], default="0"),
        parameter("encoding", "CSV 的字符编码 (of CSV)", enum=["utf-8", "gb18030"], default="utf-8"),
        parameter(
            "Range",
            "整份开放数据的一段，用于续传 (a part of a whole file of open data)",
            "header",
            example="bytes=1000-",
        ),
        parameter("If-Range", "续传的是哪一份 (ETag of the copy that is resumed)", "header"),
        parameter("Accept-Encoding", "zstd、gzip", "header"),
        parameter("Cache-Control", "no-cache：直接读取数据表 (straight from the table)", "header"),
    ],
    "responses": {
        "200": {"description": "数据 (the rows)", "headers": _WHOLE, "content": _CONTENT},
        "206": {"description": "文件的一段 (a part of the file)", "headers": _WHOLE, "content": _CONTENT},
        "304": {"description": "没有变化 (unchanged)"},
        "406": _problem(
            "没有可接受的格式 (no acceptable format)", 406, "not_acceptable", "请求头 Accept 中没有本接口提供的格式。"
        ),
        "416": _problem("范围不成立 (range not satisfiable)", 416, "range_not_satisfiable", "请求的范围超出文件大小。"),
        **PROBLEMS,
    },
}
PAGE = {
    "parameters": [
        *SELECTION,
        parameter("limit", "每页行数，至多 1000 (rows a page)", type="integer", minimum=1, maximum=1000),
        parameter("cursor", "上一页给出的 next (the next of the page before)"),
    ],
}
FILES = {
    "responses": {
        "200": {
            "description": "各格式的地址、大小与校验值 (address, size and checksum of each format)",
            "headers": LIMITS,
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": {
                        "resource_id": "887b78dd",
                        "title": "村级区划",
                        "version": "1-4a01-4a01-3-64b0c1d2e3f40",
                        "is_exact": True,
                        "changed_at": "2026-11-21T12:00:00+00:00",
                        "resumable": True,
                        "items": [
                            {
                                "format": "csv",
                                "name_zh": "CSV 表格",
                                "name_en": "CSV",
                                "media_type": "text/csv",
                                "url": "/data/v1/887b78dd?format=csv",
                                "available": True,
                                "ready": True,
                                "rows": 620573,
                                "size": 36489360,
                                "sha256": "9f2c…",
                                "etag": '"9f2c…"',
                                "made_at": "2026-11-21T12:00:07+00:00",
                                "encodings": [
                                    {"encoding": "zstd", "size": 5012345, "sha256": "0c1d…", "etag": '"0c1d…"'}
                                ],
                            }
                        ],
                    },
                }
            },
        },
        **PROBLEMS,
    },
}
