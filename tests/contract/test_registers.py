"""Documents that owners keep in the spool for their messages to be compared with, on every backend."""

import json

from spool.entry import Note
from spool.registers import NewRegister
from spool.store import Spool
from tests.spool_samples import START, Clock


def document(body: bytes, *, owner: str = "ann", name: str = "goods") -> NewRegister:
    return NewRegister(owner=owner, name=name, form="text/csv", body=body, facts=b"read of \x00" + body)


def events(spool: Spool) -> list[tuple[str, str]]:
    return [(line.event, line.detail) for line in spool.lines(after=0, up_to=1000)]


def test_document_is_kept_whole_and_replaced_whole(spool: Spool, clock: Clock) -> None:
    assert spool.register("ann", "goods") is None
    assert spool.register_body("ann", "goods") is None

    first = spool.replace_register(document(b"one\x00\xff"))
    clock.move(60)
    second = spool.replace_register(document(b""))

    found = spool.register("ann", "goods")
    assert found is not None
    assert (first, second, found.version, found.facts) == (1, 2, 2, b"read of \x00")
    assert (found.form, (found.at - START).total_seconds()) == ("text/csv", 60)
    assert spool.register_body("ann", "goods") == b""


def test_documents_of_others_and_of_other_names_are_apart(spool: Spool) -> None:
    spool.replace_register(document(b"a"))
    spool.replace_register(document(b"b", owner="bob"))
    spool.replace_register(document(b"c", name="books"))
    spool.replace_register(document(b"d", name="books"))

    assert spool.register_versions() == {("ann", "goods"): 1, ("bob", "goods"): 1, ("ann", "books"): 2}
    assert spool.register_body("ann", "goods") == b"a"
    assert spool.register("bob", "books") is None


def test_version_of_what_was_taken_back_is_never_given_again(spool: Spool) -> None:
    spool.replace_register(document(b"a"))

    assert spool.drop_register("ann", "goods")
    assert not spool.drop_register("ann", "goods")
    assert spool.register_versions() == {}
    assert spool.register("ann", "goods") is None
    assert spool.register_body("ann", "goods") is None

    assert spool.replace_register(document(b"b")) == 3


def test_notes_are_in_the_journal_with_the_change_and_not_without_one(spool: Spool) -> None:
    note = Note(event="goods.replaced", detail=json.dumps({"enterprise": "ann"}))

    spool.replace_register(document(b"a"), notes=[note])
    spool.drop_register("bob", "goods", notes=[Note(event="goods.dropped")])

    assert events(spool) == [("goods.replaced", '{"enterprise": "ann"}')]
