"""Verifies the whole log: every existing line against its place, every tile, every checkpoint.

Reads the journal, the archive and the log once, in order, and recomputes all hashes; needs some 40 bytes of memory
for each event that is in the archive only. Faults name the number of the event.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from spool.entry import JournalLine
from spool.merkle import SIZE, Frontier, Tiles, grown
from spool.note import Checkpoint, NoteError, VerifierKey, read, verified
from spool.sealing import Leaves, Sealed, leaf_of
from spool.store import Spool

_BATCH: Final = 64
_WIDTH: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The result of an audit."""

    events: int
    """Events in the log."""
    archived: int
    """Of these, in the archive only."""
    checkpoints: int
    unsealed: int
    """Journal lines that wait for their place in the log; may be slightly too high."""
    faults: tuple[str, ...]
    """Empty: the whole log holds."""


class Auditor:
    """One pass through a log."""

    def __init__(
        self,
        spool: Spool,
        keys: Sequence[VerifierKey],
        archived: Callable[[], Iterable[JournalLine]],
        kept: Sequence[str] = (),
    ) -> None:
        """`keys`: keys that may have signed checkpoints; `archived`: every line in the archive.

        `kept`: checkpoints that a third party has kept; the log must contain what they vouch for.
        """
        self._spool = spool
        self._keys = keys
        self._archived = archived
        self._frontier = Frontier()
        self._tiles: Tiles = {}
        self._absent: dict[int, bytes] = {}
        """Number of a line missing in the journal → its leaf hash in the tile."""
        self._faults: list[str] = []
        self._origin = ""
        self._previous = 0
        self._kept = {note: self._said(note) for note in kept}

    def audit(self) -> Audit:
        """Verify the log; blocks for some ten microseconds an event. Raises SpoolError."""
        newest = self._spool.checkpoint()
        end = newest.size if newest else 0  # the log may grow meanwhile
        checkpoints = (one for one in self._checkpoints() if one.size <= end)
        due = next(checkpoints, None)
        count = 0
        last = 0
        while self._frontier.size < end and (batches := self._spool.leaves(after=last, limit=_BATCH)):
            for batch in batches:
                if batch.first >= end:
                    break
                for hash_ in self._hashes(batch, after=last):
                    self._push(hash_)
                    self._compare_kept()
                    while due is not None and due.size == self._frontier.size:
                        self._compare(due)
                        count, due = count + 1, next(checkpoints, None)
                last = batch.highest
        if due is not None:
            self._faults.append(
                f"the checkpoint of {due.size} events has more than the {self._frontier.size} that are listed"
            )
        self._faults += [f"a checkpoint that was kept is not of this log: {note}" for note in self._kept]
        absent = len(self._absent)
        self._find_in_archive()
        return Audit(
            events=self._frontier.size,
            archived=absent,
            checkpoints=count,
            unsealed=self._spool.unsealed(),
            faults=tuple(self._faults),
        )

    def _checkpoints(self) -> Iterator[Sealed]:
        size = 0
        while page := self._spool.checkpoints(after=size, limit=_BATCH):
            yield from page
            size = page[-1].size

    def _hashes(self, batch: Leaves, *, after: int) -> Iterator[bytes]:
        """Yield the leaf hashes of a batch from their tiles; compares each with its journal line, if it is there."""
        numbers = batch.numbers
        if not numbers:  # copies for benchmarks, which are not in the log on purpose (spool.sqlite.copies)
            return
        lines = {line.number: line for line in self._spool.lines(after=after, up_to=numbers[-1])}
        self._faults += [
            f"event {number} ({lines[number].event}) was inserted: it is in the journal, not in the log"
            for number in sorted(lines.keys() - set(numbers))
        ]
        for index, number in enumerate(numbers, start=batch.first):
            stored = self._leaf(index)
            if number not in lines:
                self._absent[number] = stored
                yield stored
                continue
            hash_ = leaf_of(lines[number])
            if hash_ != stored:
                self._faults.append(
                    f"event {number} ({lines[number].event}) was altered, or its hash in the log was"
                )
            yield stored

    def _leaf(self, index: int) -> bytes:
        tile, place = divmod(index, _WIDTH)
        if (0, tile) not in self._tiles:
            self._tiles = {(0, tile): self._spool.tile(0, tile)}
        return self._tiles[0, tile][place * SIZE : (place + 1) * SIZE]

    def _push(self, hash_: bytes) -> None:
        if len(hash_) != SIZE:
            self._faults.append(f"the hash of place {self._frontier.size} is missing from its tile")
            hash_ = bytes(SIZE)
        self._frontier.push(hash_)
        size = self._frontier.size
        level = 1
        while size % _WIDTH**level == 0:  # a tile has become full: its root is stored one level higher
            self._compare_tile(level, size // _WIDTH**level - 1)
            level += 1

    def _compare_tile(self, level: int, index: int) -> None:
        """Compare the root of a full tile with its hash in the level above."""
        number, place = divmod(index, _WIDTH)
        below = self._spool.tile(level - 1, index)
        made = grown(0, [below[at : at + SIZE] for at in range(0, len(below), SIZE)], lambda *_: b"")
        stored = self._spool.tile(level, number)[place * SIZE : (place + 1) * SIZE]
        if made.get((1, 0), b"") != stored:
            self._faults.append(f"tile {number} of level {level} was altered")

    def _compare(self, sealed: Sealed) -> None:
        named = f"the checkpoint of {sealed.size} events"
        try:
            said = verified(sealed.note, self._keys) if self._keys else read(sealed.note)
        except NoteError as error:
            self._faults.append(f"{named}: {error}")
            return
        self._origin = self._origin or said.origin
        if said.origin != self._origin:
            self._faults.append(f"{named} is of another log, {said.origin}")
        if (said.size, said.root) != (sealed.size, self._frontier.root()):
            self._faults.append(
                f"{named} has another root: something among the events {self._previous} to {sealed.size - 1}"
                " of the log was altered, or hashes of it were"
            )
        else:
            self._previous = sealed.size

    def _compare_kept(self) -> None:
        """Remove kept checkpoints that agree with the log at its current size; those left at the end do not agree."""
        for note, said in tuple(self._kept.items()):
            if said is not None and said.size == self._frontier.size and said.root == self._frontier.root():
                del self._kept[note]

    def _said(self, note: str) -> Checkpoint | None:
        try:
            return verified(note, self._keys) if self._keys else read(note)
        except NoteError:
            return None

    def _find_in_archive(self) -> None:
        for line in self._archived() if self._absent else ():
            stored = self._absent.get(line.number)
            if stored is None:
                continue
            if leaf_of(line) == stored:
                del self._absent[line.number]
        for number in sorted(self._absent):
            self._faults.append(
                f"event {number} is missing: neither in the journal nor, as it was, in the archive"
            )
