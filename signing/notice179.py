"""Sign what platforms upload by notice 2018 No. 179: real-time payment data, JSON (docs/spec/signing.md, section 6).

The signing string consists of the exact text of the members, compact as it is sent. So the JSON is not parsed
and written again: the members are located in the text, and certNo and signValue are inserted after them.
"""

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from signing.errors import SigningError
from signing.keys.files import Signer

MEMBERS: Final = ("sessionID", "payExchangeInfoHead", "payExchangeInfoLists", "serviceTime")
"""The members of the input, in this order; certNo and signValue follow."""

_STRING_OR_SPACE = re.compile(r'"(?>(?:[^"\\]|\\.)*)"|\s+', re.DOTALL)
_PLAIN = re.compile(r'"([^"\\]*)"')
_NUMBER = re.compile(r"[0-9]+")
_BARS: Final = "||"
_FIX: Final = "write it compact, without white space between members and values, as it will be sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The text of an unsigned upload, and its members."""

    text: str
    end: int
    """Offset in `text` of the closing brace of the whole object."""
    members: tuple[str, ...]
    """The text of each value, in the order of `MEMBERS`."""

    @property
    def signing_string(self) -> str:
        """The text that is signed, as UTF-8: quotes around each value, quotes inside not escaped."""
        session, head, lists, time = self.members
        values = (_unquoted(session), head, lists, _unquoted(time))
        return _BARS.join(f'"{name}":"{value}"' for name, value in zip(MEMBERS, values, strict=True))


def sign_upload(body: bytes, signer: Signer) -> bytes:
    """Add certNo and signValue to an upload; no other byte changes. Blocks as `signer.sign` does.

    Raises SigningError unless `body` is compact JSON in UTF-8 with exactly `MEMBERS`, and what `signer` raises.
    """
    upload = read_upload(body)
    value = b64encode(signer.sign(upload.signing_string.encode())).decode()
    added = f',"certNo":"{signer.key_name}","signValue":"{value}"'
    return (upload.text[: upload.end] + added + upload.text[upload.end :]).encode()


def read_upload(body: bytes) -> Upload:
    """Locate the members in the text; raises SigningError as `sign_upload` does."""
    try:
        text = body.decode("utf-8")
        known = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as err:
        raise SigningError("not JSON in UTF-8", where=str(err), fix="send the object of the upload") from err
    if not isinstance(known, dict) or tuple(known) != MEMBERS:
        names = ", ".join(known) if isinstance(known, dict) else "no object"
        raise SigningError(
            "the upload does not have the members that are signed, in their order",
            where=names[:200],
            fix=f"write {', '.join(MEMBERS)}; certNo and signValue are added here",
        )
    end = len(text.rstrip()) - 1
    _refuse_space(text[: end + 1])
    upload = Upload(text=text, end=end, members=_members(text))
    _check(upload)
    return upload


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has two members of one name")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _refuse_space(text: str) -> None:
    """Raise SigningError for white space between tokens: it would be signed, but customs reads values without it."""
    for found in _STRING_OR_SPACE.finditer(text):
        if not found[0].startswith('"'):
            line = text.count("\n", 0, found.start()) + 1
            raise SigningError(
                "the JSON is not compact: the signature is over the text of its values",
                where=f"white space in line {line}, character {found.start()}",
                fix=_FIX,
            )


def _members(text: str) -> tuple[str, ...]:
    """Return the text of each value of a compact object that is known to be well-formed."""
    decoder = json.JSONDecoder()
    members = []
    at = 1
    while at < len(text) and text[at - 1] in "{,":
        _, colon = decoder.raw_decode(text, at)
        _, end = decoder.raw_decode(text, colon + 1)
        members.append(text[colon + 1 : end])
        at = end + 1
    return tuple(members)


def _check(upload: Upload) -> None:
    session, head, lists, time = upload.members
    for name, value, fits, kind in (
        ("sessionID", session, _PLAIN.fullmatch(session), "a text without escapes"),
        ("payExchangeInfoHead", head, head.startswith("{"), "an object"),
        ("payExchangeInfoLists", lists, lists.startswith("["), "an array"),
        ("serviceTime", time, _NUMBER.fullmatch(_unquoted(time)), "milliseconds, digits"),
    ):
        if not fits:
            raise SigningError(f"{name} is not {kind}", where=value[:1], fix=f"write {kind}")


def _unquoted(value: str) -> str:
    plain = _PLAIN.fullmatch(value)
    return value if plain is None else plain[1]
