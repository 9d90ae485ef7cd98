"""Merge the parts of the Chinese translation and compile them, or check that nothing is missing.

``python i18n/build.py`` writes ``ckanext-govopen.mo``; ``--check`` lists texts of templates and code that
have no translation, and texts translated in two ways, and exits 1 when there are any.

Parts lie in ``<locale>/LC_MESSAGES/parts/*.po``. A part whose name begins with ``override-`` translates CKAN's own
texts that our pages show; it may do so again where CKAN has them already.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import polib

I18N = Path(__file__).resolve().parent
EXTENSION = I18N.parent
DOMAIN = "ckanext-govopen"
METADATA = {
    "Content-Type": "text/plain; charset=UTF-8", "Content-Transfer-Encoding": "8bit", "MIME-Version": "1.0",
    "Plural-Forms": "nplurals=1; plural=0;",
}
KEYWORDS = {"_": None, "gettext": None, "ungettext": (1, 2), "ngettext": (1, 2), "N_": None, "pgettext": ((1, "c"), 2)}
EXTRACTORS = (("**.py", "python"), ("templates/**.html", "ckan.lib.extract:extract_ckan"))

def locales() -> list[Path]:
    """Folders ``LC_MESSAGES`` that have parts."""
    return sorted(path.parent for path in I18N.glob("*/LC_MESSAGES/parts"))


def merge(folder: Path) -> tuple[polib.POFile, list[str]]:
    """One catalogue of all parts, and what two parts translate differently; later parts win."""
    merged = polib.POFile()
    merged.metadata = METADATA
    conflicts: list[str] = []
    known: dict[tuple[str | None, str], polib.POEntry] = {}
    for part in sorted((folder / "parts").glob("*.po")):
        for entry in polib.pofile(str(part), encoding="utf-8"):
            if entry.obsolete:
                continue
            key = (entry.msgctxt, entry.msgid)
            before = known.get(key)
            if before is not None:
                if (before.msgstr, before.msgstr_plural) != (entry.msgstr, entry.msgstr_plural):
                    conflicts.append(f"{part.name}: {entry.msgid!r}: {before.msgstr!r} and {entry.msgstr!r}")
                before.msgstr, before.msgstr_plural = entry.msgstr, entry.msgstr_plural
                continue
            known[key] = polib.POEntry(
                msgid=entry.msgid, msgstr=entry.msgstr, msgctxt=entry.msgctxt, msgid_plural=entry.msgid_plural,
                msgstr_plural=entry.msgstr_plural, flags=[flag for flag in entry.flags if flag != "fuzzy"],
            )
            merged.append(known[key])
    return merged, conflicts


def build() -> int:
    """Write the .po and the .mo of every locale; returns how many texts were compiled."""
    count = 0
    for folder in locales():
        merged, _ = merge(folder)
        target = folder / f"{DOMAIN}.mo"
        draft = target.with_suffix(f".{os.getpid()}.tmp")  # two may build at once
        merged.save_as_mofile(str(draft))
        draft.replace(target)
        count += len(merged)
    return count


def used_texts() -> dict[str, str]:
    """Every text marked for translation, with the first place where it stands."""
    from babel.messages.extract import extract_from_dir

    found: dict[str, str] = {}
    for filename, line, message, *_ in extract_from_dir(
        str(EXTENSION), method_map=list(EXTRACTORS), keywords=KEYWORDS,
        directory_filter=lambda path: Path(path).name not in ("migration", "i18n", "node_modules", "public"),
    ):
        text = message[0] if isinstance(message, tuple) else message
        if text:
            found.setdefault(text, f"{filename}:{line}")
    return found


def core_texts(locale: str) -> set[str]:
    """What CKAN's own catalogue has translated."""
    import ckan

    file = Path(str(ckan.__file__)).parent / "i18n" / locale / "LC_MESSAGES" / "ckan.mo"
    return {entry.msgid for entry in polib.mofile(str(file)) if entry.msgstr or entry.msgstr_plural} \
        if file.exists() else set()


def check() -> list[str]:
    """Complaints, one a line."""
    complaints: list[str] = []
    used = used_texts()
    for folder in locales():
        merged, conflicts = merge(folder)
        complaints += conflicts
        translated = {entry.msgid for entry in merged if entry.msgstr or any(entry.msgstr_plural.values())}
        translated |= core_texts(folder.parent.name)
        complaints += [f"{where}: not translated: {text!r}" for text, where in sorted(used.items(), key=lambda t: t[1])
                       if text not in translated]
        complaints += [
            f"{entry.msgid!r}: placeholders differ" for entry in merged
            if entry.msgstr and _placeholders(entry.msgid) != _placeholders(entry.msgstr)
        ]
    return complaints


def _placeholders(text: str) -> set[str]:
    import re

    return set(re.findall(r"\{[a-z_0-9]+\}|%\([a-z_0-9]+\)[sd]|%[sd]", text))


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        complaints = check()
        print("\n".join(complaints) or "every text is translated")
        return 1 if complaints else 0
    print(f"{build()} texts compiled")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
