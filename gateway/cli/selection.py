"""Selects the messages of a spool command: named ones, or all that pass some filters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from spool.entry import MessageView, Wanted
from spool.lifecycle import State
from spool.store import Spool

F = TypeVar("F", bound=Callable[..., Any])
OPEN: Final = (State.READY, State.SENDING, State.HELD, State.DEAD)
"""States in which an entry still needs work."""
_PAGE: Final = 1000
"""Entries in one query to the spool, so that no query takes long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Filters; an empty one lets everything pass."""

    states: tuple[State, ...] = ()
    destination: str = ""
    enterprise: str = ""
    message_type: str = ""
    error: str = ""

    @property
    def narrows(self) -> bool:
        """Return whether any filter is given."""
        return self != Selection()

    def wanted(self, states: tuple[State, ...]) -> Wanted:
        """Return the spool's query for these states."""
        return Wanted(
            states=states,
            destination=self.destination,
            owner=self.enterprise,
            kind=self.message_type,
            error=self.error,
        )

    def entries(
        self, spool: Spool, *, among: Sequence[State], after: int = 0, limit: int | None = None
    ) -> list[MessageView]:
        """Find the oldest entries that pass and have a higher number than `after`, at most `limit`.

        Only those in one of the states `among`; without a limit all of them.
        """
        states = tuple(state for state in self.states if state in among) if self.states else tuple(among)
        if not states:
            return []
        wanted = self.wanted(states)
        found: list[MessageView] = []
        while limit is None or len(found) < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - len(found))
            page = spool.entries(wanted, after=after, limit=size)
            found += page
            if len(page) < size:
                break
            after = page[-1].entry
        return found


def filter_options(command: F) -> F:
    """Add the options of a `Selection`: states, destination, enterprise, message_type, error."""
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
        click.option("--error", default="", help="Only entries with this in their last error."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def selection(
    *, states: tuple[str, ...], destination: str, enterprise: str, message_type: str, error: str
) -> Selection:
    """Build the selection from the values of the options."""
    return Selection(
        states=tuple(map(State, states)),
        destination=destination,
        enterprise=enterprise,
        message_type=message_type,
        error=error,
    )
