"""The worked examples of docs/mappings.md, as they stand there, and the mappings that are shipped."""

import re
from functools import cache
from pathlib import Path
from typing import Final

from gateway.mapping.language import SourceMapping
from gateway.mapping.loading import load_mappings
from gateway.rules.loading import Rules, load_rules

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "mappings.md"
EXAMPLES: Final = {"payments": "payments.json", "orders": "orders.json", "inventories": "inventories.csv"}

rules = cache(load_rules)


@cache
def mappings() -> dict[str, SourceMapping]:
    return dict(load_mappings(shipped()))


def shipped() -> Rules:
    return rules()


def example(name: str) -> bytes:
    """The fenced block after the name of the file."""
    file = EXAMPLES[name]
    found = re.search(
        rf"^`{re.escape(file)}`.*?^```\w+\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found is not None, file
    return found[1].encode()


def block(language: str, holding: str) -> str:
    """The fenced block in that language that holds a text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (found,) = [one for one in blocks if holding in one]
    return str(found)
