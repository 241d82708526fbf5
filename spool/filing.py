"""Judge what arrivals turned out to be: new answers, duplicates, notices, orphans. Pure, and the same for every backend.

The backend fetches (`FiledBefore`) and writes (`FilingRows`); what is filed twice is written once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from spool import journal
from spool.entry import Filed, Filing
from spool.errors import SpoolError


@dataclass(slots=True)
class FiledBefore:
    """What the spool has, as far as a batch of filings needs it."""

    owners: Mapping[int, str]
    """Declaration → owner, of all that the filings name."""
    answers: set[tuple[int, str]]
    """Declaration and digest of each answer that is on a timeline; what the batch files is added."""
    addressed: set[tuple[int, str]]
    """Arrival and owner, of arrivals that are for an owner as a whole; what the batch files is added."""
    sha256: Mapping[int, bytes]
    """Arrival → digest of its bytes."""
    filed: set[int]
    """Arrivals that were filed before, perhaps by another process; what the batch files is added."""
    orphans: Iterator[int]
    """Numbers for new orphans, ascending."""
    first: int = 0
    """Place of the first notice: its cursor, where cursors are known ahead."""


@dataclass(slots=True)
class FilingRows:
    """The rows that a batch writes, a list for each table, each row in the order of the columns named."""

    notice: list[tuple[str, int]] = field(default_factory=list)
    """owner, arrival; its place in this list, counted from `FiledBefore.first`, stands for its cursor below."""
    timeline: list[tuple[int, str, str, str, str, bytes, str, int, int, int]] = field(default_factory=list)
    """declaration, owner, at, kind, status, facts, digest, body_index, arrival, place of the notice."""
    addressed: list[tuple[int, str]] = field(default_factory=list)
    """arrival, owner."""
    mail: list[int] = field(default_factory=list)
    """Place of the notice of each arrival that is for its owner as a whole."""
    handle: list[tuple[str, str, int]] = field(default_factory=list)
    """owner, text, declaration; may repeat."""
    orphan: list[tuple[int, int, int, str, bytes]] = field(default_factory=list)
    """id, arrival, body_index, reason, facts."""
    orphan_lookup: list[tuple[str, int]] = field(default_factory=list)
    """text, orphan; may repeat."""
    arrival: list[tuple[str, str, bool, int]] = field(default_factory=list)
    """kind, cop_msg_id, whether it asks for another attempt, id."""
    journal: list[tuple[str, str, str]] = field(default_factory=list)
    """event, uid, detail."""


class FilingBatch:
    """The filings of one commit: `file` each in order, then write `rows`."""

    def __init__(self, before: FiledBefore) -> None:
        self.rows = FilingRows()
        self._before = before

    def file(self, filing: Filing) -> Filed:
        """Judge one filing and add its rows. Raises a temporary SpoolError when a declaration is gone."""
        rows, before, arrival = self.rows, self._before, filing.arrival
        matched: dict[str, int] = {}
        notices: dict[str, int] = {}
        duplicates = 0
        for row in filing.rows:
            owner = self._owner(row.declaration, arrival)
            if (row.declaration, row.digest) in before.answers:
                duplicates += 1
                continue
            before.answers.add((row.declaration, row.digest))
            notice = self._notice(notices, owner, arrival)
            rows.timeline.append(
                (
                    row.declaration, owner, row.at, row.kind, row.status, row.facts, row.digest, row.index, arrival, notice,
                )
            )  # fmt: skip
            matched[owner] = matched.get(owner, 0) + 1
        delivered = tuple(owner for owner in filing.addressees if (arrival, owner) not in before.addressed)
        for owner in delivered:
            before.addressed.add((arrival, owner))
            rows.addressed.append((arrival, owner))
            rows.mail.append(self._notice(notices, owner, arrival))
        for declaration, texts in filing.learned.items():
            owner = self._owner(declaration, arrival)
            rows.handle += [(owner, text, declaration) for text in texts]
        filed = Filed(
            arrival=arrival,
            matched=matched,
            duplicates=duplicates,
            orphaned=self._keep_orphans(filing),
            delivered=delivered,
        )
        rows.arrival.append((filing.kind, filing.cop_msg_id, bool(filing.bounces), arrival))
        name = journal.name_of(filing.cop_msg_id, arrival)
        lines = journal.filed(filing, filed, before.sha256.get(arrival, b""))
        rows.journal += [("receipt.filed", name, line) for line in lines]
        return filed

    def _owner(self, declaration: int, arrival: int) -> str:
        try:
            return self._before.owners[declaration]
        except KeyError:
            raise SpoolError(
                "the declaration of an answer was purged a moment ago",
                where=f"arrival {arrival}",
                fix="nothing to do: the answer is filed again, as an orphan",
                temporary=True,
            ) from None

    def _notice(self, notices: dict[str, int], owner: str, arrival: int) -> int:
        """Return the place of the owner's notice of this arrival; each owner has one."""
        if owner not in notices:
            notices[owner] = self._before.first + len(self.rows.notice)
            self.rows.notice.append((owner, arrival))
        return notices[owner]

    def _keep_orphans(self, filing: Filing) -> int:
        """Add what no owner was found for, unless the arrival was filed before."""
        if filing.arrival in self._before.filed:
            return 0
        self._before.filed.add(filing.arrival)
        for orphan in filing.orphans:
            number = next(self._before.orphans)
            self.rows.orphan.append((number, filing.arrival, orphan.index, orphan.reason, orphan.facts))
            self.rows.orphan_lookup += [(text, number) for text in orphan.lookups]
        return len(filing.orphans)


def answers_in(filings: Iterable[Filing]) -> set[tuple[int, str]]:
    """Return declaration and digest of each answer in these filings."""
    return {(row.declaration, row.digest) for filing in filings for row in filing.rows}


def declarations_in(filings: Iterable[Filing]) -> set[int]:
    """Return the declarations that these filings say anything about."""
    return {row.declaration for filing in filings for row in filing.rows} | {
        number for filing in filings for number in filing.learned
    }
