"""Feed a part of an XLSX file to a parser in chunks: no document type, no deep nesting, no endless tags or texts.

expat rather than lxml: it gives events without building trees, so that memory is bounded whatever stands in a row, and
it is half as fast again (docs/adr/0049).
"""

from collections.abc import Callable, Iterator
from typing import Final
from xml.parsers import expat

from gateway.errors import Refused
from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.xlsx.archive import WorkbookArchive

NAMESPACES: Final = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
)
"""Of transitional and of strict files."""
PRESERVE: Final = "http://www.w3.org/XML/1998/namespace space"
"""The attribute xml:space: without its value `preserve`, white space around a text is none of it."""
WHITE: Final = " \t\r\n"
_DEEPEST: Final = 64
_TOKEN_BYTES: Final = 1024 * 1024
"""Longest tag, comment or the like."""
Start = Callable[[str, dict[str, str]], None]
End = Callable[[str], None]


class Markup:
    """One pass over a part; `text` collects the character data until the handlers clear it."""

    def __init__(self, archive: WorkbookArchive, name: str, *, text_chars: int) -> None:
        """`text_chars`: the longest text between two tags."""
        self._archive = archive
        self._name = name
        self._most = text_chars
        self._depth = 0
        self._fed = 0
        self._has_cdata = False
        self.text: list[str] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.CharacterDataHandler = self.text.append
        self.parser.StartDoctypeDeclHandler = self._no_doctype
        self.parser.StartCdataSectionHandler = self._note_cdata

    def passes(self, start: Start) -> Iterator[None]:
        """Parse all of the part, and return to the caller after each chunk; `start`: see `begin`.

        Raises Refused `not-xlsx`, `too-large`.
        """
        self.begin(start)
        with self._archive.opened(self._name) as chunks:
            for chunk in chunks:
                self.feed(chunk)
                yield
        self.finish()
        yield

    def begin(self, start: Start) -> None:
        """Begin: `start` is given the root element, and sets the handlers of all others."""
        self.parser.StartElementHandler = start

    def feed(self, chunk: bytes) -> None:
        """Parse some more. Raises Refused."""
        self._fed += len(chunk)
        self._parse(chunk, final=False)
        if self._fed - self.parser.CurrentByteIndex > _TOKEN_BYTES + self._most * 6 + len(chunk):
            raise self.damaged()
        if sum(map(len, self.text)) > self._most + len(chunk):
            raise refused("not-xlsx", "cell", limit=self._most)

    def finish(self) -> None:
        """Parse the end. Raises Refused if the part is cut off."""
        self._parse(b"", final=True)

    def stands_behind(self, tag: bytes) -> bool:
        """Say whether nothing is open behind what was parsed last, which ends with this tag.

        Versions of expat differ in whether the index is that of the last tag, or of the byte behind it. In a CDATA
        section a tag may be text: behind one it is never said.
        """
        return not self._has_cdata and self._fed - self.parser.CurrentByteIndex in (0, len(tag))

    def deeper(self, steps: int) -> None:
        """Count a level of elements that the caller does not know, or its end. Raises Refused."""
        self._depth += steps
        if self._depth > _DEEPEST:
            raise self.damaged()

    def taken(self) -> str:
        """Return the text that was collected."""
        text = self.text
        return text[0] if len(text) == 1 else "".join(text)

    def damaged(self) -> Refused:
        """Make the refusal of a part that no spreadsheet program writes."""
        return refused("not-xlsx", "damaged", part=self._name)

    def _parse(self, chunk: bytes, *, final: bool) -> None:
        try:
            self.parser.Parse(chunk, final)
        except expat.ExpatError as wrong:
            raise self.damaged() from wrong

    def _note_cdata(self) -> None:
        self._has_cdata = True

    def _no_doctype(self, *_: object) -> None:
        raise refused("not-xlsx", "doctype", part=self._name)
