"""The digest of what a source says: of its values, not its bytes, so that it is the same in every form and encoding."""

import hashlib
from collections.abc import Iterable, Sequence

from gateway.mapping.sources.json_source import JsonItem, value_texts
from gateway.mapping.sources.table import Workbook


class ValuesDigest:
    """Takes up what is read, in order, and says the SHA-256 of it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def sheet(self, name: str) -> None:
        """Begin a sheet; the only one of a workbook has the name ""."""
        self._add("sheet", (name,))

    def row(self, cells: Sequence[str]) -> None:
        """Take up a row that has any text; empty cells at its end do not count, nor does its number."""
        texts = list(cells)
        while texts and not texts[-1]:
            texts.pop()
        self._add("row", texts)

    def document(self, item: JsonItem) -> None:
        """Take up a JSON document: white space, escapes and the order of keys do not count."""
        self._add("document", tuple(value_texts(item)))

    def hexdigest(self) -> str:
        """Return the digest of what was taken up so far."""
        return self._hash.hexdigest()

    def _add(self, kind: str, texts: Sequence[str]) -> None:
        # with the lengths in front, two different lists of texts cannot give the same bytes
        lengths = ",".join([str(len(text)) for text in texts])
        self._hash.update(f"{kind}:{lengths}:{''.join(texts)}\n".encode("utf-8", "surrogatepass"))


def values_digest(source: Workbook | Iterable[JsonItem]) -> str:
    """Return the SHA-256, hex, of the visible sheets of a workbook, or of documents. Raises Refused as reading does."""
    digest = ValuesDigest()
    if isinstance(source, Iterable):
        for item in source:
            digest.document(item)
        return digest.hexdigest()
    sheets = [sheet for sheet in source.sheets if not sheet.hidden]
    for sheet in sheets:
        digest.sheet(sheet.name if len(sheets) > 1 else "")
        for row in sheet.rows():
            digest.row(row.cells)
    return digest.hexdigest()
