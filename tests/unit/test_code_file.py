"""The file in which a node passes on what it learned: signed, without values, bounded, each origin apart."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import ConfigError
from gateway.receipts.learning.code_counts import FieldCount, LearnedCode
from gateway.receipts.learning.code_file import read, tallies_of, written
from gateway.receipts.learning.learned_codes import CURED, DECLARATIONS, FIELD, SEEN
from spool.note import NodeKey

NOW = datetime(2026, 11, 11, 8, tzinfo=UTC)
KEY = NodeKey(name="gateway/north", private=Ed25519PrivateKey.generate())
OTHER = NodeKey(name="gateway/south", private=Ed25519PrivateKey.generate())
CODE = LearnedCode(
    code="1300",
    seen=9,
    declarations=7,
    cured=5,
    first_at=NOW - timedelta(days=3),
    last_at=NOW,
    fields=(FieldCount(name="InventoryHead/buyerIdNumber", n=5), FieldCount(name="InventoryList", n=1)),
)


def test_what_is_written_is_read_by_whoever_has_the_public_key() -> None:
    file = read(written([CODE], KEY, NOW).encode(), [OTHER.public, KEY.public], NOW)
    assert (file.origin, file.at, file.codes) == (f"gateway/north+{KEY.public.id.hex()}", NOW, (CODE,))
    assert {(one.name, one.key): one.n for one in tallies_of(file)} == {
        (SEEN, ""): 9, (DECLARATIONS, ""): 7, (CURED, ""): 5,
        (FIELD, "InventoryHead/buyerIdNumber"): 5, (FIELD, "InventoryList"): 1,
    }  # fmt: skip
    assert {one.origin for one in tallies_of(file)} == {file.origin}


def test_a_node_that_has_learned_nothing_says_so() -> None:
    assert read(written([], KEY, NOW).encode(), [KEY.public], NOW).codes == ()


def test_a_file_of_somebody_else_or_an_altered_one_is_refused() -> None:
    note = written([CODE], KEY, NOW)
    with pytest.raises(ConfigError, match="not signed by"):
        read(note.encode(), [OTHER.public], NOW)
    with pytest.raises(ConfigError, match="altered"):
        read(note.replace('"seen":9', '"seen":8').encode(), [KEY.public], NOW)
    with pytest.raises(ConfigError, match="signed note"):
        read(b"nothing", [KEY.public], NOW)
    with pytest.raises(ConfigError):
        read(b"\xff\xfe", [KEY.public], NOW)


def test_a_checkpoint_is_no_file_of_codes() -> None:
    note = KEY.note("gateway/north\n5\nAAAA\n")
    with pytest.raises(ConfigError, match="first line"):
        read(note.encode(), [KEY.public], NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"seen": -1},
        {"seen": 10**13},
        {"code": ""},
        {"code": "x" * 161},
        {"code": "a\x1b[2J"},
        {"code": "100: 收货地址*", "declarations": 2},
        {"fields": (FieldCount(name="buyerName=张三", n=1),)},
        {"fields": (FieldCount(name="a/b/c", n=1),)},
        {"fields": (FieldCount(name="a", n=1), FieldCount(name="a", n=2))},
        {"fields": tuple(FieldCount(name=f"a{number}", n=1) for number in range(501))},
        {"first_at": datetime(2026, 1, 1)},  # noqa: DTZ001 (a time without a zone is what is refused)
    ],
)
def test_a_signed_file_with_anything_else_in_it_is_refused(changes: dict[str, object]) -> None:
    note = written([msgspec.structs.replace(CODE, **changes)], KEY, NOW)
    with pytest.raises(ConfigError, match="line 4"):
        read(note.encode(), [KEY.public], NOW)


def test_a_file_has_a_code_once_and_not_too_many() -> None:
    with pytest.raises(ConfigError, match="line 5"):
        read(written([CODE, CODE], KEY, NOW).encode(), [KEY.public], NOW)
    many = [msgspec.structs.replace(CODE, code=f"{number}", fields=()) for number in range(5001)]
    with pytest.raises(ConfigError, match="more than 5000 codes"):
        read(written(many, KEY, NOW).encode(), [KEY.public], NOW)
    with pytest.raises(ConfigError, match="bytes"):
        read(b" " * (16 * 1024 * 1024 + 1), [KEY.public], NOW)


def test_a_file_from_the_future_is_refused_or_it_would_never_be_replaced() -> None:
    with pytest.raises(ConfigError, match="no time up to now"):
        read(written([CODE], KEY, NOW + timedelta(days=2)).encode(), [KEY.public], NOW)
