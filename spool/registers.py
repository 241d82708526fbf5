"""What an owner keeps here once so that its messages can be compared with it: opaque documents, each under a name."""

from datetime import datetime

from msgspec import Struct


class NewRegister(Struct, frozen=True, kw_only=True):
    """A document that takes the place of the owner's earlier one of that name."""

    owner: str
    name: str
    form: str
    """Media type of `body`; not empty."""
    body: bytes
    """As handed in."""
    facts: bytes
    """What the gateway reads of it, in its own form."""


class StoredRegister(Struct, frozen=True, kw_only=True):
    """The document in force, without its body."""

    version: int
    """Counts up with each change of this owner's document of this name; never given twice."""
    at: datetime
    form: str
    facts: bytes
