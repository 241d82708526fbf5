"""What a rehearsal reads of every kind of spool, and of the archive: each declaration message once."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.cli import edition_rehearsal
from gateway.cli.edition_rehearsal import kept_messages
from spool.archive import Archive
from spool.entry import NewMessage, Way
from spool.store import Spool
from tests.shipped_rules import shipped
from tests.spool_samples import Clock, new_message, settled

RULES = shipped()


@pytest.fixture
def archive(tmp_path: Path, clock: Clock) -> Archive:
    return Archive(tmp_path / "archive", clock)


def two_ways(uid: str) -> NewMessage:
    tax = Way(destination="tax", cop_msg_id=f"COP-{uid}", sender="")
    return new_message(uid, f"CEB no={uid}", more_ways=(tax,))


def read(spool: Spool, archive: Archive, enterprise: str = "") -> list[tuple[str, bytes]]:
    return [(one.view.uid, one.body) for one in kept_messages(spool, archive, RULES, enterprise)]


@pytest.mark.parametrize("page", [1, 2, 3, 200])
def test_each_message_comes_once_whatever_its_ways_and_no_notice(
    spool: Spool, archive: Archive, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edition_rehearsal, "_PAGE", page)
    notice = new_message("N", "CEB no=N", destination="@home/ann/erp")
    spool.put([two_ways("A"), new_message("B", "CEB no=B"), notice, two_ways("C")])
    assert read(spool, archive) == [(uid, b"body of " + uid.encode()) for uid in ("A", "B", "C")]


def test_one_enterprise_is_read_alone(spool: Spool, archive: Archive) -> None:
    spool.put([new_message("A", "CEB no=A"), new_message("B", "CEB no=B", owner="bob")])
    assert [uid for uid, _ in read(spool, archive, "bob")] == ["B"]
    assert read(spool, archive, "carol") == []


def test_archive_comes_after_the_spool_and_only_with_what_has_left_it(
    spool: Spool, archive: Archive, clock: Clock
) -> None:
    spool.put([new_message(uid, f"CEB no={uid}", owner=owner) for uid, owner in (("A", "ann"), ("B", "bob"))])
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))
    exported = [one for uid in ("A", "B") if (one := spool.export(uid)) is not None]
    archive.append(exported)
    clock.move(86_400.0)
    spool.purge(exported[:1], before=clock.now + timedelta(days=1))  # a crash came before the second
    archive.append(exported[1:])
    assert [uid for uid, _ in read(spool, archive)] == ["B", "A"]
    assert [uid for uid, _ in read(spool, archive, "ann")] == ["A"]
    assert [one.message.uid for one in archive.messages()] == ["A", "B", "B"]


def test_archive_is_read_in_pages_and_may_be_appended_to_meanwhile(
    spool: Spool, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spool.archive._PAGE", 1)
    spool.put([new_message(uid, f"CEB no={uid}") for uid in "ABC"])
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))
    first, second, third = [one for uid in "ABC" if (one := spool.export(uid)) is not None]
    archive.append([first, second])
    with closing(archive.messages()) as reading:  # type: ignore[type-var]  # it is a generator
        assert next(reading).message.uid == "A"
        assert archive.append([third]) == 1
        assert [one.message.uid for one in reading] == ["B", "C"]
