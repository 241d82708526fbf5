"""Chooses the ways of a message by the [[route]] tables of gateway.toml; the first route that fits decides.

Pure: one configuration always gives the same message under the same CopMsgId the same ways.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from gateway.config.gateway_toml import LOCAL, Config, RouteConfig, families_of
from gateway.config.local_receivers import NOBODY, LocalReceivers
from gateway.model import EnterpriseId, Envelope, Header

RECEIVER_UNKNOWN: Final = "2001"
"""ResponseCode: the named receiver does not exist (docs/spec/codes.md, DXP platform errors)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The properties of a message that the conditions of a route test."""

    cop_msg_id: str
    enterprise: EnterpriseId
    sender: str
    receivers: tuple[str, ...]
    message_type: str
    family: str
    customs_codes: frozenset[str]
    """Of all declarations; empty when one of them has none."""
    wrapped: bool
    """Came in the sender's own DxpMsg, whose receivers stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One way out: one envelope to one destination."""

    destination: str
    part: str = ""
    """`1` to `5` when the message is split over its receivers, else empty; the SubMsgId of a DxpMsgSv."""
    receivers: tuple[str, ...] = ()
    """ReceiverIds of this envelope; empty: those of the message."""
    cut: bool = False
    """The envelope names other receivers too, which must not get it: this copy keeps only the receivers given here."""
    response_code: str = ""
    """Not to be sent: its sender is answered with this code, for these receivers."""


def traits_of(
    header: Header, own: Envelope | None, enterprise: EnterpriseId, *, config: Config, uid: str
) -> Traits:
    """Return the properties of a message for routing; `own`: the sender's own envelope, `uid`: the id of the message."""
    kind = header.message_type
    codes = [one.codes.get("customsCode", "") for one in header.declarations]
    return Traits(
        cop_msg_id=own.cop_msg_id if own else uid,
        enterprise=enterprise,
        sender=own.sender_id if own else sender_of(header, config),
        receivers=own.receiver_ids if own else (kind.receiver,),
        message_type=kind.name,
        family=kind.family.value,
        customs_codes=frozenset(codes if all(codes) else ()),
        wrapped=own is not None,
    )


def sender_of(header: Header, config: Config) -> str:
    """Return the SenderId of an envelope that we make: 1 to 16 characters (docs/spec/dxp.md, DxpMsg)."""
    dxp_id = header.dxp_id
    return dxp_id if 0 < len(dxp_id) <= 16 else config.node.dxp_id  # noqa: PLR2004


def legs(traits: Traits, config: Config, local_receivers: LocalReceivers = NOBODY) -> tuple[Leg, ...]:
    """Return the ways out, in the order of the configuration; none when nothing fits.

    Without [[route]] tables: the first destination that carries the family. A route never sends a message to
    a destination that does not carry its family: the route does not fit then. No two legs have the same destination
    and part.

    Each receiver of the sender's own DxpMsg is looked up alone: one of our own enterprises is served here,
    one that no route takes is answered, as is one of our own that takes no mail from the sender; the others go their
    ways (docs/spec/dxp.md, Flow). An envelope whose receivers all go the same way is not divided.
    """
    return _each_receiver(traits, config, local_receivers) if traits.wrapped else _routed(traits, config)


def _each_receiver(traits: Traits, config: Config, local_receivers: LocalReceivers) -> tuple[Leg, ...]:
    receivers = tuple(dict.fromkeys(traits.receivers))
    here = tuple(
        one for one in receivers if one in local_receivers and local_receivers.lets_in(one, traits.enterprise)
    )
    closed = tuple(one for one in receivers if one in local_receivers and one not in here)
    hops = {
        one: tuple(leg.destination for leg in _routed(replace(traits, receivers=(one,)), config))
        for one in receivers
        if one not in local_receivers
    }
    unknown = tuple(one for one, names in hops.items() if not names)
    if not here and not closed and not unknown and len(set(hops.values())) == 1:
        return tuple(Leg(destination=name) for name in hops[receivers[0]])

    def part(one: str) -> str:
        return str(receivers.index(one) + 1) if len(receivers) > 1 else ""

    away = [
        Leg(destination=name, part=part(one), receivers=(one,))
        for one, names in hops.items()
        for name in names
    ]
    served = [Leg(destination=LOCAL, part=part(here[0]), receivers=here, cut=bool(closed))] if here else []
    answered = [
        Leg(destination=LOCAL, part=part(one), receivers=(one,), response_code=RECEIVER_UNKNOWN)
        for one in (*closed, *unknown)
    ]
    return (*away, *served, *answered)


def edition_of_route(traits: Traits, config: Config, local_receivers: LocalReceivers = NOBODY) -> str:
    """Return the edition by which a message is judged because of its route; empty: its route names none.

    Where the receivers of the sender's own DxpMsg take several routes, the first that names an edition decides.
    """
    receivers = [one for one in traits.receivers if one not in local_receivers]
    asked = [replace(traits, receivers=(one,)) for one in receivers] if traits.wrapped else [traits]
    routes = (_fitting(one, config) for one in asked)
    return next((route.edition for route in routes if route is not None and route.edition), "")


def _routed(traits: Traits, config: Config) -> tuple[Leg, ...]:
    if not config.route:
        return first_able(traits.family, config)
    route = _fitting(traits, config)
    return () if route is None else tuple(leg for name in route.to for leg in _to(name, route, traits))


def _fitting(traits: Traits, config: Config) -> RouteConfig | None:
    """Return the first route that takes a message; None: no route does."""
    for number, route in enumerate(config.route):
        if traits.family in families_of(route, config) and fits(route, traits, number):
            return route
    return None


def first_able(family: str, config: Config) -> tuple[Leg, ...]:
    """Return the way of a message when there are no routes: the first destination that carries its family."""
    for one in config.destination:
        if family in one.families:
            return (Leg(destination=one.name),)
    return ()


def fits(route: RouteConfig, traits: Traits, number: int) -> bool:
    """Say whether every condition of a route holds; `number` is its position among the routes, from 0."""
    return (
        _holds(route.receiver, traits.receivers)
        and _holds(route.sender, (traits.sender,))
        and _holds(route.enterprise, (traits.enterprise,))
        and _holds(route.message_type, (traits.message_type,))
        and route.family in (None, traits.family)
        and _all_within(traits.customs_codes, route.customs_code)
        and _in_share(route.share, traits.cop_msg_id, number)
    )


def _holds(wanted: str | tuple[str, ...], given: Collection[str]) -> bool:
    return not wanted or any(text in given for text in _texts(wanted))


def _all_within(given: frozenset[str], wanted: str | tuple[str, ...]) -> bool:
    return not wanted or (bool(given) and given.issubset(_texts(wanted)))


def _texts(wanted: str | tuple[str, ...]) -> tuple[str, ...]:
    return (wanted,) if isinstance(wanted, str) else wanted


def _in_share(share: float, cop_msg_id: str, number: int) -> bool:
    """Choose by a hash, so that a greater share keeps what a smaller one had chosen.

    The number is part of the hash: each route takes its share of what reaches it, whatever earlier routes took.
    """
    if share >= 100:  # noqa: PLR2004 (per cent)
        return True
    digest = hashlib.sha256(f"{number}/{cop_msg_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 * 100 < share


def _to(destination: str, route: RouteConfig, traits: Traits) -> tuple[Leg, ...]:
    if traits.wrapped or not route.receivers:
        return (Leg(destination=destination),)
    if not route.split or len(route.receivers) == 1:
        return (Leg(destination=destination, receivers=route.receivers),)
    return tuple(
        Leg(destination=destination, part=str(part), receivers=(receiver,))
        for part, receiver in enumerate(route.receivers, start=1)
    )
