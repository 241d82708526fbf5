"""Names in a drop folder: what a half-written file is called, and which files are whole."""

import posixpath
import re
import secrets
from collections.abc import Iterable

from gateway.errors import DeliveryError

UNFINISHED = (
    *(".tmp", ".temp", ".part", ".reading"),
    *(".filepart", ".partial", ".crdownload", ".opdownload"),  # WinSCP, rsync, Chrome, Opera
    *(".swp", ".swo", ".swx", "~"),  # vim; copies that editors keep
)
"""Endings of files that somebody is writing or reading, in small letters."""
LONGEST_BYTES = 255 - len("..01234567.part")
"""What most file systems leave for a name when `temporary_name` has added its own part."""
_TEMPORARY = re.compile(r"\.(?P<file_name>.+?)(\.[0-9a-f]{8})?\.part", re.DOTALL)


def is_whole(name: str) -> bool:
    """Tell whether a listed file is finished and may be taken: no dot-name, no unfinished ending.

    The one place that decides: for doors and receive folders, and for the names that we give.
    """
    return not name.startswith((".", "~$")) and not name.lower().endswith(UNFINISHED)


def new_mark() -> str:
    """Make what tells the temporary names of one writer from those of all others: 8 characters."""
    return secrets.token_hex(4)


def temporary_name(file_name: str, mark: str) -> str:
    """Name under which a file is written, in the same directory, until it is whole.

    `mark` belongs to one writer. Two that write the same file at once, or one that begins anew while a server still
    carries out what its lost connection asked for, would otherwise give each other's half a file its final name.
    """
    return f".{file_name}.{mark}.part"


def other_name(file_name: str) -> str:
    """Make another name of the same ending, for a folder where the first is taken."""
    stem, ending = posixpath.splitext(file_name)
    return f"{stem}.{secrets.token_hex(4)}{ending}"


def check_file_name(file_name: str) -> None:
    """Refuse a name that would leave its directory or never be seen; raises DeliveryError, not temporary."""
    fault = ""
    if not file_name or "/" in file_name or "\0" in file_name or not is_whole(file_name):
        fault = "is not a plain file name"
    elif len(file_name.encode("utf-8", "surrogatepass")) > LONGEST_BYTES:
        fault = f"has more than {LONGEST_BYTES} bytes"
    if fault:
        raise DeliveryError(
            f"the file name of the envelope {fault}",
            where=repr(file_name[:80]),
            fix="send the message under a CopMsgId of letters, digits and hyphens",
            temporary=False,
        )


class Leftovers:
    """Temporary names of what was never finished, until the message is sent again."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, names: Iterable[str]) -> None:
        """Remember those that are temporary names; also names without a mark, of earlier versions."""
        for name in names:
            if temporary := _TEMPORARY.fullmatch(name):
                known = self._names.setdefault(temporary["file_name"], [])
                if name not in known:
                    known.append(name)

    def take(self, file_name: str) -> list[str]:
        """Forget and return those of one file: whoever asks removes them."""
        return self._names.pop(file_name, [])
