"""The README's tables and pictures, generated: ``python -m billing.diagrams`` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

from billing.ledger.model import ACCOUNT_KINDS, ACCOUNTS_ZH, ALLOWED
from billing.lifecycles import TABLES

README = Path(__file__).parent / "README.md"


def accounts() -> str:
    """The chart of accounts as a Markdown table."""
    rows = [f"| `{word}` | {ACCOUNTS_ZH[word]} | {kind} |" for word, kind in ACCOUNT_KINDS.items()]
    return "\n".join(["| Account | 科目 | Kind |", "|---|---|---|", *rows])


def entries() -> str:
    """The kinds of ledger entries and the accounts that each may touch."""
    rows = [
        f"| `{kind}` | {', '.join(f'`{a}`' for a in sorted(debits))} | {', '.join(f'`{a}`' for a in sorted(credits))} |"
        for kind, (debits, credits) in ALLOWED.items()
    ]
    return "\n".join(["| Entry | May debit | May credit |", "|---|---|---|", *rows])


def sections() -> dict[str, str]:
    """Every generated part by its name."""
    tables = {table.name: f"```mermaid\n{table.mermaid()}\n```\n\n{table.markdown()}" for table in TABLES}
    return {**tables, "accounts": accounts(), "entries": entries()}


def refreshed(text: str) -> str:
    """``text`` with every generated part as the tables say now; raises ValueError when a part has no place."""
    for name, body in sections().items():
        marks = re.compile(rf"<!-- generated: {name} -->.*?<!-- end: {name} -->", re.DOTALL)
        found = len(marks.findall(text))
        if found != 1:
            raise ValueError(f"the README has {found} places for {name}")
        part = f"<!-- generated: {name} -->\n\n{body}\n\n<!-- end: {name} -->"
        text = marks.sub(lambda _, part=part: part, text)  # type: ignore[misc]
    return text


def main() -> None:
    README.write_text(refreshed(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
