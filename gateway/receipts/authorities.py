"""Which destination may answer for messages sent to another one: `answers_for` and `authority` in [[destination]].

Whoever runs a link can write anything into an answer. So an answer counts only when the message went to the
destination that brings the answer, or to one that it may answer for; any other answer is kept and marked, and has no
effect (docs/adr/0030).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from gateway.config.gateway_toml import LOCAL, Config
from spool.entry import Found
from spool.store import Spool

COMMON: Final = "customs"
"""Authority of a destination that names none, or that is no longer in the configuration."""


_PAGE: Final = 500
"""Declarations looked up in one query."""


NOT_CARRIED: Final = "not_carried: "
"""Start of the reason of an orphan that came from a destination without authority: no owner was looked for yet."""


class Authorities:
    """Compares the destination that an answer came from with those that the message went to."""

    def __init__(self, config: Config) -> None:
        self._authority: Mapping[str, str] = {one.name: one.authority for one in config.destination}
        self._named: Mapping[str, frozenset[str]] = {
            one.name: frozenset(one.answers_for) for one in config.destination if one.answers_for is not None
        }

    def may_answer(self, origins: Collection[str], carriers: Collection[str]) -> bool:
        """Say whether one of the destinations that brought an answer may answer for messages sent to these.

        A message delivered at this node is answered at this node only.
        """
        return any(self._may_answer_for(origin, carrier) for origin in origins for carrier in carriers)

    def answers_for(self, origin: str) -> tuple[str, ...]:
        """Return the configured destinations that this one may answer for, in the order of the configuration."""
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
    """Filters the declarations that answers of one origin point at, to those that this origin may answer for."""

    def __init__(self, spool: Spool, authorities: Authorities, origins: Collection[str]) -> None:
        self._spool = spool
        self._authorities = authorities
        self._origins = origins
        self.elsewhere: dict[str, set[str]] = {}
        """Look-up text that led to a declaration sent elsewhere → where it was sent."""

    def among(self, found: Iterable[Found]) -> Iterator[Found]:
        """Leave out declarations that these destinations may not answer for. Raises SpoolError."""
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
        """Say why an answer with these look-up texts has no owner; empty when authority is not the reason."""
        went_to = {one for text in texts for one in self.elsewhere.get(text, ())}
        return not_carried(self._origins, went_to) if went_to else ""


def not_carried(origins: Collection[str], carriers: Collection[str]) -> str:
    """Return the reason for keeping an answer that came from a destination without authority."""
    return (
        f"{NOT_CARRIED}{', '.join(origins)} may not answer for {', '.join(sorted(carriers))}, see answers_for of"
        " [[destination]]"
    )
