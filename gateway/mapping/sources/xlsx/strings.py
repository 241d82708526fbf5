"""Shared strings on disk: however many there are, memory holds only those that were used last."""

import tempfile
import weakref
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from msgspec import msgpack

from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.table import SourceLimits
from gateway.mapping.sources.xlsx.archive import WorkbookArchive
from gateway.mapping.sources.xlsx.cells import unescaped
from gateway.mapping.sources.xlsx.markup import NAMESPACES, PRESERVE, WHITE, Markup

_BLOCK: Final = 64
"""Strings that are stored together: sheets number them as they come, so that neighbours are asked for together."""
_ESCAPED: Final = 7
"""Characters of the longest escape of one."""
_KEPT_BYTES: Final = 8 * 1024 * 1024
_STRING_BYTES: Final = 64
"""What a string takes in memory beside its text."""
_decoder: Final = msgpack.Decoder(list[str])


class SharedStrings:
    """The strings of a workbook by number. The file has no name, and is gone with this object."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the workbook)
        weakref.finalize(self, self._file.close)
        self._starts = array("Q", [0])
        self._count = 0
        self._kept: OrderedDict[int, tuple[list[str], int]] = OrderedDict()
        self._kept_bytes = 0

    def fill(self, strings: Iterator[str]) -> None:
        """Store all strings, in order; to be called once."""
        block: list[str] = []
        for text in strings:
            block.append(text)
            if len(block) == _BLOCK:
                self._store(block)
                block = []
        if block:
            self._store(block)
        self._file.flush()

    def __getitem__(self, number: int) -> str:
        """Return a string. Raises Refused `not-xlsx` for a number that there is not."""
        if not 0 <= number < self._count:
            raise refused("not-xlsx", "damaged", part="sharedStrings")
        at, place = divmod(number, _BLOCK)
        kept = self._kept.get(at)
        return (kept[0] if kept else self._load(at))[place]

    def _store(self, block: list[str]) -> None:
        stored = msgpack.encode(block)
        self._file.write(stored)
        self._starts.append(self._starts[-1] + len(stored))
        self._count += len(block)

    def _load(self, at: int) -> list[str]:
        self._file.seek(self._starts[at])
        size = self._starts[at + 1] - self._starts[at]
        strings = _decoder.decode(self._file.read(size))
        cost = size + _STRING_BYTES * len(strings)
        self._kept[at] = strings, cost
        self._kept_bytes += cost
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1][1]
        return strings


def strings_of(archive: WorkbookArchive, part: str, limits: SourceLimits) -> Iterator[str]:  # noqa: C901 (one state in four handlers)
    """Yield the shared strings: runs of rich text joined, without how they are pronounced. Raises Refused."""
    markup = Markup(archive, part, text_chars=limits.cell_chars * 2)
    found: list[str] = []
    runs: list[str] = []
    taking = preserve = False
    phonetic = 0

    def begin(tag: str, _attributes: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition(" ")
        if name != "sst" or namespace not in NAMESPACES:
            raise markup.damaged()
        tag_text, tag_item, tag_phonetic = (f"{namespace} {one}" for one in ("t", "si", "rPh"))

        def start(tag: str, attributes: dict[str, str]) -> None:
            nonlocal taking, preserve, phonetic
            if taking:
                raise markup.damaged()
            markup.text.clear()
            if tag == tag_text and not phonetic:
                taking, preserve = True, attributes.get(PRESERVE) == "preserve"
            else:
                markup.deeper(1)
                phonetic += tag == tag_phonetic

        def end(tag: str) -> None:
            nonlocal taking, phonetic
            if taking:
                taking = False
                runs.append(markup.taken() if preserve else markup.taken().strip(WHITE))
                if sum(map(len, runs)) > limits.cell_chars * _ESCAPED:
                    raise refused("not-xlsx", "cell", limit=limits.cell_chars)
                return
            markup.deeper(-1)
            phonetic -= tag == tag_phonetic
            if tag == tag_item:
                found.append(unescaped("".join(runs)))
                runs.clear()

        markup.parser.StartElementHandler, markup.parser.EndElementHandler = start, end

    for _ in markup.passes(begin):
        yield from found
        found.clear()
