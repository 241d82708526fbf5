"""Writes mappings into the journal, each once, with the first message that it makes."""

from collections.abc import Mapping

from gateway.mapping.language import SourceMapping
from gateway.provenance.mapping_record import USED, mapping_detail, mapping_uid
from spool.entry import Note
from spool.store import Spool


class MappingLog:
    """Knows which mappings are in the journal; for one thread."""

    def __init__(self, spool: Spool, mappings: Mapping[str, SourceMapping]) -> None:
        """`mappings`: those of this process, by name."""
        self._spool = spool
        self._mappings = mappings
        self._noted: set[str] = set()

    def note(self, origin: Mapping[str, str]) -> Note | None:
        """Return the line to write with a message of this origin; None: it is there, or no mapping made the message.

        Raises SpoolError. Several processes may write the same line; the first counts.
        """
        mapping, sha256 = self._mappings.get(origin.get("mapping", "")), origin.get("mapping_sha256", "")
        if mapping is None or mapping.sha256 != sha256 or sha256 in self._noted:
            return None
        uid = mapping_uid(sha256)
        if any(self._spool.history(uid)):
            self._noted.add(sha256)
            return None
        return Note(event=USED, uid=uid, detail=mapping_detail(mapping))
