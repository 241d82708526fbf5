"""Who sends messages of a type, and so has to act on advice about them (docs/spec/messages.md, Catalogue)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.model import Actor

_SENDERS: Final[Mapping[str, Actor]] = MappingProxyType(
    {
        "CEB311Message": Actor.PLATFORM,
        "CEB303Message": Actor.PLATFORM,
        "CEB411Message": Actor.PAYMENT_FIRM,
        "CEB403Message": Actor.PAYMENT_FIRM,
        "CEB511Message": Actor.LOGISTICS_FIRM,
        "CEB513Message": Actor.LOGISTICS_FIRM,
        "CEB505Message": Actor.LOGISTICS_FIRM,
        "CEB509Message": Actor.LOGISTICS_FIRM,
        "CEB507Message": Actor.WAREHOUSE,
        "CEB215Message": Actor.WAREHOUSE,
        "CEB711Message": Actor.WAREHOUSE,
    }
)


def sender_of(message_type: str) -> Actor:
    """Return the party that sends messages of a type; lists and requests come from the broker."""
    return _SENDERS.get(message_type, Actor.BROKER)
