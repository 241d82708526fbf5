"""A mapping as the journal keeps it: every text that it consists of, once for each digest.

The line `mapping.used` under `mapping <digest>` is written with the first message that the mapping made; like every
line it is hashed and proven, so a mapping that was changed later is still at hand as it was.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from gateway.errors import RulesError
from gateway.mapping.compile import compile_mapping, mapping_digest
from gateway.mapping.language import SourceMapping
from gateway.rules.loading import Rules

USED: Final = "mapping.used"
"""Event of the journal line."""


class RecordedText(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file in UTF-8."""

    sha256: str
    text: str

    @property
    def is_whole(self) -> bool:
        """Whether the text has the digest."""
        return _digest(self.text.encode()) == self.sha256


class MappingRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a mapping consists of; code tables, which are shipped, only by their digests."""

    mapping: RecordedText
    files: Mapping[str, RecordedText]
    """Tables beside it, by name."""
    tables: Mapping[str, str]
    """Code tables that it looks things up in, by name → hex digest of their rows."""

    @property
    def sha256(self) -> str:
        """Digest of the mapping: `SourceMapping.sha256`."""
        return mapping_digest(self.mapping.text.encode(), self._beside, self.tables)

    @property
    def _beside(self) -> dict[str, bytes]:
        return {name: one.text.encode() for name, one in self.files.items()}

    def compiled(self, name: str, rules: Rules) -> SourceMapping:
        """Make the mapping again from its texts alone. Raises RulesError."""
        try:
            return compile_mapping(
                self.mapping.text.encode(), Path(f"{name}.toml"), rules, beside=self._beside
            )
        except RecursionError as error:
            raise RulesError(
                "the mapping is nested too deeply", where=name, fix="write it with fewer levels"
            ) from error


_decoder: Final = msgspec.json.Decoder(MappingRecord)


def mapping_uid(sha256: str) -> str:
    """Return the uid of a mapping in the journal; `sha256`: hex, as `SourceMapping.sha256`."""
    return f"mapping {sha256}"


def mapping_detail(mapping: SourceMapping) -> str:
    """Return the detail of the journal line."""
    record = MappingRecord(
        mapping=_recorded(mapping.text.encode()),
        files={name: _recorded(content) for name, content in sorted(mapping.files.items())},
        tables=dict(sorted(mapping.tables.items())),
    )
    return msgspec.json.encode(record).decode()


def mapping_record(detail: str) -> MappingRecord:
    """Read the detail of the journal line. Raises ValueError."""
    return _decoder.decode(detail)


def _recorded(content: bytes) -> RecordedText:
    return RecordedText(sha256=_digest(content), text=content.decode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
