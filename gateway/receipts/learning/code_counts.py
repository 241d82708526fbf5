"""The counts of each code, put together: what one node has learned about it."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from gateway.receipts.learning.learned_codes import CURED, DECLARATIONS, FIELD, SEEN, may_be_shown, ranked
from spool.entry import Tally
from spool.store import SpoolCounts


class FieldCount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of the declarations that were cured of a code had this field changed."""

    name: str
    """`InventoryHead/buyerName`; without a slash: another number of these items."""
    n: int


class LearnedCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one node has learned about one code: counts, and names of fields."""

    code: str
    seen: int
    """Answers with it."""
    declarations: int
    """Declarations that were refused with it."""
    cured: int
    """Of those, the ones of which a later version was accepted."""
    first_at: datetime
    last_at: datetime
    fields: tuple[FieldCount, ...] = ()
    """The most frequent first."""


def learned_in(spool: SpoolCounts) -> dict[str, list[LearnedCode]]:
    """Return what is learned, by origin (empty: this node), the codes seen most often first; Raises SpoolError.

    Texts that fewer than three declarations had are left out.
    """
    tallies: dict[str, list[Tally]] = {}
    for name in (SEEN, DECLARATIONS, CURED, FIELD):
        for one in spool.tallies(name):
            tallies.setdefault(one.origin, []).append(one)
    return {origin: list(_codes(found)) for origin, found in sorted(tallies.items())}


def _codes(tallies: Iterable[Tally]) -> Iterable[LearnedCode]:
    counts: dict[str, Counter[str]] = {SEEN: Counter(), DECLARATIONS: Counter(), CURED: Counter()}
    fields: dict[str, Counter[str]] = {}
    overall: Counter[str] = Counter()
    times: dict[str, tuple[datetime, datetime]] = {}
    for one in tallies:
        if one.name == FIELD:
            fields.setdefault(one.subject, Counter())[one.key] += one.n
            overall[one.key] += one.n
        else:
            counts[one.name][one.subject] += one.n
        if one.name == SEEN:
            times[one.subject] = (one.first_at, one.last_at)
    for code, seen in sorted(counts[SEEN].items(), key=lambda one: (-one[1], one[0])):
        if may_be_shown(code, counts[DECLARATIONS][code]):
            yield LearnedCode(
                code=code,
                seen=seen,
                declarations=counts[DECLARATIONS][code],
                cured=counts[CURED][code],
                first_at=times[code][0],
                last_at=times[code][1],
                fields=tuple(
                    FieldCount(name=name, n=n)
                    for name, n in ranked(fields.get(code, Counter()).items(), overall)
                ),
            )
