"""The interface of a source from a platform: items that return texts, each with its place.

JSON and tables each implement `SourceItem`. Nothing here depends on customs' formats.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

from gateway.errors import Refused
from gateway.rules.texts import fault_of
from gateway.xml.decode import ENCODINGS, UTF8_MARK

NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that XML does not allow (XML 1.0, 2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A place in the source, in the notation of its format."""

    text: str
    """`/orders/3/buyer/name`, `row 17, column consignee`."""
    line: int
    column: int
    """Both from 1, the column in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The place of a text or a list, as a mapping gives it."""

    written: str
    """As written in the mapping; for CSV, the column."""
    ups: int | None = 0
    """How many items to go up before the steps; None: start at the top of the document."""
    steps: tuple[str, ...] = ()

    @classmethod
    def of_path(cls, text: str) -> Self:
        """Read a JSON path: `/a/b` from the top, `a/b` from the item, `../a` from the enclosing item, `.` the item.

        Steps are escaped as in a JSON pointer (RFC 6901): `~1` is a slash, `~0` a tilde. Raises ValueError.
        """
        if not text:
            raise ValueError("an empty text is no path")
        steps = text.split("/")
        ups: int | None = 0
        if steps[0] == "":
            ups, steps = None, steps[1:]
        elif steps == ["."]:
            steps = []
        else:
            ups = next((n for n, step in enumerate(steps) if step != ".."), len(steps))
            steps = steps[ups:]
        if any(step in ("", ".", "..") for step in steps):
            raise ValueError(f"{text!r} is no path")
        return cls(
            written=text,
            ups=ups,
            steps=tuple(step.replace("~1", "/").replace("~0", "~") for step in steps),
        )


class NoTextError(Exception):
    """The source has something else at a place than the mapping expects."""

    def __init__(self, rule: str, spot: Spot, value: str = "", **facts: str) -> None:
        """`rule` is a key of `gateway.mapping.faults`."""
        super().__init__(rule)
        self.rule = rule
        self.spot = spot
        self.value = value
        self.facts = facts


class SourceItem(Protocol):
    """One part of the source: the whole source, an order, a line, a group of rows."""

    def text(self, at: Reference, *, as_written: bool = False) -> str | None:
        """Return the stripped text there; None when it is missing or empty. Raises NoTextError.

        A text damaged by a program (`lossy_numbers.lost`) raises too, unless `as_written` is true.
        """

    def spot(self, at: Reference | None = None) -> Spot:
        """Return the place that it has or would have; without a reference, where the item begins."""

    def each(self, over: tuple[Reference, ...]) -> Sequence["SourceItem"]:
        """Return the items inside: the members of the array there, or groups of rows equal in these columns.

        Raises NoTextError when there is something else.
        """


class Lines:
    """Converts offsets in a text to lines and columns; the index is built at the first use."""

    def __init__(self, text: str, *, line: int = 1, column: int = 1) -> None:
        """`line`, `column`: where the text begins in its file."""
        self._text = text
        self._line, self._column = line, column
        self._starts: list[int] = []

    def spot(self, offset: int, text: str) -> Spot:
        """Return the Spot of an offset; `text` names the place."""
        if not self._starts:
            self._starts = [0, *(found.end() for found in re.finditer(r"\r\n|\n|\r", self._text))]
        line = bisect_right(self._starts, offset)
        before = self._column - 1 if line == 1 else 0
        return Spot(
            text=text, line=self._line + line - 1, column=offset - self._starts[line - 1] + 1 + before
        )


def decoded(body: bytes, charset: str) -> str:
    """Decode a source, without its byte order mark; empty charset: UTF-8. Raises Refused `wrong-encoding`."""
    codec = ENCODINGS.get((charset or "utf-8").lower())
    if codec is None:
        raise Refused("wrong-encoding", [fault_of("source.encoding.unknown", {"codec": charset[:40]})])
    body = body.removeprefix(UTF8_MARK) if codec == "utf-8" else body
    try:
        return body.decode(codec)
    except UnicodeDecodeError as wrong:
        before = body[: wrong.start].decode(codec, "replace")
        spot = Lines(before).spot(len(before), "")
        fault = fault_of(
            "source.encoding.bytes", {"codec": codec.upper()}, line=spot.line, column=spot.column
        )
        raise Refused("wrong-encoding", [fault]) from wrong


def shortened(text: str, most: int = 100) -> str:
    """Cut a text for an answer and take out what could not be written there."""
    return NOT_IN_XML.sub("\ufffd", text[:most])
