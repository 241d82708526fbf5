"""Read and write DER (Distinguished Encoding Rules), only as far as certificates need it here; reading is strict.

For what general libraries refuse to look into: certificates with an SM2 key (docs/spec/signing.md, Traps).
"""

from dataclasses import dataclass
from typing import Final

from signing.errors import SigningError

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OBJECT_ID: Final = 0x06
SEQUENCE: Final = 0x30
VERSION: Final = 0xA0
"""Tag of the first field of a certificate of version 2 or 3."""
_LONG = 0x80
_MULTI_BYTE_TAG = 0x1F


@dataclass(frozen=True, slots=True, kw_only=True)
class DerItem:
    """One value of a DER encoding."""

    tag: int
    """The identifier octet: class, form and number."""
    content: bytes
    whole: bytes
    """Tag, length and content, unchanged."""

    def items(self) -> tuple["DerItem", ...]:
        """Read the values inside a constructed value; raises SigningError when the content is not DER."""
        return read(self.content)


def read(data: bytes) -> tuple[DerItem, ...]:
    """Read the values that `data` consists of, to its last byte.

    Raises SigningError for a length not in its shortest form, a tag of several bytes, or bytes left over.
    """
    found = []
    at = 0
    while at < len(data):
        start, end = _extent(data, at)
        found.append(DerItem(tag=data[at], content=data[start:end], whole=data[at:end]))
        at = end
    return tuple(found)


def read_one(data: bytes, tag: int) -> DerItem:
    """Read the single value in `data`; raises SigningError for another tag or when more bytes follow."""
    found = read(data)
    if len(found) != 1 or found[0].tag != tag:
        raise _broken(f"not one value of tag {tag:#04x}")
    return found[0]


def write(tag: int, *parts: bytes) -> bytes:
    """Write one value whose content is these parts joined."""
    content = b"".join(parts)
    size = len(content)
    if size < _LONG:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG | len(length))) + length + content


def write_integer(value: int) -> bytes:
    """Write an INTEGER that is not negative."""
    return write(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _extent(data: bytes, at: int) -> tuple[int, int]:
    """Return the offsets where the content of the value at `at` begins and ends."""
    if data[at] & _MULTI_BYTE_TAG == _MULTI_BYTE_TAG:
        raise _broken("a tag of several bytes")
    if at + 1 >= len(data):
        raise _broken("the length is missing")
    first, start = data[at + 1], at + 2
    size = first
    if first >= _LONG:
        digits = data[start : start + first - _LONG]
        start += len(digits)
        size = int.from_bytes(digits, "big")
        if len(digits) != first - _LONG or not digits or digits[0] == 0 or size < _LONG:
            raise _broken("a length that is not in its shortest form")
    if start + size > len(data):
        raise _broken("it ends too early")
    return start, start + size


def _broken(what: str) -> SigningError:
    return SigningError(f"not DER: {what}", fix="use it as it was issued")
