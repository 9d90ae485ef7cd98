"""What a format cannot hold: said before the first byte, with a format that can."""

from __future__ import annotations

from authz import Refusal


class RowsExceedFormat(Refusal):
    code = "format_rows_exceeded"
    status = 422
    zh = "XLSX 工作表放不下本次的数据，至多 {limit} 行。"
    en = "An XLSX worksheet cannot hold these rows; {limit} at most."
    next_zh = "请改用 format=csv 或 format=parquet，或用过滤条件、limit 缩小范围。"
    next_en = "Use format=csv or format=parquet, or narrow it by filters or limit."


class SheetTooLarge(Refusal):
    code = "format_size_exceeded"
    status = 422
    zh = "数据量超过 XLSX 文件能够容纳的大小。"
    en = "The data is larger than an XLSX file can hold."
    next_zh = "请改用 format=csv 或 format=parquet，或用过滤条件、columns 缩小范围。"
    next_en = "Use format=csv or format=parquet, or narrow it by filters or columns."


class ColumnsExceedFormat(Refusal):
    code = "format_columns_exceeded"
    status = 422
    zh = "XLSX 工作表至多 {limit} 列。"
    en = "An XLSX worksheet has {limit} columns at most."
    next_zh = "请用 columns 选择部分字段，或改用其他格式。"
    next_en = "Choose some of the fields with columns, or another format."


class TextExceedsFormat(Refusal):
    code = "format_text_exceeded"
    status = 422
    zh = "字段 {field} 中有文本超过 XLSX 单元格上限 {limit} 个字符。"
    en = "The field {field} holds text beyond the {limit} characters of an XLSX cell."
    next_zh = "请改用 format=csv 或 format=parquet，或不选择该字段。"
    next_en = "Use format=csv or format=parquet, or leave the field out."


class NoGeometry(Refusal):
    code = "no_geometry"
    status = 422
    zh = "所选字段中没有几何字段，也没有成对的经度、纬度字段，无法生成 GeoJSON。"
    en = "Among the fields there is neither a geometry nor a pair of longitude and latitude: no GeoJSON."
    next_zh = "请改用其他格式；本次的字段有：{fields}。"
    next_en = "Use another format; the fields are {fields}."


class NotAcceptable(Refusal):
    code = "not_acceptable"
    status = 406
    zh = "请求头 Accept 中没有本接口提供的格式。"
    en = "None of the media types in Accept is provided here."
    next_zh = "可用格式：{formats}；也可用参数 format 指定。"
    next_en = "There are {formats}; or name one by the parameter format."
