"""Which messages a spool command is about: named ones, or all that pass some filters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from spool.entry import MessageView
from spool.lifecycle import State
from spool.store import Spool

F = TypeVar("F", bound=Callable[..., Any])
OPEN: Final = (State.READY, State.SENDING, State.HELD, State.DEAD)
"""States in which an entry still needs somebody."""
_EVERYTHING: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Filters; an empty one lets everything pass."""

    states: tuple[State, ...] = ()
    destination: str = ""
    enterprise: str = ""
    message_type: str = ""

    @property
    def narrows(self) -> bool:
        """Say whether any filter is given."""
        return bool(self.states or self.destination or self.enterprise or self.message_type)

    def messages(
        self, spool: Spool, *, among: Sequence[State], limit: int = _EVERYTHING
    ) -> list[MessageView]:
        """Find the oldest messages that pass, at most `limit`; without a state filter those in `among`.

        The spool filters by state and destination; for the rest every message of these is looked at.
        """
        states = tuple(state for state in self.states if state in among) if self.states else tuple(among)
        if not states:
            return []
        looked_at = _EVERYTHING if self.enterprise or self.message_type else limit
        found = spool.entries(states=states, destination=self.destination, limit=looked_at)
        return [view for view in found if self._passes(view)][:limit]

    def _passes(self, view: MessageView) -> bool:
        return self.enterprise in ("", view.owner) and self.message_type in ("", view.kind)


def filter_options(command: F) -> F:
    """Add the options of a `Selection`: states, destination, enterprise, message_type."""
    options = (
        click.option(
            "--state",
            "states",
            multiple=True,
            type=click.Choice([state.value for state in State]),
            help="Only this state; may be given more than once.",
        ),
        click.option("--destination", default="", help="Only this destination."),
        click.option("--enterprise", default="", help="Only this enterprise."),
        click.option("--type", "message_type", default="", help="Only this message type: CEB311Message."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def selection(states: tuple[str, ...], destination: str, enterprise: str, message_type: str) -> Selection:
    """Make the selection from what the options gave."""
    return Selection(
        states=tuple(map(State, states)),
        destination=destination,
        enterprise=enterprise,
        message_type=message_type,
    )
