"""Pools and rotations: who signs when; and how near the end of a certificate is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.keys.keyring import Keyring
from signing.keys.expiry import step_of
from signing.keys.files import Signer
from signing.keys.pool import Member, SigningKey, member_of
from tests.device_keys import played_member
from tests.signing_documents import write_key

NOW = datetime(2026, 11, 11, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return write_key(tmp_path_factory.mktemp("key"))


def member(signer: Signer, name: str, begins: int, ends: int) -> Member:
    made = member_of(name, signer)
    return replace(made, name=name, not_before=NOW + begins * DAY, not_after=NOW + ends * DAY)


def names(key: SigningKey, days: float) -> list[str]:
    return [one.name for one in key.current(NOW + days * DAY)]


def test_rotation_hands_over_on_the_day_the_new_certificate_begins(signer: Signer) -> None:
    old, new = member(signer, "old", -300, 20), member(signer, "new", 10, 800)
    for order in ((old, new), (new, old)):
        key = SigningKey(name="key", members=order, rotates=True)
        assert [names(key, days) for days in (0, 9.9, 10, 15, 30, 900)] == [
            ["old"], ["old"], ["new"], ["new"], ["new"], ["new"],
        ]  # fmt: skip


def test_pool_uses_every_member_that_is_valid(signer: Signer) -> None:
    key = SigningKey(
        name="key",
        members=(member(signer, "a", -9, 5), member(signer, "b", -9, 50), member(signer, "c", 2, 9)),
    )
    assert [names(key, days) for days in (0, 3, 6, 20)] == [["a", "b"], ["a", "b", "c"], ["b", "c"], ["b"]]


def test_when_all_have_ended_they_sign_on_and_customs_refuses(signer: Signer) -> None:
    assert names(SigningKey(name="key", members=(member(signer, "a", -9, 5),)), 6) == ["a"]
    assert names(SigningKey(name="key", members=(member(signer, "a", 1, 5),)), 0) == ["a"]


def test_only_the_last_certificate_of_a_rotation_is_one_to_think_of(signer: Signer) -> None:
    old, new = member(signer, "old", -300, 20), member(signer, "new", 10, 800)
    single, lone = (
        SigningKey(name="old", members=(old,)),
        SigningKey(name="lone", members=(member(signer, "lone", 0, 9),)),
    )
    keys = {
        "old": single,
        "new": SigningKey(name="new", members=(new,)),
        "lone": lone,
        "both": SigningKey(name="both", members=(old, new), rotates=True),
        "pool": SigningKey(name="pool", members=(lone.members[0],)),
    }
    assert [(name, one.name) for name, one in Keyring(keys=keys).public().ends()] == [
        ("lone", "lone"),
        ("both", "new"),
    ]


def test_keys_in_memory_are_a_plain_table_unless_some_take_over(signer: Signer, tmp_path: Path) -> None:
    plain = SigningKey(name="plain", members=(member_of("plain", signer),))
    device, _ = played_member(tmp_path, "card")
    keys = {"plain": plain, "card": SigningKey(name="card", members=(device,))}
    assert type(Keyring(keys=keys).in_memory()) is dict
    assert list(Keyring(keys=keys).devices()) == ["card"]
    now = datetime.now(UTC)
    other = write_key(tmp_path)
    rotation = SigningKey(
        name="both",
        members=(
            replace(member_of("a", signer), not_before=now - DAY),
            replace(member_of("b", other), not_before=now - DAY / 2),
        ),
        rotates=True,
    )
    changing = Keyring(keys={**keys, "both": rotation}).in_memory()
    assert changing["both"] is other
    assert changing.get("plain") is signer
    assert changing.get("absent") is None
    assert sorted(changing) == ["both", "plain"]
    assert len(changing) == 2


@pytest.mark.parametrize(
    ("days", "step"),
    [
        (91, None),
        (90, 90),
        (31, 90),
        (30, 30),
        (14.5, 30),
        (14, 14),
        (7, 7),
        (1.5, 7),
        (1, 1),
        (0, 0),
        (-3, 0),
    ],
)
def test_steps_at_which_the_end_is_told(days: float, step: int | None) -> None:
    assert step_of(NOW + days * DAY, NOW) == step
