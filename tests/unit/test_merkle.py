"""The Merkle tree against RFC 6962's own definitions, written down here once more in the plainest form."""

import hashlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool.merkle import (
    EMPTY,
    SIZE,
    Frontier,
    ProofError,
    Tiles,
    Tree,
    check_consistency,
    grown,
    leaf_hash,
    node_hash,
    root_by_inclusion,
)

RFC_LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]  # fmt: skip
RFC_ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
"""Roots of the reference tree that logs of certificates are tested with."""


def mth(leaves: Sequence[bytes]) -> bytes:
    """Merkle tree hash as section 2.1 defines it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


class Log:
    """Tiles in memory, appended to in any steps."""

    def __init__(self, *steps: int) -> None:
        self.tiles: Tiles = {}
        self.contents: list[bytes] = []
        for step in steps:
            self.append(step)

    def append(self, count: int) -> None:
        size = len(self.contents)
        new = [b"event %d" % number for number in range(size, size + count)]
        self.tiles |= grown(size, [leaf_hash(one) for one in new], self.read)
        self.contents += new

    def read(self, level: int, number: int) -> bytes:
        return self.tiles.get((level, number), b"")

    def tree(self, size: int | None = None) -> Tree:
        return Tree(len(self.contents) if size is None else size, self.read)


sizes = st.integers(1, 700)


def flips(proof: Sequence[bytes], at: int, bit: int) -> tuple[bytes, ...]:
    """Return the proof with one bit of one hash flipped."""
    place = at % len(proof)
    hash_ = bytearray(proof[place])
    hash_[bit // 8 % SIZE] ^= 1 << bit % 8
    return (*proof[:place], bytes(hash_), *proof[place + 1 :])


@pytest.mark.parametrize(("size", "root"), RFC_ROOTS.items())
def test_roots_of_the_reference_tree_come_out(size: int, root: str) -> None:
    tiles = grown(0, [leaf_hash(one) for one in RFC_LEAVES[:size]], lambda *_: b"")
    assert Tree(size, lambda *place: tiles[place]).root().hex() == root
    assert mth(RFC_LEAVES[:size]).hex() == root


@given(st.lists(st.integers(1, 300), max_size=5))
def test_root_is_that_of_the_definition_in_whatever_steps_the_log_grew(steps: list[int]) -> None:
    log = Log(*steps)
    frontier = Frontier()
    for content in log.contents:
        frontier.push(leaf_hash(content))
    assert log.tree().root() == mth(log.contents) == frontier.root()


@pytest.mark.parametrize("size", [255, 256, 257, 65_535, 65_536, 65_537, 70_000])
def test_log_that_fills_whole_tiles_of_higher_levels_grows_and_proves(size: int) -> None:
    log = Log(size // 2, size - size // 2)
    frontier = Frontier()
    for content in log.contents:
        frontier.push(leaf_hash(content))
    root = log.tree().root()
    assert root == frontier.root()
    for index in (0, size // 3, size - 1):
        proof = log.tree().inclusion(index)
        assert root_by_inclusion(leaf_hash(log.contents[index]), index, size, proof) == root


@given(sizes, st.data())
def test_every_inclusion_proof_leads_to_the_root_and_every_altered_one_does_not(
    size: int, data: st.DataObject
) -> None:
    log, index = Log(size), data.draw(st.integers(0, size - 1))
    leaf, root = leaf_hash(log.contents[index]), mth(log.contents)
    proof = log.tree().inclusion(index)
    assert root_by_inclusion(leaf, index, size, proof) == root
    assert root_by_inclusion(leaf_hash(b"another"), index, size, proof) != root
    if proof:
        spoilt = flips(proof, data.draw(st.integers(0, 99)), data.draw(st.integers(0, 255)))
        assert root_by_inclusion(leaf, index, size, spoilt) != root
        with pytest.raises(ProofError):
            root_by_inclusion(leaf, index, size, proof[:-1])
    with pytest.raises(ProofError):
        root_by_inclusion(leaf, index, size, (*proof, root))


@given(sizes, st.data())
def test_every_consistency_proof_holds_and_every_altered_one_does_not(size: int, data: st.DataObject) -> None:
    log, old = Log(size), data.draw(st.integers(0, size))
    proof = log.tree().consistency(old)
    trees = {"old": old, "new": size, "new_root": mth(log.contents), "old_root": mth(log.contents[:old])}
    check_consistency(**trees, proof=proof)  # type: ignore[arg-type]
    with pytest.raises(ProofError):
        check_consistency(**{**trees, "old_root": leaf_hash(b"another")}, proof=proof)  # type: ignore[arg-type]
    with pytest.raises(ProofError):
        check_consistency(**trees, proof=(*proof, EMPTY))  # type: ignore[arg-type]
    if proof:
        spoilt = flips(proof, data.draw(st.integers(0, 99)), data.draw(st.integers(0, 255)))
        with pytest.raises(ProofError):
            check_consistency(**trees, proof=spoilt)  # type: ignore[arg-type]
        with pytest.raises(ProofError):
            check_consistency(**trees, proof=proof[:-1])  # type: ignore[arg-type]


def test_older_trees_are_read_from_the_tiles_of_the_newer_one() -> None:
    log = Log(700)
    assert all(log.tree(size).root() == mth(log.contents[:size]) for size in range(0, 701, 50))


def test_what_is_not_there_is_refused() -> None:
    log = Log(5)
    wrongs: list[Callable[[], object]] = [
        lambda: log.tree().inclusion(5),
        lambda: log.tree().inclusion(-1),
        lambda: log.tree().consistency(6),
    ]
    for wrong in wrongs:
        with pytest.raises(ProofError):
            wrong()
    with pytest.raises(ProofError, match="shorter"):
        Tree(6, log.read).root()
    with pytest.raises(ProofError, match="shorter"):
        grown(6, [EMPTY], log.read)
    with pytest.raises(ProofError):
        root_by_inclusion(EMPTY, 3, 3, ())


def test_inner_node_is_no_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(left, right) != leaf_hash(left + right)
