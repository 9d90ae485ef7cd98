"""Requests from bytes and bytes from requests; made ones, and changed ones.

A request is a row of records: one byte that chooses the parameter, its text in UTF-8, the byte FF. So a fuzzer that
knows nothing of parameters can still cut, swap and change them.
"""

from __future__ import annotations

import random

from ops.search.oracle import pieces, questions
from ops.search.oracle.questions import FAMILIES

NAMES = (
    "q",
    "fq",
    "defType",
    "qf",
    "mm",
    "tie",
    "pf",
    "pf2",
    "pf3",
    "ps",
    "bq",
    "bf",
    "boost",
    "uf",
    "q.op",
    "df",
    "q.alt",
    "sort",
    "fl",
    "rows",
    "start",
    "facet",
    "facet.field",
    "facet.query",
    "facet.limit",
    "facet.mincount",
    "facet.offset",
    "facet.sort",
    "facet.prefix",
    "facet.missing",
    "f.tags.facet.limit",
    "f.tags.facet.prefix",
    "f.permission_labels.facet.limit",
    "hl",
    "hl.fl",
    "hl.snippets",
    "hl.fragsize",
    "hl.simple.pre",
    "hl.simple.post",
    "spellcheck",
    "spellcheck.q",
    "spellcheck.collateExtendedResults",
    "forgive",
    "wt",
    "group",
    "group.field",
    "json",
    "stats",
    "terms.fl",
    "f.who.qf",
    "facet.pivot",
    "cursorMark",
    "timeAllowed",
    "debug",
    "hl.q",
    "q2",
    "sow",
    "suggest",
)
SPOKEN = NAMES.index("wt")
"""Those from here on are refused, ignored, or of special effect."""
"""``suggest`` turns the request into one for suggestions."""
TOKENS = (
    "permission_labels",
    "+permission_labels:*",
    '"member-z"',
    "member-z",
    "-permission_labels:public",
    "{!bool must=",
    "{!term f=",
    "{!prefix f=permission_labels}m",
    "{!lucene df=permission_labels}*",
    "{!terms f=name}",
    "{!field f=title}",
    "{!raw f=x}",
    "{!ex=a}",
    "{!tag=a}",
    "{!func}",
    "{!join from=id to=id}",
    "{!edismax qf=title}",
    "}",
    "$q",
    "_query_:",
    "_val_:",
    "*:*",
    "name:*",
    "[* TO *]",
    "{a TO z}",
    " TO ",
    " AND ",
    " OR ",
    " NOT ",
    "&&",
    "||",
    "^2",
    "^=3",
    "~2",
    "~0.5",
    "\\",
    '"',
    "'",
    "/.*/",
    "/[a-z]{1,40}/",
    "((((((((",
    "))))))))",
    "*?*?*?*",
    "\x00",
    "\x01",
    "\x02",
    "\x03",
    "\x04",
    "\x05",
    "\x1f",
    "\x1fpermission_labels",
    "permission_labels\x1fmember-z",
    "title\x1f",
    "\u200b",
    "\u3000",
    "\ufeff",
    "ſ",
    "İ",
    "ß",
    "水",
    "空气质量",
    "機密",
    "机密",
    "jm",
    "kongqi",
    "kqzl",
    "PM2.5",
    "🏞",
    "e\u0301",
    "\ud7ff",
    "\U0010ffff",
    "NOW-1DAY/DAY",
    "9" * 40,
    "-1",
    "1e999",
    "0x10",
    "100%",
    "2<-1 5<80%",
    "%",
    ",",
    "sum(views_total,1)",
    "recip(ms(NOW,metadata_modified),3.16e-11,1,1)",
    "scale(views_total,0,1)",
    "exists(permission_labels)",
    "if(exists(x),1,0)",
    "rord(name)",
    "query($q)",
    "field(name)",
    "score desc",
    "views_total desc",
    "permission_labels asc",
    "random_1 desc",
    "title^4 text",
    "permission_labels^9",
    "true",
    "false",
    "on",
    "dismax",
    "edismax",
    "lucene",
    "func",
    "json",
    "xml",
    "score",
    "*",
    "water",
    "quality",
    "river",
    "data",
    "tags",
    "groups",
    "organization",
    "res_format",
    "extras_frequency",
    "owner_org",
    "index",
)
TYPED = (
    "空气质量",
    "空汽质量",
    "kongqi zhiliang",
    "kqzl",
    "watre quality",
    "河流 水质",
    "機密",
    "企业登记",
    "river*",
    "停車場",
    "PM2.5",
    "rivr",
)
_SWITCHES = ("facet", "hl", "spellcheck", "facet.missing", "forgive", "suggest")

Request = dict[str, list[str]]
MAX_RECORDS = 24


def encode(request: Request) -> bytes:
    rows = [(name, value) for name, values in request.items() if name in NAMES for value in values]
    return b"".join(bytes([NAMES.index(name)]) + value.encode() + b"\xff" for name, value in rows)


def decode(data: bytes) -> Request:
    """Any bytes are some request."""
    request: Request = {}
    for record in data.split(b"\xff")[:MAX_RECORDS]:
        if record:
            name = NAMES[record[0] % len(NAMES)]
            request.setdefault(name, []).append(record[1:].decode("utf-8", "ignore"))
    return request


def made(chance: random.Random) -> Request:
    """A request of one of the oracle's families, with more put in."""
    name = chance.choice(list(FAMILIES))
    request: Request = {
        key: [value] if isinstance(value, str) else list(value)
        for key, value in FAMILIES[name][0](chance).items()
        if key in NAMES
    }
    for _ in range(chance.choice((0, 0, 1, 2, 3))):
        spoken = chance.random() < 0.95
        name = chance.choice(NAMES[:SPOKEN] if spoken else NAMES[SPOKEN:])
        form = chance.random()
        request.setdefault(name, []).append(likely(name, chance) if form < 0.6 else text(chance))
    for name in _SWITCHES:
        if chance.random() < 0.12:
            request[name] = [chance.choice(("true", "true", "false"))]
    if "facet" in request and chance.random() < 0.7:
        request.setdefault("facet.field", []).append(
            chance.choice(("tags", "organization", "permission_labels", "name", "groups"))
        )
    return request


def likely(name: str, chance: random.Random) -> str:
    """A text that the parameter takes."""
    if name in ("rows", "start", "facet.limit", "facet.offset", "facet.mincount", "ps", "hl.snippets", "hl.fragsize"):
        return str(chance.choice((0, 1, 2, 5, 100, 1000)))
    choices = {
        "defType": ("lucene", "dismax", "edismax"),
        "mm": questions.MM,
        "tie": ("0", "0.1", "1"),
        "uf": ("*", "title", "-title *", "t*"),
        "q.op": ("AND", "OR"),
        "sort": ("score desc", "name asc", "views_total desc, name asc", "metadata_modified desc", "x asc"),
        "fl": ("name", "*", "name,score", "id title tags", "permission_labels", "*_date"),
        "bf": ("log(sum(views_total,1))", "scale(views_total,0,1)^3", "exists(permission_labels)"),
        "boost": ("sum(1,views_recent)", "if(exists(title),2,1)"),
        "facet.field": ("tags", "permission_labels", "organization", "title", "name", "views_total", "owner_org"),
        "facet.sort": ("count", "index"),
        "df": ("text", "title", "tags", "permission_labels", "name_ngram"),
        "hl.fl": ("title", "notes", "*", "title,notes,tags", "permission_labels"),
    }
    if name in ("qf", "pf", "pf2", "pf3"):
        return chance.choice(
            ("title^4 text", "title", "permission_labels^9 title", "name tags groups text", "title_ngram")
        )
    if name in choices:
        return chance.choice(choices[name])
    if name in ("q", "fq", "bq", "q.alt", "facet.query", "spellcheck.q"):
        return pieces.nested(chance, 2) if chance.random() < 0.5 else chance.choice(TYPED)
    return chance.choice(("true", "false"))


def text(chance: random.Random) -> str:
    """Some of the grammar and some noise."""
    parts = []
    for _ in range(chance.randint(1, 5)):
        form = chance.random()
        if form < 0.5:
            parts.append(chance.choice(TOKENS))
        elif form < 0.75:
            parts.append(pieces.leaf(chance))
        elif form < 0.9:
            parts.append(pieces.nested(chance, 2))
        else:
            parts.append(
                "".join(
                    chr(
                        chance.choice(
                            (chance.randrange(32, 127), chance.randrange(0x250), 0x4E00 + chance.randrange(2000))
                        )
                    )
                    for _ in range(chance.randint(1, 8))
                )
            )
    return chance.choice(("", " ")).join(parts) * chance.choice((1, 1, 1, 1, 1, 2, 7, 40))


def changed(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Mutations: bits, bytes, tokens, cuts, repetitions, and parts of another request."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randint(0, len(found))
        form = chance.randint(0, 6)
        if form == 0 and at < len(found):
            found[at] ^= 1 << chance.randint(0, 7)
        elif form == 1:
            found[at:at] = chance.choice(TOKENS).encode()
        elif form == 2:
            del found[at : at + chance.randint(1, 12)]
        elif form == 3:
            found[at:at] = found[at : at + chance.randint(1, 20)] * chance.choice((1, 2, 10))
        elif form == 4 and other:
            start = chance.randrange(len(other))
            found[at:at] = other[start : start + chance.randint(1, 60)]
        elif form == 5 and at < len(found):
            found[at] = chance.randrange(256)
        else:
            found += b"\xff" + encode(made(chance))
    return bytes(found[:4000])
