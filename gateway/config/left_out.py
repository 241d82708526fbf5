"""Parts of the configuration that cannot be used and are left out: an error in one does not stop the others."""

from typing import Literal

from msgspec import Struct

from gateway.errors import GatewayError


class LeftOut(Struct, frozen=True, kw_only=True):
    """One part that is left out."""

    kind: Literal["enterprise", "channel", "door", "mapping"]
    part: str
    """Its name: `acme`; `acme/erp` for a channel of acme, `acme/2` for its second door; `orders` for a mapping."""
    error: str
    """What is wrong, where, and how to fix it."""

    @property
    def enterprise(self) -> str:
        """The enterprise that it belongs to; empty for a mapping."""
        return "" if self.kind == "mapping" else self.part.partition("/")[0]


def left_out(
    kind: Literal["enterprise", "channel", "door", "mapping"], part: str, error: GatewayError
) -> LeftOut:
    """Make a LeftOut from the error that the check raised."""
    return LeftOut(kind=kind, part=part, error=str(error))
