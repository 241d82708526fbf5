"""What a mapping looks up in the goods that an enterprise has registered (docs/goods.md)."""

from dataclasses import dataclass
from typing import Protocol

from gateway.mapping.functions import NotApplicableError


class RegisteredGoods(Protocol):
    """The goods of one enterprise on one day."""

    @property
    def version(self) -> int:
        """Number of the register; 0: it comes from a file."""

    @property
    def sha256(self) -> str:
        """Hex digest of what was handed in."""

    @property
    def day(self) -> str:
        """The day, YYYYMMDD."""

    def has(self, item: str) -> bool:
        """Say whether an item is there."""

    def text(self, item: str, column: str) -> str:
        """Return a cell of an item; empty: nothing is said there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FromGoods:
    """Replace an item number by what is registered of the item."""

    column: str

    def shown(self, goods: RegisteredGoods | None) -> str:
        """Return its name in the trace, with the register that it looked into."""
        if goods is None:
            return f"goods {self.column}"
        return f"goods {self.column}, version {goods.version} ({goods.sha256[:12]})"

    def __call__(self, item: str, goods: RegisteredGoods | None) -> str:
        """Look it up. Raises NotApplicableError that names the item: nothing is guessed, and nothing left out."""
        if goods is None:
            raise NotApplicableError("no_goods", item=item[:100])
        if not goods.has(item):
            raise NotApplicableError("not_in_goods", item=item[:100])
        found = goods.text(item, self.column)
        if not found:
            raise NotApplicableError("goods_empty", item=item[:100], column=self.column)
        return found
