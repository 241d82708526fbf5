"""What `gateway check` says of the codes that declarations are named by: whose they are (docs/adr/0029)."""

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
"""Newest entries of the spool whose declarations are looked at."""
_SHOWN: Final = 20
"""Codes that are named in one line."""

Used = Mapping[EnterpriseId, frozenset[tuple[str, ...]]]
"""Who declared lately, and with which codes together in one key."""


def probe_bindings(config: Config) -> Iterator[Check]:
    """Name the codes that the door refuses by now, of those in the spool; nothing where there is only one enterprise.

    Errors in what is read here are told by the probes of enterprises, rules and spool.
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
    """Name the codes that two of one DXP id have: they may declare the same key, and its answers are nobody's then."""
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
    """Name what this enterprise declared lately and may not declare now."""
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
    """Return with which codes the newest declarations of the spool are named."""
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
    """Return the number of the newest entry, found by halving: entries are listed in ascending order alone."""
    low, high = 0, 1
    while spool.entries(after=high, limit=1):
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if spool.entries(after=middle, limit=1) else (low, middle)
    return low
