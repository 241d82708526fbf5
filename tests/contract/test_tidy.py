"""What a spool does for itself while others use it."""

from pathlib import Path

from spool.entry import NewMessage
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.spool_samples import Clock, new_message


def test_tidying_changes_nothing_that_anybody_sees(spool: Spool) -> None:
    spool.tidy()
    spool.put([new_message("A", "d=A")])
    spool.tidy()
    (claimed,) = spool.claim("one", "port", limit=9, lease_s=60)
    assert (claimed.uid, spool.body("A")) == ("A", b"body of A")


def many(round_: int) -> list[NewMessage]:
    return [new_message(f"M{round_}-{number}", body=bytes([round_, number]) * 4000) for number in range(30)]


def test_log_of_a_tidied_database_begins_anew_and_stops_growing(tmp_path: Path) -> None:
    writer, keeper = SqliteSpool(tmp_path, Clock()), SqliteSpool(tmp_path, Clock())
    log = tmp_path / "spool.db-wal"
    sizes = []
    for round_ in range(4):
        writer.put(many(round_))
        sizes.append(log.stat().st_size)
        keeper.tidy()
    assert sizes[1] == sizes[-1]
    untidied = SqliteSpool(tmp_path / "other", Clock())
    for round_ in range(4):
        untidied.put(many(round_))
    assert (tmp_path / "other" / "spool.db-wal").stat().st_size > 1.5 * sizes[-1]
    for one in (writer, keeper, untidied):
        one.close()


def test_writers_go_on_while_the_log_is_emptied_and_readers_hold_their_view(tmp_path: Path) -> None:
    writer, keeper, reader = (SqliteSpool(tmp_path, Clock()) for _ in range(3))
    writer.put([new_message("A")])
    with reader.db.read() as view:
        assert view.execute("SELECT count(*) FROM message").fetchone() == (1,)
        writer.put([new_message("B")])
        keeper.tidy()
        writer.put([new_message("C")])
        assert view.execute("SELECT count(*) FROM message").fetchone() == (1,)
    assert [writer.body(uid) for uid in "ABC"] == [b"body of A", b"body of B", b"body of C"]
    for one in (writer, keeper, reader):
        one.close()
