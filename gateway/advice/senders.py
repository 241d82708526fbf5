"""Who sends messages of a type, and so has to act on advice about them (docs/spec/messages.md, Catalogue)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.model import Party

_SENDERS: Final[Mapping[str, Party]] = MappingProxyType(
    {
        "CEB311Message": Party.PLATFORM,
        "CEB303Message": Party.PLATFORM,
        "CEB411Message": Party.PAYMENT_FIRM,
        "CEB403Message": Party.PAYMENT_FIRM,
        "CEB511Message": Party.LOGISTICS_FIRM,
        "CEB513Message": Party.LOGISTICS_FIRM,
        "CEB505Message": Party.LOGISTICS_FIRM,
        "CEB509Message": Party.LOGISTICS_FIRM,
        "CEB507Message": Party.WAREHOUSE,
        "CEB215Message": Party.WAREHOUSE,
        "CEB711Message": Party.WAREHOUSE,
    }
)


def sender_of(message_type: str) -> Party:
    """Return the party that sends messages of a type; lists and requests come from the broker."""
    return _SENDERS.get(message_type, Party.BROKER)
