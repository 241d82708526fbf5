"""The pages that are written from the code: `make docs` writes them, a test compares them."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.cli.reference import reference
from gateway.observe.log import event_table
from gateway.problems import MEDIA_TYPE, PROBLEMS, TYPE_BASE
from gateway.rules.texts import fault_words, rule_of
from gateway.simulator.markers import table as magic_table
from spool.lifecycle import diagram
from tests.advice_mistakes import first_advice
from tests.shipped_rules import shipped

REPOSITORY: Final = Path(__file__).resolve().parents[1]
_MERMAID: Final = re.compile(r"(?<=^```mermaid\n).*?(?=\n```$)", re.MULTILINE | re.DOTALL)
_MAGIC: Final = re.compile(r"(?<=<!-- markers -->\n).*(?=<!-- /markers -->)", re.DOTALL)
_EVENTS: Final = """\
# Log events

Written from `gateway/observe/log.py` by `make docs`; a test compares the two.

The gateway logs one JSON object a line on stdout. Every line has `event`, `level` and `time` (UTC). A line
about a message carries `message_id`, `enterprise` and `message_type`; one about an attempt `destination`,
`attempt` and `error`. Bodies, keys, names and numbers of people never appear.

"""
_PROBLEMS: Final = f"""\
# Problems

Written from `gateway/problems.py` by `make docs`; a test compares the two.

Whatever the HTTP API cannot do it answers with an RFC 9457 document, `{MEDIA_TYPE}`: `code` is from this
table and never changes its meaning, `type` is `{TYPE_BASE}` and the code, `faults` lists every place that
is wrong.

| code | status | title | 中文 |
|---|---|---|---|
"""
_RULES: Final = """
## Faults

What a fault says, by its `rule`; from `gateway/rules/texts/en.toml` and `zh.toml`. Words in braces are filled in. A rule never changes
its meaning; texts may, so programs go by `rule`, `element` and `path`. Faults of the door itself (login, quota, parameters) have rules of their own.

| rule | says | 中文 | what to do | 改正方法 |
|---|---|---|---|---|
"""
_ADVICE: Final = """\
# What advice says

Written from `mappings/rules.toml` by `make docs`; a test compares the two. [Rules of advice](rules.md) tells what a rule is.

Each rule with its example, an otherwise sound declaration with that one mistake, and what is said of it. `who` is who has
to act, `code` the one that customs would answer with, where it is known.

"""


def pages() -> dict[Path, str]:
    """Return each generated page: its file, and what is to stand in it."""
    docs = REPOSITORY / "docs"
    architecture = REPOSITORY / "ARCHITECTURE.md"
    sandbox = docs / "sandbox.md"
    return {
        docs / "advice.md": _ADVICE + "\n".join(_advice()),
        docs / "cli.md": reference(),
        docs / "events.md": _EVENTS + event_table(),
        docs / "problems.md": _problems(),
        sandbox: _MAGIC.sub(lambda _: magic_table(), sandbox.read_text(encoding="utf-8")),
        architecture: with_diagram(architecture.read_text(encoding="utf-8")),
    }


def with_diagram(page: str) -> str:
    """Return a page with the state diagram in its one Mermaid block; ValueError when it has not just one."""
    written, blocks = _MERMAID.subn(lambda _: diagram(), page)
    if blocks != 1:
        raise ValueError(f"ARCHITECTURE.md has {blocks} Mermaid blocks, must have one")
    return written


def _problems() -> str:
    problems = "".join(
        f"| `{code}` | {one.status.value} | {one.title} | {one.title_zh} |\n"
        for code, one in PROBLEMS.items()
    )
    rules = "".join(
        f"| `{rule_of(key)}` | {' | '.join(map(_cell, (one.message, one.message_zh, one.fix, one.fix_zh)))} |\n"
        for key, one in fault_words().items()
    )
    return _PROBLEMS + problems + _RULES + rules


def _cell(text: str) -> str:
    """Return a text for a cell of a table, where `<` and `&` must not become markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def _advice() -> Iterator[str]:
    """Yield a paragraph for each rule."""
    for rule in shipped().rulebook.rules.values():
        if not rule.breaks:  # it looks into what an enterprise has registered
            continue
        kind, said = first_advice(rule)
        code = f", code {said.code}" if said.code else ""
        example = ", ".join(f"{key} = `{text}`" if text else f"no {key}" for key, text in rule.breaks.items())
        yield (
            f"## {rule.name}\n\n"
            f"{said.severity}, grade {said.grade}, {said.who}{code}. {kind}, {said.element}: {example}\n\n"
            f"- {said.message}\n- {said.fix}\n- {said.message_zh}\n- {said.fix_zh}\n"
        )


def main() -> int:
    """Write the pages that are not up to date, and name them."""
    for file, text in pages().items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(f"written: {file.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
