"""Who lives at this node: which DXP id is whose, and which codes (docs/spec/dxp.md, Flow: local receivers are served directly)."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.model import Enterprise, EnterpriseId, Mailbox

_CLOSED: Final = Mailbox()


def _never(_owner: EnterpriseId) -> bool:
    return False


_LONGEST: Final = 16
"""Characters of a DXP id on an envelope; for a longer one the node's own stands there (docs/spec/dxp.md, DxpMsg)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalReceivers:
    """The DXP ids of our own enterprises, also of those that are disabled: their mail waits for them."""

    holders: Mapping[str, tuple[EnterpriseId, ...]]
    """DXP id → who has it; several enterprises may share one."""
    mailboxes: Mapping[EnterpriseId, Mailbox] = field(default_factory=dict)
    """From whom each takes mail; who is not here takes none."""
    full: Callable[[EnterpriseId], bool] = _never
    """Says whether somebody has as much mail as it takes (`gateway.submission.mail_limit`)."""
    bound: Mapping[str, frozenset[EnterpriseId]] = field(default_factory=dict)
    """Code in the keys of declarations → to whom the operator bound it (docs/adr/0029)."""
    crowded: frozenset[str] = frozenset()
    """DXP ids at which several enterprises that are not disabled get their answers."""
    incomplete: bool = False
    """Somebody lives here whose DXP ids are not known: a file that cannot be read (docs/adr/0032)."""

    def __contains__(self, receiver: str) -> bool:
        """Say whether a receiver is one of our own."""
        return receiver in self.holders

    def owner(self, receiver: str) -> EnterpriseId | None:
        """Return whose mail it is; None when nobody has the id, or several do: a guess could hit a stranger."""
        holders = self.holders.get(receiver, ())
        return holders[0] if len(holders) == 1 else None

    def mailbox(self, owner: EnterpriseId) -> Mailbox:
        """Return what an enterprise takes of others."""
        return self.mailboxes.get(owner, _CLOSED)

    def lets_in(self, receiver: str, sender: EnterpriseId) -> bool:
        """Say whether somebody who has this DXP id takes mail from that enterprise, as everybody does from itself."""
        return any(
            one == sender or (self.mailbox(one).takes_from(sender) and not self.full(one))
            for one in self.holders.get(receiver, ())
        )

    def shared(self, receivers: Iterable[str]) -> tuple[str, ...]:
        """Return those that more than one enterprise has."""
        return tuple(one for one in receivers if len(self.holders.get(one, ())) > 1)

    def among_strangers(self, receivers: Collection[str]) -> bool:
        """Say whether what is addressed to these may be for one of several enterprises; to none: for any."""
        named = [self.holders[one] for one in receivers if one in self.holders] or self.holders.values()
        return len({holder for holders in named for holder in holders}) > 1


NOBODY = LocalReceivers(holders={})
"""Where no enterprise lives."""


def local_receivers_of(enterprises: Collection[Enterprise]) -> LocalReceivers:
    """Tell who lives here, from the registered enterprises."""
    holders: defaultdict[str, list[EnterpriseId]] = defaultdict(list)
    bound: defaultdict[str, set[EnterpriseId]] = defaultdict(set)
    for enterprise in enterprises:
        for dxp_id in enterprise.dxp_ids:
            holders[dxp_id].append(enterprise.id)
        for code in enterprise.cop_codes | enterprise.acts_for:
            bound[code].add(enterprise.id)
    return LocalReceivers(
        holders={dxp_id: tuple(sorted(found)) for dxp_id, found in holders.items()},
        mailboxes={one.id: one.mailbox for one in enterprises},
        bound={code: frozenset(found) for code, found in bound.items()},
        crowded=_crowded(enterprises),
    )


def _crowded(enterprises: Collection[Enterprise]) -> frozenset[str]:
    """Return the DXP ids that are not one enterprise's alone; those too long for an envelope share the node's."""
    found: defaultdict[str, set[EnterpriseId]] = defaultdict(set)
    enabled = [one for one in enterprises if not one.disabled]
    for enterprise in enabled:
        for dxp_id in enterprise.dxp_ids:
            found[dxp_id if len(dxp_id) <= _LONGEST else ""].add(enterprise.id)
    at = {dxp_id for one in enabled for dxp_id in one.dxp_ids}
    return frozenset(one for one in at if len(found[one if len(one) <= _LONGEST else ""]) > 1)
