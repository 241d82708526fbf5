"""The fields of each declaration of a valid message, as texts, for rules to judge."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from gateway.model import MessageType
from gateway.rules.explain import own_text
from gateway.rules.plain_form import PlainForm

_LEAF: Final = re.compile(r"<([^<>/]*+)>([^<]++)</")
"""An element with a text: its name, with its prefix, and its text."""


@dataclass(slots=True)
class DeclaredFields:
    """One declaration: the texts of its head, and of each of its items; fields without a text are absent."""

    head: dict[str, str] = field(default_factory=dict)
    items: list[dict[str, str]] = field(default_factory=list)


def declared_in_plain(form: PlainForm, declarations: Iterable[re.Match[str]]) -> list[DeclaredFields]:
    """Return the declarations of a valid document in plain form, of which its expression has found nearly all already."""
    part, prefix = form.body, form.name.removesuffix(form.kind.name)
    return [
        DeclaredFields(head=part.head(one), items=_items(one[part.items] or "", prefix) if part.items else [])
        for one in declarations
    ]


def _items(text: str, prefix: str) -> list[dict[str, str]]:
    """Read elements of one name that follow each other."""
    if not text:
        return []
    cut = len(prefix)
    return [
        {name[cut:]: value for name, value in _LEAF.findall(one) if not value.isspace()}
        for one in text.split(text[: text.index(">") + 1])[1:]
    ]


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
