"""A Merkle tree over hashes by RFC 6962 (section 2.1): append, root, inclusion and consistency proofs. No I/O.

The tree is stored in tiles of 256 hashes, in the layout of C2SP tlog-tiles: tile (0, n) holds the hashes of leaves
256n to 256n+255, tile (1, n) the roots of 256 full tiles of level 0, and so on. The tiles contain every node: one of
eight levels is stored, the levels between are computed on demand. Only the last tile of a level grows.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

SIZE: Final = 32
"""Bytes of a hash (SHA-256)."""
EMPTY: Final = hashlib.sha256(b"").digest()
"""Root of the tree without leaves."""
_HEIGHT: Final = 8
_WIDTH: Final = 1 << _HEIGHT
_TILE_BYTES: Final = _WIDTH * SIZE

Read = Callable[[int, int], bytes]
"""(level, number) → the concatenated hashes of the tile; at least those that the tree's size requires."""
Tiles = dict[tuple[int, int], bytes]


class ProofError(Exception):
    """A proof does not have the form that index and sizes require, or does not lead to the root."""


def leaf_hash(content: bytes) -> bytes:
    """Hash a leaf (RFC 6962, 2.1: 0x00 before the content)."""
    return hashlib.sha256(b"\0" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node (RFC 6962, 2.1: 0x01 before the two)."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """A tree of `size` leaves whose tiles can be read."""

    def __init__(self, size: int, read: Read) -> None:
        self._size = size
        self._read = read

    def root(self) -> bytes:
        """Return the root hash."""
        return self._over(0, self._size) if self._size else EMPTY

    def inclusion(self, index: int) -> tuple[bytes, ...]:
        """Return the proof that a leaf is in the tree (RFC 6962, 2.1.1), lowest sibling first. Raises ProofError."""
        if not 0 <= index < self._size:
            raise ProofError(f"there is no leaf {index} among {self._size}")
        return tuple(self._path(index, 0, self._size))

    def consistency(self, old: int) -> tuple[bytes, ...]:
        """Return the proof that the tree of the first `old` leaves is the beginning of this one (RFC 6962, 2.1.2).

        Empty if `old` is 0 or all leaves. Raises ProofError.
        """
        if not 0 <= old <= self._size:
            raise ProofError(f"{old} leaves are not the beginning of {self._size}")
        return tuple(self._steps(old, 0, self._size, whole=True)) if old else ()

    def _path(self, index: int, low: int, high: int) -> list[bytes]:
        if high - low == 1:
            return []
        middle = low + _split(high - low)
        if index < middle:
            return [*self._path(index, low, middle), self._over(middle, high)]
        return [*self._path(index, middle, high), self._over(low, middle)]

    def _steps(self, old: int, low: int, high: int, *, whole: bool) -> list[bytes]:
        if old == high:
            return [] if whole else [self._over(low, high)]
        middle = low + _split(high - low)
        if old <= middle:
            return [*self._steps(old, low, middle, whole=whole), self._over(middle, high)]
        return [*self._steps(old, middle, high, whole=False), self._over(low, middle)]

    def _over(self, low: int, high: int) -> bytes:
        """Return the hash over the leaves from `low` to before `high`, which form a subtree of this tree."""
        count = high - low
        if count & (count - 1) == 0:
            return self._node(count.bit_length() - 1, low // count)
        middle = low + _split(count)
        return node_hash(self._over(low, middle), self._over(middle, high))

    def _node(self, level: int, number: int) -> bytes:
        """Return the root of the full subtree `number` of 2^level leaves."""
        tile_level, above = divmod(level, _HEIGHT)
        tile, place = divmod(number << above, _WIDTH)
        hashes = self._read(tile_level, tile)[place * SIZE : (place + (1 << above)) * SIZE]
        if len(hashes) != SIZE << above:
            raise ProofError(f"tile {tile} of level {tile_level} is shorter than the tree")
        return _fold(hashes)


class Frontier:
    """The right edge of a growing tree: enough to compute the root at each size."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def push(self, leaf: bytes) -> None:
        """Append the hash of a leaf."""
        count = self.size
        while count & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            count >>= 1
        self._peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of all leaves pushed so far."""
        if not self._peaks:
            return EMPTY
        *rest, root = self._peaks
        for peak in reversed(rest):
            root = node_hash(peak, root)
        return root


def grown(size: int, leaves: Sequence[bytes], read: Read) -> Tiles:
    """Append leaf hashes to a tree of `size` leaves; returns every new or longer tile. Raises ProofError."""
    tiles: Tiles = {}
    level, first, added = 0, size, b"".join(leaves)
    while added:
        number, there = divmod(first, _WIDTH)
        before = read(level, number)[: there * SIZE] if there else b""
        if len(before) != there * SIZE:
            raise ProofError(f"tile {number} of level {level} is shorter than the tree")
        hashes = before + added
        full = []
        for place in range(0, len(hashes), _TILE_BYTES):
            tile = hashes[place : place + _TILE_BYTES]
            tiles[level, number + place // _TILE_BYTES] = tile
            if len(tile) == _TILE_BYTES:
                full.append(_fold(tile))
        level, first, added = level + 1, number, b"".join(full)
    return tiles


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that a proof leads to from the hash of a leaf (RFC 9162, 2.1.3.2). Raises ProofError."""
    if not 0 <= index < size:
        raise ProofError(f"there is no leaf {index} among {size}")
    place, last, root = index, size - 1, leaf
    for step in proof:
        if last == 0:
            raise ProofError("the proof is too long")
        if place & 1 or place == last:
            root = node_hash(step, root)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            root = node_hash(root, step)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    return root


def check_consistency(  # noqa: C901 (the steps as the RFC writes them)
    *, old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that one tree is the beginning of another (RFC 9162, 2.1.4.2). Raises ProofError."""
    if not 0 <= old <= new:
        raise ProofError(f"{old} leaves are not the beginning of {new}")
    if old in {0, new}:
        if proof or old_root != (new_root if old else EMPTY):
            raise ProofError("the roots do not fit")
        return
    steps = list(proof) if old & (old - 1) else [old_root, *proof]
    if not steps:
        raise ProofError("the proof is too short")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofError("the proof is too long")
        if place & 1 or place == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, step)
        place, last = place >> 1, last >> 1
    if last or first != old_root or second != new_root:
        raise ProofError("the older tree is not the beginning of the newer one")


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _fold(hashes: bytes) -> bytes:
    """Return the root over hashes, whose number must be a power of two."""
    sha256 = hashlib.sha256
    while len(hashes) > SIZE:
        pair = 2 * SIZE
        hashes = b"".join(
            [sha256(b"\1" + hashes[at : at + pair]).digest() for at in range(0, len(hashes), pair)]
        )
    return hashes
