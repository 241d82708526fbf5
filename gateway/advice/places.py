"""The places in a document on which advice is given."""

import re
from collections.abc import Sequence

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
    return tuple([_on_line(one, form, declarations[one.declaration - 1]) for one in advice])


def _on_line(one: Advice, form: PlainForm, declaration: re.Match[str]) -> Advice:
    text = declaration.string
    at = _offset(one.path.split("/")[3:], form.name.removesuffix(form.kind.name), declaration)
    return structs.replace(one, line=text.count("\n", 0, at) + 1, column=at - text.rfind("\n", 0, at))


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
