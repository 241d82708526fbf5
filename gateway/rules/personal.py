"""Fields that hold data of natural persons, and how they are shown: masked (`mappings/fields.toml`, [personal])."""

from typing import Final

from gateway.rules.fields import field_facts

_MASK: Final = "*"
_SHORTEST_WITH_ENDS: Final = 3
"""From so many characters on, the first and the last one are shown: of a name of two nothing would be hidden."""


def is_personal(element: str) -> bool:
    """Say whether a field of this name holds data of a natural person: a name, number, telephone or address."""
    personal = field_facts().personal
    return element in personal.others or element in personal.identity_numbers


def masked(element: str, value: str) -> str:
    """Return the value as it may be shown: unchanged, or of a personal field the same length in asterisks.

    At most the first and the last character stay; of an identity number, and of a value of one or two characters, none.
    """
    if not is_personal(element):
        return value
    if element in field_facts().personal.identity_numbers or len(value) < _SHORTEST_WITH_ENDS:
        return hidden(value)
    return f"{value[0]}{hidden(value[1:-1])}{value[-1]}"


def hidden(value: str) -> str:
    """Return as many asterisks as the value has characters: for text of which nobody knows what it holds."""
    return _MASK * len(value)
