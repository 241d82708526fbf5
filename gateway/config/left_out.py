"""Parts of the configuration that cannot be used, and that a node goes without: a slip in one stops nobody else."""

from typing import Literal

from msgspec import Struct

from gateway.errors import GatewayError


class LeftOut(Struct, frozen=True, kw_only=True):
    """One of them."""

    kind: Literal["enterprise", "channel", "door", "mapping"]
    part: str
    """Its name: `acme`; `acme/erp` and `acme/2` of a channel or door of acme, the second; `orders` of a mapping."""
    error: str
    """What is wrong, where, and how to mend it."""

    @property
    def enterprise(self) -> str:
        """Whose it is; empty for a mapping."""
        return "" if self.kind == "mapping" else self.part.partition("/")[0]


def left_out(
    kind: Literal["enterprise", "channel", "door", "mapping"], part: str, error: GatewayError
) -> LeftOut:
    """Make one of the error that its check raised."""
    return LeftOut(kind=kind, part=part, error=str(error))
