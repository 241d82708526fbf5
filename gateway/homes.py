"""Who lives at this node: which DXP id is whose (spec dxp.md, Flow: local receivers are served directly)."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from gateway.model import Enterprise, EnterpriseId


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    """The DXP ids of our own enterprises, also of those that are disabled: their mail waits for them."""

    holders: Mapping[str, tuple[EnterpriseId, ...]]
    """DXP id → who has it; several enterprises may share one."""

    def __contains__(self, receiver: str) -> bool:
        """Say whether a receiver is one of our own."""
        return receiver in self.holders

    def owner(self, receiver: str) -> EnterpriseId | None:
        """Return whose mail it is; None when nobody has the id, or several do: a guess could hit a stranger."""
        holders = self.holders.get(receiver, ())
        return holders[0] if len(holders) == 1 else None

    def shared(self, receivers: Iterable[str]) -> tuple[str, ...]:
        """Return those that more than one enterprise has."""
        return tuple(one for one in receivers if len(self.holders.get(one, ())) > 1)


NOBODY = Homes(holders={})
"""Where no enterprise lives."""


def homes_of(enterprises: Collection[Enterprise]) -> Homes:
    """Tell who lives here, from the registered enterprises."""
    found: defaultdict[str, list[EnterpriseId]] = defaultdict(list)
    for enterprise in enterprises:
        for dxp_id in enterprise.dxp_ids:
            found[dxp_id].append(enterprise.id)
    return Homes(holders={dxp_id: tuple(sorted(holders)) for dxp_id, holders in found.items()})
