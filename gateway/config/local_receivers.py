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
    """The DXP ids of our own enterprises, also of disabled ones, whose mail is kept for them."""

    holders: Mapping[str, tuple[EnterpriseId, ...]]
    """DXP id → its enterprises; several may share one."""
    mailboxes: Mapping[EnterpriseId, Mailbox] = field(default_factory=dict)
    """Whose mail each enterprise accepts; one that is not listed accepts none."""
    full: Callable[[EnterpriseId], bool] = _never
    """Says whether somebody has as much mail as it takes (`gateway.submission.mail_limit`)."""
    bound: Mapping[str, frozenset[EnterpriseId]] = field(default_factory=dict)
    """Code in the keys of declarations → the enterprises to which the operator bound it (docs/adr/0029)."""
    crowded: frozenset[str] = frozenset()
    """DXP ids at which several enterprises that are not disabled get their answers."""
    incomplete: bool = False
    """The DXP ids of an enterprise are not known, because its file cannot be read (docs/adr/0032)."""

    def __contains__(self, receiver: str) -> bool:
        """Whether a receiver is one of our own enterprises."""
        return receiver in self.holders

    def owner(self, receiver: str) -> EnterpriseId | None:
        """Return the one enterprise with this id; None for none or several: a guess could reach the wrong one."""
        holders = self.holders.get(receiver, ())
        return holders[0] if len(holders) == 1 else None

    def mailbox(self, owner: EnterpriseId) -> Mailbox:
        """Return what mail of others an enterprise accepts."""
        return self.mailboxes.get(owner, _CLOSED)

    def lets_in(self, receiver: str, sender: EnterpriseId) -> bool:
        """Whether an enterprise with this DXP id accepts mail from `sender`; each accepts its own."""
        return any(
            one == sender or (self.mailbox(one).takes_from(sender) and not self.full(one))
            for one in self.holders.get(receiver, ())
        )

    def shared(self, receivers: Iterable[str]) -> tuple[str, ...]:
        """Return the ids that more than one enterprise has."""
        return tuple(one for one in receivers if len(self.holders.get(one, ())) > 1)

    def among_strangers(self, receivers: Collection[str]) -> bool:
        """Whether a message to these receivers may be for one of several enterprises; if none is ours, for any."""
        named = [self.holders[one] for one in receivers if one in self.holders] or self.holders.values()
        return len({holder for holders in named for holder in holders}) > 1


NOBODY = LocalReceivers(holders={})
"""The local receivers of a node without enterprises."""


def local_receivers_of(enterprises: Collection[Enterprise]) -> LocalReceivers:
    """Make the local receivers from the registered enterprises."""
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
    """Return the DXP ids that several enterprises share; ids too long for an envelope all share the node's."""
    found: defaultdict[str, set[EnterpriseId]] = defaultdict(set)
    enabled = [one for one in enterprises if not one.disabled]
    for enterprise in enabled:
        for dxp_id in enterprise.dxp_ids:
            found[dxp_id if len(dxp_id) <= _LONGEST else ""].add(enterprise.id)
    at = {dxp_id for one in enabled for dxp_id in one.dxp_ids}
    return frozenset(one for one in at if len(found[one if len(one) <= _LONGEST else ""]) > 1)
