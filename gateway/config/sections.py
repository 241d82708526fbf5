"""The base class and common types of every table of a configuration file."""

from typing import Annotated, dataclass_transform

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every table: frozen, unknown keys are errors."""
