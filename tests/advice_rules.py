"""Rules for advice that tests write themselves, so that they hold whatever rules are shipped."""

from collections.abc import Mapping
from pathlib import Path

PAID = "own-paid"
NAMED = "own-buyer"
BUYER = "张三"
"""Who is named in `tests.documents.order`: never to be seen in advice or logs."""


def rule(name: str, **changes: str) -> str:
    """Write one rule on orders, by default one that an `acturalPaid` of 200 or more breaks; values are TOML."""
    keys: Mapping[str, str] = {
        "types": '["CEB311Message"]',
        "holds": '"acturalPaid < 200"',
        "at": '"acturalPaid"',
        "severity": '"error"',
        "who": '"platform"',
        "grade": '"U"',
        "source": '"a test"',
        "zh": '"实付金额{acturalPaid}过大"',
        "en": '"acturalPaid {acturalPaid} is too much"',
        "fix_zh": '"核对实付金额"',
        "fix_en": '"check acturalPaid"',
        **changes,
    }
    return "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in keys.items()), ""])


def about_the_buyer(name: str = NAMED) -> str:
    """Write a rule that no order keeps, at the name of the buyer, which its texts quote."""
    return rule(
        name,
        holds="\"buyerName = 'nobody'\"",
        at='"buyerName"',
        severity='"hint"',
        en='"buyerName {buyerName} is unusual"',
        zh='"订购人姓名{buyerName}不常见"',
    )


def write_rules(folder: Path, *rules: str) -> Path:
    """Put rules into the folder of an operator's own, in place of those there."""
    folder.mkdir(exist_ok=True)
    draft = folder / "rules.draft"
    draft.write_text("\n".join(rules), "utf-8")
    draft.rename(folder / "own.toml")
    return folder


def paid(body: bytes, amount: str) -> bytes:
    """Change what was paid in an order of `tests.documents`."""
    return body.replace(b"<ceb:acturalPaid>109.1<", f"<ceb:acturalPaid>{amount}<".encode())
