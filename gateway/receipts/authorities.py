"""Which destination may answer for what another one carried: `answers_for` and `authority` in [[destination]].

Whoever runs a link can write what it likes into an answer. So an answer counts only when the message went to the
destination that brings it, or to one that it may answer for; any other is kept, marked, and decides nothing
(docs/adr/0030).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from gateway.config.gateway_toml import LOCAL, Config
from spool.entry import Found
from spool.store import Spool

COMMON: Final = "customs"
"""The authority of a destination that names none, and of one that the configuration does not have any more."""


_PAGE: Final = 500
"""Declarations looked up together."""


NOT_CARRIED: Final = "not_carried: "
"""How the reason of an orphan begins that came from elsewhere: nobody was looked for yet."""


class Authorities:
    """Judges answers by the destination they came from and those that the message went to."""

    def __init__(self, config: Config) -> None:
        self._authority: Mapping[str, str] = {one.name: one.authority for one in config.destination}
        self._named: Mapping[str, frozenset[str]] = {
            one.name: frozenset(one.answers_for) for one in config.destination if one.answers_for is not None
        }

    def may_answer(self, origins: Collection[str], carriers: Collection[str]) -> bool:
        """Say whether one of the destinations that brought an answer may answer for what went to these.

        What stayed here is answered here alone.
        """
        return any(self._may_answer_for(origin, carrier) for origin in origins for carrier in carriers)

    def answers_for(self, origin: str) -> tuple[str, ...]:
        """Return the destinations of the configuration that this one may answer for, in their order."""
        return tuple(one for one in self._authority if self._may_answer_for(origin, one))

    def _may_answer_for(self, origin: str, carrier: str) -> bool:
        if origin == carrier:
            return True
        if LOCAL in {origin, carrier}:
            return False
        if origin in self._named:
            return carrier in self._named[origin]
        return self._authority.get(origin, COMMON) == self._authority.get(carrier, COMMON)


class Carried:
    """Of the declarations that a batch of answers of one origin points at, those that it may speak of."""

    def __init__(self, spool: Spool, authorities: Authorities, origins: Collection[str]) -> None:
        self._spool = spool
        self._authorities = authorities
        self._origins = origins
        self.elsewhere: dict[str, set[str]] = {}
        """Text that pointed at a declaration which went elsewhere → where it went."""

    def among(self, found: Iterable[Found]) -> Iterator[Found]:
        """Leave out what these destinations may not answer for. Raises SpoolError."""
        rest = iter(found)
        while page := list(islice(rest, _PAGE)):
            carriers = self._spool.carriers({one.declaration for one in page})
            for one in page:
                went_to = carriers.get(one.declaration, set())
                if self._authorities.may_answer(self._origins, went_to):
                    yield one
                else:
                    self.elsewhere.setdefault(one.found_by, set()).update(went_to)

    def why_not(self, texts: Iterable[str]) -> str:
        """Say why an answer with these look-up texts is nobody's; empty when that is not the reason."""
        went_to = {one for text in texts for one in self.elsewhere.get(text, ())}
        return not_carried(self._origins, went_to) if went_to else ""


def not_carried(origins: Collection[str], carriers: Collection[str]) -> str:
    """Mark an answer that came from elsewhere, as the reason for which it is nobody's."""
    return (
        f"{NOT_CARRIED}{', '.join(origins)} may not answer for {', '.join(sorted(carriers))}, see answers_for of"
        " [[destination]]"
    )
