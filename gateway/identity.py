"""Names of a declaration: the texts by which the spool finds it, and the text of its version.

A name is made of the fields that the catalogue gives as the key of its message type, never of a guid: customs makes up
its own for a receipt (docs/spec/messages.md, Correlating a receipt).
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from gateway.model import Declaration, MessageType, by_value
from gateway.rules.catalogue import Catalogue

SHORTEST_KEY: Final = 2
"""Least number of fields of a key in the catalogue."""
_ESCAPED: Final = {"%": "%25", "=": "%3D", " ": "%20"}


def identity(declaration: Declaration) -> str:
    """Name a declaration in one line: `CEB621Message agentCode=X copNo=Y`, fields in catalogue order.

    Equal for all submissions of one declaration. Every key of the catalogue has two fields or more; where
    fewer are given, they identify nothing by themselves, and the numbers given are added.
    """
    whole = len(declaration.key) >= SHORTEST_KEY
    fields = declaration.key if whole else {**declaration.key, **declaration.numbers}
    return lookup_text(declaration.message_type, fields.items())


def version(declaration: Declaration) -> str:
    """Name the version of a declaration; one version may have one content only (docs/adr/0003). Empty: not given."""
    time, kind = declaration.app_time, declaration.app_type
    return f"{time} {kind}" if time and kind else time


def handles(declaration: Declaration, message_type: MessageType) -> tuple[str, ...]:
    """Return the shorter texts that an answer may be looked up by: the handle field, else the declared numbers.

    Declared numbers count only where the enterprise gave no full key; all others are learned from customs. So nobody
    gets another enterprise's answers by declaring its numbers.
    """
    if message_type.handle in declaration.key:
        return (
            lookup_text(
                declaration.message_type, [(message_type.handle, declaration.key[message_type.handle])]
            ),
        )
    if len(declaration.key) == len(message_type.key):
        return ()
    return tuple(
        lookup_text(declaration.message_type, [(name, declaration.numbers[name])])
        for name in message_type.numbers
        if name in declaration.numbers
    )


def spellings(text: str, catalogue: Catalogue) -> tuple[str, ...]:
    """Return the identities that a text written by a person may mean: whole-number fields are compared by value."""
    name, fields = parse_identity(text)
    kind = catalogue.by_name(name)
    if kind is None or kind.integers.isdisjoint(fields):
        return (text,)
    values = {field: by_value(value) if field in kind.integers else value for field, value in fields.items()}
    return tuple(dict.fromkeys((lookup_text(name, values.items()), text)))


def parse_identity(text: str) -> tuple[str, dict[str, str]]:
    """Parse the text that `identity` wrote: the message type, and the fields with their values."""
    message_type, *fields = text.split(" ")
    pairs = [field.partition("=") for field in fields]
    if "%" not in text:  # nearly always
        return message_type, {name: value for name, _, value in pairs}
    return message_type, {name: unquote(value) for name, _, value in pairs}


def lookup_text(message_type: str, fields: Iterable[tuple[str, str]]) -> str:
    """Write a look-up text of a declaration: its message type and some of its fields."""
    parts = [f"{name}={value if value.isalnum() else _escape(value)}" for name, value in fields]
    return " ".join([message_type, *parts])


def _escape(value: str) -> str:
    """Percent-escape the characters that have a meaning in these texts, and any other white space."""
    return "".join(_ESCAPED.get(char) or (f"%{ord(char):02X}" if char.isspace() else char) for char in value)
