"""One line of `gateway bench`."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measure: `value` in `unit` over `n` cases, and its components in `detail`."""

    measure: str
    value: float
    unit: str
    n: int
    detail: Mapping[str, object] = field(default_factory=dict)
