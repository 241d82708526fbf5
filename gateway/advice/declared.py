"""The fields of each declaration of a valid message, as texts, for rules to judge."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from lxml import etree

from gateway.model import MessageType
from gateway.rules.explain import own_text

_PREFIX: Final = "ceb:"
_NAME: Final = "[A-Za-z][A-Za-z0-9]*+"
_BLANKS: Final = ("> ", ">\n", ">\t", ">\r")
"""Where a text may be blank, or a document is written with line ends between its elements."""


@dataclass(slots=True)
class DeclaredFields:
    """One declaration: the texts of its head, and of each of its items; fields without a text are absent."""

    head: dict[str, str] = field(default_factory=dict)
    items: list[dict[str, str]] = field(default_factory=list)


def declared_in_plain(text: str, kind: MessageType) -> list[DeclaredFields]:
    """Read the declarations of a valid document in plain form (`gateway.rules.plain_form`).

    Cutting at the few tags that hold others leaves pieces that one expression each reads, without a step a field.
    """
    prefix = _PREFIX if f"<{_PREFIX}{kind.body}>" in text else ""
    item = _item_tag(text, kind, prefix)
    fields = _fields_of_spaced if any(blank in text for blank in _BLANKS) else _fields_of_dense
    found: list[DeclaredFields] = []
    for piece in text.split(f"<{prefix}{kind.body}>")[1:]:
        body = piece[: piece.index(f"</{prefix}{kind.body}>")]
        head, *items = body.split(item) if item else (body,)
        found.append(DeclaredFields(head=fields(head, prefix), items=[fields(one, prefix) for one in items]))
    return found


def _fields_of_dense(piece: str, prefix: str) -> dict[str, str]:
    return dict(_leaves(prefix).findall(piece))


def _fields_of_spaced(piece: str, prefix: str) -> dict[str, str]:
    return {name: text for name, text in _leaves(prefix).findall(piece) if not text.isspace()}


def _item_tag(text: str, kind: MessageType, prefix: str) -> str:
    """Return the start tag of the items, which follow the head; empty where there are none."""
    if not kind.head:
        return ""
    found = re.search(rf"</{prefix}{kind.head}>\s*+(<{prefix}{_NAME}>)", text)
    return found[1] if found else ""


@cache
def _leaves(prefix: str) -> re.Pattern[str]:
    """Return the expression for a field that has a text: its name and its text."""
    return re.compile(rf"<{prefix}([^<>/]*+)>([^<]++)</")


def declared_in_tree(root: etree._Element, kind: MessageType) -> list[DeclaredFields]:
    """Read the declarations of any valid document."""
    return [_of_body(body, kind) for body in root.iterchildren("{*}" + kind.body)]


def _of_body(body: etree._Element, kind: MessageType) -> DeclaredFields:
    found = DeclaredFields(head=dict(_texts(body)))
    for child in body.iterchildren("*"):
        if len(child) == 0:
            continue
        if etree.QName(child).localname == kind.head:
            found.head.update(_texts(child))
        else:
            found.items.append(dict(_texts(child)))
    return found


def _texts(holder: etree._Element) -> Iterator[tuple[str, str]]:
    for child in holder.iterchildren("*"):
        text = own_text(child)
        if text and not text.isspace():
            yield etree.QName(child).localname, text
