"""`gateway journal verify` over the whole log: what was altered, removed or inserted is found and named, on every spool."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.evidence.audit import Audit, Auditor
from gateway.upkeep.retention import Retention
from spool.archive import Archive
from spool.entry import Note
from spool.note import Checkpoint, NodeKey
from spool.postgres import PostgresSpool
from spool.store import Spool
from tests.spool_samples import Clock, new_message, settled

KEY = NodeKey(name="gateway/one", private=Ed25519PrivateKey.generate())
OTHER = NodeKey(name="gateway/one", private=Ed25519PrivateKey.generate())
EVENTS = 602


def sign(origin: str, size: int, root: bytes) -> str:
    return KEY.signed(Checkpoint(origin=origin or KEY.name, size=size, root=root))


@pytest.fixture
def spool(spool: Spool) -> Spool:
    """Three tiles, several checkpoints, and a message that was accepted and sent."""
    spool.put([new_message("A")])
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))
    spool.put((), notes=[Note(event="e", uid=f"N{number}", detail="d") for number in range(600)])
    while spool.seal(sign, limit=150):
        pass
    return spool


def audit(spool: Spool, folder: Path, *keys: NodeKey) -> Audit:
    return Auditor(spool, [key.public for key in keys or (KEY,)], Archive(folder / "archive").lines).audit()


def change(spool: Spool, statement: str) -> None:
    """Do what somebody does who has the database in hand."""
    if isinstance(spool, PostgresSpool):
        spool.db.write(lambda transaction: transaction.run(statement) and None)
    else:
        spool.db.connection.execute(statement)  # type: ignore[attr-defined]


def test_log_that_nobody_touched_holds_also_of_what_is_in_the_archive(
    spool: Spool, tmp_path: Path, clock: Clock
) -> None:
    first = audit(spool, tmp_path)
    assert (first.events, first.archived, first.unsealed, first.faults) == (EVENTS, 0, 0, ())
    clock.move(40 * 86_400)
    archive = Archive(tmp_path / "archive", clock)
    assert Retention(spool=spool, archive=archive, days=30, batch=9, clock=clock).step().purged == ("A",)
    then = audit(spool, tmp_path)
    assert (then.events, then.archived, then.checkpoints, then.faults) == (EVENTS, 2, 5, ())


CHANGES: dict[str, tuple[str, str]] = {
    "one letter of a line": ("UPDATE journal SET detail = 'D' WHERE uid = 'N7'", "event 10 (e) was altered"),
    "time of a line": ("UPDATE journal SET at = at + 1 WHERE uid = 'N300'", "event 303 (e) was altered"),
    "a line removed": ("DELETE FROM journal WHERE uid = 'N300'", "event 303 is missing"),
    "a life removed": ("DELETE FROM journal WHERE uid = 'A'", "event 1 is missing"),
    "a line moved behind": (
        "UPDATE journal SET id = 9000 WHERE uid = 'N300'",
        "event 303 is missing",
    ),
    "two lines swapped": (
        "UPDATE journal SET uid = CASE uid WHEN 'N5' THEN 'N6' ELSE 'N5' END WHERE uid IN ('N5', 'N6')",
        "event 9 (e) was altered",
    ),
    "a hash of the log": ("spoil tile 0 1", "event 257 (e) was altered, or its hash in the log was"),
    "a hash of a higher level": ("spoil tile 1 0", "tile 0 of level 1 was altered"),
    "a checkpoint of another key": (
        (
            f"UPDATE checkpoint SET note = '{OTHER.signed(Checkpoint(origin='gateway/one', size=300, root=bytes(32)))}'"
            " WHERE size = 300"
        ),
        "the checkpoint of 300 events: it is not signed by",
    ),
    "a checkpoint of another root": (
        f"UPDATE checkpoint SET note = '{sign('gateway/one', 300, bytes(32))}' WHERE size = 300",
        "the checkpoint of 300 events has another root",
    ),
    "a checkpoint of another log": (
        f"UPDATE checkpoint SET note = '{sign('gateway/two', 300, bytes(32))}' WHERE size = 300",
        "is of another log",
    ),
    "the list of the newest lines removed": (
        "DELETE FROM leaves WHERE first = 600",
        "the checkpoint of 602 events has more than the 600",
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_change_is_found_and_named(kind: str, spool: Spool, tmp_path: Path) -> None:
    statement, named = CHANGES[kind]
    if statement.startswith("spoil"):
        level, number = statement.split()[-2:]
        spoilt = (bytes(32) + spool.tile(int(level), int(number))[32:]).hex()
        code = f"decode('{spoilt}', 'hex')" if isinstance(spool, PostgresSpool) else f"x'{spoilt}'"
        statement = f"UPDATE tile SET hashes = {code} WHERE level = {level} AND number = {number}"
    change(spool, statement)
    faults = audit(spool, tmp_path).faults
    assert any(named in fault for fault in faults), faults


def test_inserted_line_is_named(spool: Spool, tmp_path: Path) -> None:
    day = "day, " if isinstance(spool, PostgresSpool) else ""
    # a number that was never a line's, as after a transaction that failed, and then a line sealed behind it
    change(
        spool,
        f"INSERT INTO journal ({day}id, at, event, uid, detail)"
        f" SELECT {day}1000, at, event, 'Z', detail FROM journal WHERE uid = 'N3'",
    )
    if day:
        change(spool, "SELECT setval('journal_number', 1000)")
    spool.seal(sign, limit=9)
    assert audit(spool, tmp_path).faults == ()
    change(
        spool,
        f"INSERT INTO journal ({day}id, at, event, uid, detail)"
        f" SELECT {day}900, at, event, 'Y', detail FROM journal WHERE uid = 'N3'",
    )
    assert audit(spool, tmp_path).faults == (
        "event 900 (e) was inserted: it is in the journal, not in the log",
    )
