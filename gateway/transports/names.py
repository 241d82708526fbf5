"""Names in a drop folder: what a half-written file is called, and which files are whole."""

import posixpath
import secrets

from gateway.errors import DeliveryError

UNFINISHED = (".tmp", ".part", ".reading")
"""Endings of files that somebody is writing or reading (spec dxp.md, File conventions)."""
LONGEST_BYTES = 255 - len("..part")
"""What most file systems leave for a name when `temporary_name` has added its own part."""


def is_whole(name: str) -> bool:
    """Tell whether a listed file is finished and may be taken: no dot-name, no unfinished ending."""
    return not name.startswith(".") and not name.lower().endswith(UNFINISHED)


def temporary_name(file_name: str) -> str:
    """Name under which a file is written, in the same directory, until it is whole."""
    return f".{file_name}.part"


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
