"""Say of a fault in which other edition of the formats it would be none: often the document is of that edition."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.model import Fault
from gateway.rules.fault_texts import MORE
from gateway.rules.texts import Bilingual, phrase

_OTHER_TYPE = frozenset({"unknown_root", MORE})
"""Rules of faults after which it cannot be said that an edition does not find the others."""


def fits_edition(faults: Sequence[Fault], others: Mapping[str, Sequence[Fault]]) -> tuple[Fault, ...]:
    """Add to the texts of each fault the editions that do not find it.

    `others`: what each other edition finds in the same document. An edition that does not know the type of message,
    or finds more than is shown, is not named.
    """
    comparable = {
        edition: {(one.rule, one.path) for one in found}
        for edition, found in others.items()
        if _OTHER_TYPE.isdisjoint(one.rule for one in found)
    }
    return tuple(
        _told(
            fault, [edition for edition, found in comparable.items() if (fault.rule, fault.path) not in found]
        )
        for fault in faults
    )


def _told(fault: Fault, editions: Sequence[str]) -> Fault:
    if not editions or fault.rule in _OTHER_TYPE:
        return fault
    names = Bilingual(en=", ".join(editions), zh="、".join(editions))
    valid = phrase("valid_in", editions=names)
    return replace(fault, message=fault.message + valid.en, message_zh=fault.message_zh + valid.zh)
