"""Sources of many inventories for tests of imports, made from the worked example; invented data."""

from collections.abc import Collection, Iterator
from typing import Any

from tests.unit.mapping_examples import example

CSV = {"Content-Type": "text/csv"}


def inventory_lines(
    count: int, *, wrong: Collection[int] = (), unwritable: Collection[int] = (), first: int = 1
) -> Iterator[str]:
    """Yield head and `count` rows, a declaration each, numbered from `first`.

    Those in `wrong` break the schema, those in `unwritable` have a value that the mapping knows no translation of.
    """
    head, *_, row = example("inventories").decode().rstrip("\n").split("\n")
    assert ",,609," in row
    assert ",direct," in row
    yield head
    for number in range(first, first + count):
        line = row.replace("C-0002", f"C-{number:07}").replace("O-0002", f"O-{number:07}")
        line = line.replace(",,609,", ",,60999,") if number in wrong else line
        yield line.replace(",direct,", ",by air,") if number in unwritable else line


def inventories(count: int, **wrong: Any) -> bytes:
    """Return them as CSV, UTF-8; the arguments are those of `inventory_lines`."""
    return ("\n".join(inventory_lines(count, **wrong)) + "\n").encode()
