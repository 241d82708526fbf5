"""The places in a document on which advice is given."""

import re
from collections.abc import Iterable, Sequence

from lxml import etree
from msgspec import structs

from gateway.model import Advice
from gateway.rules.plain_form import PlainForm
from gateway.xml.element_paths import positions_at, step_of


def on_lines(advice: Sequence[Advice], body: bytes, root: etree._Element) -> tuple[Advice, ...]:
    """Return the advice with lines and columns; of a field that is not there, those of what should hold it.

    `root` is the tree of `body`.
    """
    if not advice:
        return ()
    places = positions_at(body, root, [one.path for one in advice])
    return tuple(
        [structs.replace(one, line=places[one.path].line, column=places[one.path].column) for one in advice]
    )


def on_lines_of_plain(
    advice: Sequence[Advice], form: PlainForm, declarations: Sequence[re.Match[str]]
) -> tuple[Advice, ...]:
    """Do as `on_lines` for a document in plain form, without a tree; `declarations`: as its expression has found them."""
    if not advice:
        return ()
    prefix = form.name.removesuffix(form.kind.name)
    offsets = [_offset(one.path.split("/")[3:], prefix, declarations[one.declaration - 1]) for one in advice]
    places = _lines_and_columns(declarations[0].string, offsets)
    return tuple(
        [
            structs.replace(one, line=places[at][0], column=places[at][1])
            for one, at in zip(advice, offsets, strict=True)
        ]
    )


def _lines_and_columns(text: str, offsets: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Return line and column of each offset; the text is gone through once, whatever their number."""
    found: dict[int, tuple[int, int]] = {}
    line, line_feed, before = 1, -1, 0
    for at in sorted(set(offsets)):
        if passed := text.count("\n", before, at):
            line, line_feed = line + passed, text.rindex("\n", before, at)
        found[at] = line, at - line_feed
        before = at
    return found


def _offset(steps: Sequence[str], prefix: str, declaration: re.Match[str]) -> int:
    """Follow the steps below a declaration as far as there are elements; return where the last start tag begins."""
    text, end = declaration.string, declaration.end()
    at = text.index("<", declaration.start())
    for name, position in map(step_of, steps):
        found = at
        for _ in range(position):
            found = text.find(f"<{prefix}{name}>", found + 1, end)
            if found < 0:
                return at
        at, end = found, text.index(f"</{prefix}{name}>", found)
    return at
