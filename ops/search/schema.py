"""CKAN's index schema as data: field types, stored fields, copy fields, and the XML that CKAN asks for.

The source is ``ckan/config/solr/schema.xml`` of CKAN 2.12. A name that no rule matches falls into the
catch-all: an exact string, indexed and not stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from xml.sax.saxutils import quoteattr

SCHEMA_NAME = "ckan-2.12"


class Kind(Enum):
    STRING = "string"
    TEXT = "text"
    TEXT_GENERAL = "text_general"
    NGRAM = "text_ngram"
    DATE = "date"
    INT = "int"
    STORED = "stored"

    __hash__ = object.__hash__
    """Members are keys of caches that every word goes through."""

    @property
    def is_text(self) -> bool:
        return self in (Kind.TEXT, Kind.TEXT_GENERAL, Kind.NGRAM)


@dataclass(frozen=True, slots=True)
class Field:
    """One field or dynamic rule. ``own`` says that the engine has a tantivy field of this very name."""

    name: str
    kind: Kind
    stored: bool = True
    multi: bool = False
    own: bool = False


_STRINGS = (
    "index_id", "id", "site_id", "entity_type", "dataset_type", "state", "name", "revision_id", "version", "url",
    "ckan_url", "download_url", "license", "license_id", "organization", "capacity", "_version_",
)
_RELATIONS = (
    "depends_on", "dependency_of", "derives_from", "has_derivation", "links_to", "linked_from", "child_of", "parent_of",
)
_FIGURES = ("govopen_rows", "govopen_downloads", "govopen_rating")
"""Whole numbers that the extension sorts by; it pads them with zeros, so that Solr's catch-all sorts them too."""


NOTED = ("govopen_stamp",)
"""Kept with a document for rebuilds: neither looked for nor shown."""


def _fields() -> dict[str, Field]:
    fields: list[Field] = []
    for name in _STRINGS:
        fields.append(Field(name, Kind.STRING))
    for name in ("tags", "groups", "res_format", "res_url", "res_type"):
        fields.append(Field(name, Kind.STRING, multi=True))
    fields.append(Field("permission_labels", Kind.STRING, stored=False, multi=True))
    fields.append(Field("title_string", Kind.STRING, stored=False))
    fields += [Field(name, Kind.TEXT, own=True) for name in ("title", "notes")]
    fields += [Field(name, Kind.TEXT, stored=False, multi=True, own=True) for name in ("text", "urls")]
    for name in _RELATIONS:
        fields.append(Field(name, Kind.TEXT, stored=False, multi=True))
    for name in ("author", "author_email", "maintainer", "maintainer_email"):
        fields.append(Field(name, Kind.TEXT_GENERAL, own=True))
    for name in ("res_name", "res_description"):
        fields.append(Field(name, Kind.TEXT_GENERAL, multi=True, own=True))
    fields += [Field(name, Kind.NGRAM, own=True) for name in ("title_ngram", "name_ngram")]
    for name in ("metadata_created", "metadata_modified", "indexed_ts", "govopen_updated_date"):
        fields.append(Field(name, Kind.DATE, own=True))
    for name in ("views_total", "views_recent", "resources_accessed_total", "resources_accessed_recent", *_FIGURES):
        fields.append(Field(name, Kind.INT, stored=False, own=True))
    fields += [Field(name, Kind.STORED) for name in ("data_dict", "validated_data_dict")]
    fields += [Field(name, Kind.STORED, stored=False) for name in NOTED]
    return {field.name: field for field in fields}


FIELDS: dict[str, Field] = _fields()

DYNAMIC: tuple[tuple[str, Field], ...] = (
    ("res_extras_*", Field("res_extras_*", Kind.TEXT, multi=True)),
    ("extras_*", Field("extras_*", Kind.TEXT)),
    ("vocab_*", Field("vocab_*", Kind.STRING, multi=True)),
    ("*_date", Field("*_date", Kind.DATE)),
    ("*", Field("*", Kind.STRING, stored=False)),
)
"""In the order they are tried: Solr takes the longest pattern first."""

COPIES: tuple[tuple[str, str], ...] = (
    ("url", "urls"), ("ckan_url", "urls"), ("download_url", "urls"), ("res_url", "urls"),
    ("title", "title_ngram"), ("name", "name_ngram"),
    ("extras_*", "text"), ("res_extras_*", "text"), ("vocab_*", "text"), ("urls", "text"), ("name", "text"),
    ("title", "text"), ("text", "text"), ("license", "text"), ("notes", "text"), ("tags", "text"),
    ("groups", "text"), ("organization", "text"), ("res_name", "text"), ("res_description", "text"),
    ("maintainer", "text"), ("author", "text"),
)

UNIQUE_KEY = "index_id"


def _matches(pattern: str, name: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    if pattern.startswith("*"):
        return name.endswith(pattern[1:])
    return pattern == name


@lru_cache(maxsize=4096)
def field_of(name: str) -> Field:
    """The rule that governs a field name; never fails, because of the catch-all."""
    found = FIELDS.get(name)
    if found is not None:
        return found
    return next(rule for pattern, rule in DYNAMIC if _matches(pattern, name))


@lru_cache(maxsize=4096)
def copies_of(name: str) -> tuple[str, ...]:
    """Fields that a source value is copied to (copies are not chained)."""
    return tuple(target for source, target in COPIES if _matches(source, name) and target != name)


def schema_xml() -> str:
    """The schema as Solr's managed-schema end point prints it."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<schema name="{SCHEMA_NAME}" version="1.6">',
        f"  <uniqueKey>{UNIQUE_KEY}</uniqueKey>",
    ]
    for kind in Kind:
        if kind is not Kind.STORED:
            lines.append(f'  <fieldType name="{kind.value}" class="govopen.{kind.value}"/>')
    for tag, rules in (("field", FIELDS.values()), ("dynamicField", [rule for _, rule in DYNAMIC])):
        for rule in rules:
            shown = "string" if rule.kind is Kind.STORED else rule.kind.value
            lines.append(
                f'  <{tag} name={quoteattr(rule.name)} type="{shown}"'
                f' indexed="{str(rule.kind is not Kind.STORED).lower()}" stored="{str(rule.stored).lower()}"'
                f' multiValued="{str(rule.multi).lower()}"/>'
            )
    lines += [f'  <copyField source="{source}" dest="{target}"/>' for source, target in COPIES]
    lines.append("</schema>")
    return "\n".join(lines) + "\n"
