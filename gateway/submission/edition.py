"""Chooses the edition that judges a message: that of its route, else of its enterprise, else of the day, else the default.

Pure: the configuration, the message and the moment of its acceptance decide (docs/adr/0042).
"""

from dataclasses import dataclass
from datetime import datetime

from gateway.config.editions import EditionCalendar, EditionInForce
from gateway.config.gateway_toml import Config
from gateway.config.local_receivers import LocalReceivers
from gateway.model import Enterprise, Envelope, Header
from gateway.submission.routing import edition_of_route, traits_of


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionRoutes:
    """The [[route]] tables, asked only for the edition that the route of one message names."""

    config: Config
    caller: Enterprise
    uid: str
    """Id of the message, by which it falls into the share of a route."""
    local_receivers: LocalReceivers
    editions: tuple[str, ...]
    """The editions that routes name."""

    def of(self, header: Header, envelope: Envelope | None = None) -> str:
        """Return the edition that the route of a message names; empty: none. `envelope`: the sender's own."""
        traits = traits_of(header, envelope, self.caller.id, config=self.config, uid=self.uid)
        return edition_of_route(traits, self.config, self.local_receivers)


class EditionChoice:
    """What one configuration says of the editions."""

    def __init__(self, config: Config, local_receivers: LocalReceivers) -> None:
        """Read the periods and the routes."""
        self._config = config
        self._local_receivers = local_receivers
        self._calendar = EditionCalendar(config.rules.edition, config.edition)
        self._of_routes = tuple(dict.fromkeys(route.edition for route in config.route if route.edition))

    def in_force(self, caller: Enterprise, at: datetime) -> EditionInForce:
        """Return the edition for the messages of a caller at a moment, unless their routes name another."""
        return EditionInForce(edition=caller.edition) if caller.edition else self._calendar.at(at)

    def routes(self, caller: Enterprise, uid: str) -> EditionRoutes | None:
        """Return the routes, for one message of a caller; None: no route names an edition."""
        if not self._of_routes:
            return None
        return EditionRoutes(
            config=self._config,
            caller=caller,
            uid=uid,
            local_receivers=self._local_receivers,
            editions=self._of_routes,
        )
