"""File names in a drop folder: names of unfinished files, and which files are whole."""

import posixpath
import re
import secrets
from collections.abc import Iterable

from gateway.errors import DeliveryError

UNFINISHED = (
    *(".tmp", ".temp", ".part", ".reading"),
    *(".filepart", ".partial", ".crdownload", ".opdownload"),  # WinSCP, rsync, Chrome, Opera
    *(".swp", ".swo", ".swx", "~"),  # vim; backup copies of editors
)
"""Endings of files that are being written or read, in lower case."""
LONGEST_BYTES = 255 - len("..01234567.part")
"""Longest file name on most file systems, less what `temporary_name` adds."""
_TEMPORARY = re.compile(r"\.(?P<file_name>.+?)(\.[0-9a-f]{8})?\.part", re.DOTALL)


def is_whole(name: str) -> bool:
    """Return whether a listed file is finished and may be taken: no leading dot, no unfinished ending.

    The only place that decides this, for doors, receive folders and the names of files that we send.
    """
    return not name.startswith((".", "~$")) and not name.lower().endswith(UNFINISHED)


def new_mark() -> str:
    """Return a random mark of 8 characters that distinguishes one writer's temporary names from all others'."""
    return secrets.token_hex(4)


def temporary_name(file_name: str, mark: str) -> str:
    """Return the name under which a file is written, in the same directory, until it is whole.

    `mark` belongs to one writer. Otherwise two writers of the same file, or one that starts again while a server still
    executes requests of its lost connection, could give each other's unfinished file its final name.
    """
    return f".{file_name}.{mark}.part"


def other_name(file_name: str) -> str:
    """Return another name with the same ending, for a folder where the first is taken."""
    stem, ending = posixpath.splitext(file_name)
    return f"{stem}.{secrets.token_hex(4)}{ending}"


def check_file_name(file_name: str) -> None:
    """Refuse a name that leads out of its directory or that readers would skip; raises DeliveryError, not temporary."""
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
    """Temporary names of unfinished files, kept until the message is sent again."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, names: Iterable[str]) -> None:
        """Remember the temporary names among these; also names without a mark, of earlier versions."""
        for name in names:
            if temporary := _TEMPORARY.fullmatch(name):
                known = self._names.setdefault(temporary["file_name"], [])
                if name not in known:
                    known.append(name)

    def take(self, file_name: str) -> list[str]:
        """Forget and return the names for one file; the caller removes them."""
        return self._names.pop(file_name, [])
