"""Made requests in families: what people and programs send to a Solr index beyond what CKAN's own tests do."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ops.search.oracle import functions
from ops.search.oracle.corpus import FREQUENCIES, JOINED, NOW, PEOPLE, TAGS, WORDS
from ops.search.oracle.pieces import (
    DATES,
    NUMBERS,
    STRINGS,
    TEXTS,
    bounds,
    escaped,
    instant,
    leaf,
    nested,
    phrase,
    plain,
    string_value,
    typed,
    word,
)

CKAN_QF = "name^4 title^4 tags^2 groups^2 text"

Parameters = dict[str, str | list[str]]
Family = Callable[[random.Random], Parameters]


@dataclass(frozen=True)
class Question:
    """One request. ``ordered``: is the order of the hits judged too?"""

    family: str
    parameters: Parameters = field(hash=False)
    ordered: bool = False


# -- families ---------------------------------------------------------------------------------------------------


def ranges(chance: random.Random) -> Parameters:
    kind = chance.randint(0, 3)
    if kind == 0:
        name = chance.choice(STRINGS)
        ends = [string_value(chance, name) for _ in range(2)]
        ends = [f'"{end}"' if " " in end or chance.random() < 0.3 else escaped(end) for end in ends]
        if chance.random() < 0.4:
            ends = [chance.choice("acmprtwzACN19") for _ in range(2)]
    elif kind == 1:
        name = chance.choice(NUMBERS)
        ends = [str(chance.randint(-5, 60)) for _ in range(2)]
    elif kind == 2:
        name = chance.choice(DATES)
        ends = [instant(chance) for _ in range(2)]
        ends = [f'"{end}"' if chance.random() < 0.2 else end for end in ends]
    else:
        name = chance.choice(("title", "text", "author", "notes"))
        ends = [plain(chance)[: chance.randint(1, 6)] for _ in range(2)]
    if chance.random() < 0.75:
        ends.sort()
    clause = f"{name}:{bounds(chance, *ends)}"
    return _placed(chance, clause)


def _placed(chance: random.Random, clause: str) -> Parameters:
    """A clause as the query, as a filter, beside another, or excluded."""
    form = chance.randint(0, 4)
    if form == 0:
        return {"q": "*:*", "fq": [clause]}
    if form == 1:
        return {"q": f"{clause} {chance.choice(('AND', 'OR', '+', '-', ''))} {plain(chance)}"}
    if form == 2:
        return {"q": "*:*", "fq": [f"-{clause}"]}
    return {"q": clause}


def wildcards(chance: random.Random) -> Parameters:
    name = chance.choice((*STRINGS, *TEXTS, ""))
    base = string_value(chance, name) if name in STRINGS else chance.choice((*WORDS, *PEOPLE[0].split(), *FREQUENCIES))
    at = chance.randint(0, len(base))
    made = chance.choice(
        (
            base[:at] + "*",
            "*" + base[at:],
            base[:at] + "?" + base[at + 1 :],
            base[:at] + "*" + base[at + 2 :],
            base[: at // 2] + "*" + base[at // 2 : at] + "*",
            "?" + base[1:],
            base[:1] + "??*",
        )
    )
    pattern = "".join(char if char in "*?" else escaped(char) for char in made)
    return _placed(chance, f"{name}:{pattern}" if name else pattern)


def fuzzy(chance: random.Random) -> Parameters:
    name = chance.choice(("", "title", "notes", "tags", "name", "organization", "author", "rank_code", "groups"))
    base = list(string_value(chance, name) if name in STRINGS else plain(chance))
    for _ in range(chance.randint(0, 2)):
        at = chance.randrange(len(base)) if base else 0
        change = chance.randint(0, 3)
        if change == 0 and len(base) > 2:
            del base[at]
        elif change == 1:
            base.insert(at, chance.choice("aeiorst"))
        elif change == 2 and at + 1 < len(base):
            base[at], base[at + 1] = base[at + 1], base[at]
        elif base:
            base[at] = chance.choice("aeiorst")
    text = escaped("".join(base)) + chance.choice(("~", "~1", "~2", "~0", "~0.7", "~0.5", "~1^2"))
    return _placed(chance, f"{name}:{text}" if name else text)


def proximity(chance: random.Random) -> Parameters:
    name = chance.choice(("", "", "title", "notes", "res_description", "res_name", "text", "author"))
    words = PEOPLE[chance.randrange(6)].split() if name == "author" else None
    size = chance.choice((2, 2, 2, 3, 4))
    made = '"' + " ".join(chance.sample(words, 2)) + '"' if words else phrase(chance, size)
    slop = chance.choice(("", "~0", "~1", "~2", "~3", "~5", "~10", "~40", "~90"))
    return _placed(chance, f"{name}:{made}{slop}" if name else made + slop)


def boolean(chance: random.Random) -> Parameters:
    return {"q": nested(chance), "q.op": chance.choice(("AND", "OR"))}


def boosts(chance: random.Random) -> Parameters:
    clauses = [f"{leaf(chance)}^{chance.choice(('0.5', '2', '3', '10', '=1', '=3', '=0.5'))}" for _ in range(2)]
    clauses.append(leaf(chance))
    chance.shuffle(clauses)
    return {"q": " ".join(clauses), "q.op": "OR"}


def escapes(chance: random.Random) -> Parameters:
    name = chance.choice(("tags", "rank_code", "version", "title", "text", "url"))
    values = {"title": JOINED, "text": JOINED, "url": ("https://example.org/river/1", "https://example.org/bus/2")}
    value = chance.choice(values[name]) if name in values else string_value(chance, name)
    form = chance.randint(0, 3)
    if form == 0:
        return _placed(chance, f"{name}:{escaped(value)}")
    if form == 1:
        return _placed(chance, f'{name}:"{value}"')
    if form == 2:
        return _placed(chance, f"{name}:" + "".join("\\" + char for char in value))
    return _placed(chance, f"{name}:{value}")


MM = ("1", "2", "100%", "50%", "75%", "-1", "-25%", "2<-1 5<80%", "3<2", "0")


def _shape(chance: random.Random) -> Parameters:
    made: Parameters = {
        "qf": chance.choice((CKAN_QF, "title^2 notes", "title", "text", "title^3 text^0.5", "name tags text"))
    }
    if chance.random() < 0.7:
        made["mm"] = chance.choice(MM)
    if chance.random() < 0.4:
        made["tie"] = chance.choice(("0.1", "0", "1.0"))
    if chance.random() < 0.3:
        made["pf"] = chance.choice(("title^5", "title^2 notes", "text^3"))
        made["ps"] = "0"
    if chance.random() < 0.2:
        made["bq"] = [f"{leaf(chance)}^{chance.choice((1, 5))}" for _ in range(2)]
    return made


def dismax(chance: random.Random) -> Parameters:
    made: Parameters = {"q": typed(chance), "defType": "dismax", **_shape(chance)}
    if "pf" in made:
        made["q"] = str(made["q"]).replace("-", "+")
    return made


def edismax(chance: random.Random) -> Parameters:
    if chance.random() < 0.35:
        text = nested(chance).replace("!", "-").replace("||", "OR")
        text = re.sub(r"(NOT )[+-]", r"\1", text)
        made: Parameters = {"q": text, "defType": "edismax", "sow": "true", **_shape(chance)}
        return {name: value for name, value in made.items() if name != "pf"}
    text = typed(chance)
    made = {"q": text, "defType": "edismax", "sow": "true", **_shape(chance)}
    if "pf" in made:
        made["q"] = text.replace("-", "+")
    if chance.random() < 0.3:
        made["q.op"] = "OR"
        made["q"] = text.replace("-", "+")
        made["pf2"] = chance.choice(("title^3", "text^2"))
        if chance.random() < 0.5:
            made["pf3"] = "title^4"
    return made


def user_fields(chance: random.Random) -> Parameters:
    clauses = [leaf(chance) for _ in range(chance.randint(1, 3))]
    uf = chance.choice(("title tags", "*", "* -title", "title", "-tags", "* -*_total", "t*", "-*", "name,title"))
    return {"q": " ".join(clauses), "defType": "edismax", "sow": "true", "qf": "title text", "mm": "1", "uf": uf}


def functional(chance: random.Random) -> Parameters:
    """``bf`` of dismax and edismax, ``boost`` of edismax."""
    made: Parameters = {"q": plain(chance), "qf": "title^2 text", "mm": "1", "sow": "true"}
    if chance.random() < 0.7:
        made["q"] = ""
        made["q.alt"] = chance.choice(("*:*", "title:[a TO z]"))
    made["defType"] = chance.choice(("dismax", "edismax", "edismax"))
    if made["defType"] == "edismax" and chance.random() < 0.5:
        made["boost"] = [functions.expression(chance, 2) for _ in range(chance.choice((1, 1, 2)))]
    else:
        made["bf"] = " ".join(
            functions.expression(chance, 2, spaces=False) + chance.choice(("", "", "^2", "^0.5"))
            for _ in range(chance.choice((1, 1, 2)))
        )
    return made


def regex(chance: random.Random) -> Parameters:
    name = chance.choice(("", "title", "tags", "name", "organization", "rank_code", "author"))
    base = plain(chance)
    made = chance.choice(
        (
            f"{base[:2]}.*",
            f".*{base[-2:]}",
            f"{base[:1]}[a-z]+",
            f"({base}|{plain(chance)})",
            f"{base[:3]}.?.?",
            f"{base}s?",
            "org-[1-3]",
            "[a-d][0-9]",
            "[^a-m].*",
            f"{base[:1]}[a-z]{{2,4}}",
            "..",
            "a.i|x",
            "B2",
            "[A-Z].*",
            "<1-3>",
            "@",
            "~(a.*)",
            "[",
            "(",
            "a{1001}",
            "\\d+",
            "[0-9]+",
            "\\w\\d",
            "org\\-2",
            '"a1"',
            "#",
            "a&b",
        )
    )
    return _placed(chance, f"{name}:/{made}/" if name else f"/{made}/")


def long_post(chance: random.Random) -> Parameters:
    name = chance.choice(("name", "title", "tags"))
    values = " OR ".join(f'"{string_value(chance, name) if name != "title" else plain(chance)}"' for _ in range(120))
    return {"q": f"{name}:({values})", "fq": ["+state:active", f"license_id:({'cc-by ' * 40})"]}


def local(chance: random.Random) -> Parameters:
    tag = chance.choice(TAGS)
    made = chance.choice(
        (
            f"{{!term f=tags}}{tag}",
            f"{{!terms f=tags}}{tag},{chance.choice(TAGS)}",
            f"{{!prefix f=name}}{plain(chance)[:3]}",
            f"{{!field f=title}}{word(chance)} {word(chance)}",
            f"{{!lucene q.op=AND}}{plain(chance)} {plain(chance)}",
            f"{{!lucene q.op=OR df=title}}{plain(chance)} {plain(chance)}",
            f"{{!bool must={plain(chance)} should={plain(chance)}}}",
            f"{{!bool must_not={plain(chance)} filter=state:active}}",
            f"{{!bool should={plain(chance)} should={plain(chance)} filter='title:{plain(chance)}'}}",
            f"{{!term f=views_recent}}{chance.randint(0, 9)}",
            "{!terms f=license_id}cc-by,other-open",
        )
    )
    return {"q": "*:*", "fq": [made]} if chance.random() < 0.5 else {"q": made}


def facets(chance: random.Random) -> Parameters:
    made: Parameters = {
        "q": chance.choice(("*:*", plain(chance), f"title:{plain(chance)}")),
        "facet": "true",
        "facet.field": chance.sample(("tags", "groups", "organization", "res_format", "license_id", "rank_code"), 2),
        "facet.mincount": chance.choice(("1", "2")),
        "facet.limit": chance.choice(("5", "50", "-1")),
        "facet.query": [leaf(chance), f"views_total:[{chance.randint(0, 5)} TO *]"],
    }
    if chance.random() < 0.3:
        made["facet.sort"] = chance.choice(("index", "count"))
    if chance.random() < 0.3:
        made["facet.prefix"] = chance.choice("aowC")
    if chance.random() < 0.3:
        made["facet.missing"] = "true"
    if chance.random() < 0.3:
        made["facet.offset"] = "2"
    if chance.random() < 0.4:
        made["fq"] = [leaf(chance), "+state:active"]
    return made


def sorts(chance: random.Random) -> Parameters:
    keys = chance.sample(("metadata_modified", "views_recent", "title_string", "name", "license_id", "views_total"), 2)
    filters = ["views_recent:*", "views_total:*"]
    spec = ", ".join(f"{key} {chance.choice(('asc', 'desc'))}" for key in keys)
    return {"q": chance.choice(("*:*", plain(chance))), "fq": filters, "sort": spec, "start": chance.choice(("0", "7"))}


def garbage(chance: random.Random) -> Parameters:
    """Broken grammar: both must refuse, or both must find the same."""
    pieces = [
        '"',
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "^",
        "~",
        "*",
        "?",
        ":",
        "+",
        "-",
        "!",
        "\\",
        " AND ",
        " OR ",
        " NOT ",
        " TO ",
        "title:",
        "tags:",
        "a",
        "water",
        "river ",
        " ",
        "^2",
        "~1",
        "&&",
        "||",
        "\u3000",
        "[a TO b]",
        "*:*",
    ]
    text = "".join(chance.choice(pieces) for _ in range(chance.randint(1, 7)))
    if "{!" in text.replace(" ", ""):
        text = text.replace("!", "")
    made: Parameters = {"q": text if text.strip(' "\u3000') else "a"}
    if chance.random() < 0.4:
        made.update({"defType": chance.choice(("dismax", "edismax")), "qf": "title text", "sow": "true"})
        typed_text = re.sub(r"&&|\|\|", "", text)
        made["q"] = typed_text if typed_text.strip(' "\u3000') else "a"
    return made


FAMILIES: dict[str, tuple[Family, int, bool]] = {
    "ranges": (ranges, 5, False),
    "wildcards": (wildcards, 4, False),
    "fuzzy": (fuzzy, 4, False),
    "proximity": (proximity, 4, False),
    "boolean": (boolean, 6, False),
    "boosts": (boosts, 3, True),
    "escapes": (escapes, 2, False),
    "dismax": (dismax, 5, True),
    "edismax": (edismax, 6, True),
    "uf": (user_fields, 2, False),
    "functions": (functional, 6, True),
    "regex": (regex, 3, False),
    "post": (long_post, 1, False),
    "local": (local, 2, False),
    "facets": (facets, 3, False),
    "sorts": (sorts, 2, True),
    "garbage": (garbage, 4, False),
}
"""Family, its share of the questions, and whether the order is judged."""


def common() -> Parameters:
    """What every request carries: CKAN's defaults and the time."""
    return {"q.op": "AND", "df": "text", "NOW": str(int(NOW.timestamp() * 1000)), "wt": "json"}


def questions(count: int, seed: int, only: tuple[str, ...] = ()) -> Iterator[Question]:
    """``count`` questions from the families by their shares; the same for the same seed."""
    chance = random.Random(f"questions/{seed}")
    chosen = {name: FAMILIES[name] for name in only} if only else FAMILIES
    names = list(chosen)
    shares = [chosen[name][1] for name in names]
    for number in range(count):
        name = chance.choices(names, shares)[0]
        made = chosen[name][0](random.Random(f"{seed}/{name}/{number}"))
        yield Question(name, {**common(), **made}, chosen[name][2])
