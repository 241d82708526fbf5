"""`gateway check`: to which enterprise the codes in declarations' keys are bound (docs/adr/0029)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Final

from gateway.app.open_spool import build_spool
from gateway.cli.check.result import Check, Grade, failed
from gateway.cli.open_spool import rules_of
from gateway.config.enterprises import load_enterprises
from gateway.config.gateway_toml import Config
from gateway.config.local_receivers import LocalReceivers, local_receivers_of
from gateway.errors import GatewayError
from gateway.identity import parse_identity
from gateway.model import Enterprise, EnterpriseId
from gateway.rules.catalogue import Catalogue
from spool.errors import SpoolError
from spool.store import Spool

_LOOKED_AT: Final = 1000
"""How many of the newest spool entries are examined."""
_SHOWN: Final = 20
"""Codes shown in one line at most."""

Used = Mapping[EnterpriseId, frozenset[tuple[str, ...]]]
"""Enterprise that declared lately → the sets of codes that it used together in one key."""


def probe_bindings(config: Config) -> Iterator[Check]:
    """Report the codes of recent declarations that a door would refuse now; nothing when there is only one enterprise.

    The probes of enterprises, rules and spool report the details of errors in what is read here.
    """
    try:
        found = load_enterprises(config.accept.enterprises_dir)
        if len(found) < 2:  # noqa: PLR2004 (nobody to share with)
            return
        local_receivers = local_receivers_of(found.values())
        yield from _shared_codes(found.values(), local_receivers)
        there = config.spool.kind != "sqlite" or (config.node.state_dir / "spool.db").exists()
        used = _used(config, rules_of(config).catalogue) if there else {}
    except (GatewayError, SpoolError) as error:
        yield failed("codes of declarations", error)
        return
    for name, keys in sorted(used.items()):
        if name in found:
            yield from _refused(found[name], keys, local_receivers)


def _shared_codes(enterprises: Iterable[Enterprise], local_receivers: LocalReceivers) -> Iterator[Check]:
    """Report codes bound to several enterprises of one DXP id: both may declare one key, whose answers then match neither."""
    at: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in enterprises:
        for dxp_id in one.dxp_ids & local_receivers.crowded:
            for code in one.cop_codes | one.acts_for:
                at[dxp_id, code].append(one.id)
    for (dxp_id, code), holders in sorted(at.items()):
        if len(holders) > 1:
            yield Check(
                name=f"code {code}",
                grade=Grade.WARN,
                detail=f"bound to {', '.join(sorted(holders))}, who share {dxp_id}",
                fix="leave it to one of them, unless they are one house: what both declare finds neither",
            )


def _refused(
    one: Enterprise, keys: Iterable[tuple[str, ...]], local_receivers: LocalReceivers
) -> Iterator[Check]:
    """Report codes that this enterprise used lately and may not use now."""
    foreign: set[str] = set()
    unbound: set[str] = set()
    for codes in keys:
        owners = {code: local_receivers.bound[code] for code in codes if code in local_receivers.bound}
        foreign.update(code for code, holders in owners.items() if one.id not in holders)
        if not owners and not local_receivers.crowded.isdisjoint(one.dxp_ids):
            unbound.update(codes)
    told = (
        (unbound, "declares at a shared DXP id with codes that are nobody's"),
        (foreign, "declares with codes that are bound to others alone"),
    )
    for given, what in told:
        if given:
            shown = " ".join(sorted(given)[:_SHOWN])
            yield Check(
                name=f"enterprise {one.id}",
                grade=Grade.WARN,
                detail=f"{what}, which is refused: {shown}{' …' if len(given) > _SHOWN else ''}",
                fix=f"put those that are its own into acts_for of {one.id}.toml",
            )


def _used(config: Config, catalogue: Catalogue) -> Used:
    """Return the codes in the keys of the newest declarations in the spool."""
    used: defaultdict[EnterpriseId, set[tuple[str, ...]]] = defaultdict(set)
    with closing(build_spool(config)) as spool:
        views = spool.entries(after=max(0, _newest(spool) - _LOOKED_AT), limit=_LOOKED_AT)
    for view in views:
        for identity in view.identities:
            name, key = parse_identity(identity)
            kind = catalogue.by_name(name)
            if kind is not None:
                used[EnterpriseId(view.owner)].add(tuple(key[one] for one in kind.key_codes if one in key))
    return {owner: frozenset(keys) for owner, keys in used.items()}


def _newest(spool: Spool) -> int:
    """Return the number of the newest entry, by binary search: entries can be listed in ascending order only."""
    low, high = 0, 1
    while spool.entries(after=high, limit=1):
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if spool.entries(after=middle, limit=1) else (low, middle)
    return low
