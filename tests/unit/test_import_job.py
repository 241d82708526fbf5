"""One import made step by step in this process: every row is in one message or refused, whatever comes in between."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from gateway.app.build import App
from gateway.app.import_role import import_role
from gateway.config.site import NewEnterprise, write_site
from gateway.facts import message_facts
from gateway.imports.facts import (
    ImportFacts,
    ImportPlace,
    NamedMapping,
    PartFacts,
    RefusedBody,
    decoded,
    encoded,
    findings_of,
    request_name,
)
from gateway.imports.role import ImportRole
from gateway.imports.sheets import refused_sheet
from gateway.model import EnterpriseId, Quota
from gateway.simulator.world import free_port
from spool.imports import CHUNK_BYTES, ImportJob, JobState, NewImport
from spool.store import Spool
from tests.backends import BACKENDS
from tests.import_sources import inventories
from tests.spool_samples import Clock

OURS = NewEnterprise(id="ours", name="Ours", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",))
THEIRS = NewEnterprise(id="theirs", name="Theirs", cop_codes=("4401000002",), dxp_ids=("DXPENT0000000002",))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    folder = tmp_path_factory.mktemp("site")
    site = write_site(folder / "site", enterprises=(OURS, THEIRS), port=free_port())
    return App(site.config)


@pytest.fixture(params=BACKENDS)
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spool]:
    with closing(BACKENDS[request.param](tmp_path / "state", Clock())) as opened:
        yield opened


def role_of(app: App, spool: Spool, claimant: str = "import") -> ImportRole:
    return import_role(config=app.config, judge=app.judge, spool=spool, claimant=claimant)


def hand_in(app: App, spool: Spool, body: bytes, uid: str = "A", *, owner: str = "ours", **more: Any) -> str:
    """Put a source into the spool as the door does."""
    mapping = app.mappings["inventories"]
    facts = ImportFacts(
        **{"mappings": (NamedMapping(name=mapping.name, sha256=mapping.sha256),), "form": "csv", **more}
    )
    job = spool.begin_import(uid, owner)
    for number, at in enumerate(range(0, len(body), CHUNK_BYTES)):
        spool.add_import_chunk(job, number, body[at : at + CHUNK_BYTES])
    return spool.finish_import(
        job,
        NewImport(
            request=request_name(facts, uid.encode()),
            sha256=b"\x01" * 32,
            size_bytes=len(body),
            facts=encoded(facts),
            at=encoded(ImportPlace()).decode(),
        ),
    )


def worked(role: ImportRole) -> None:
    while role.round():
        pass


def job(spool: Spool, uid: str = "A") -> ImportJob:
    found = spool.import_job(uid)
    assert found is not None
    return found


def made(spool: Spool, uid: str = "A") -> list[tuple[str, tuple[int, ...]]]:
    """Message and first row of each declaration in it."""
    return [
        (part.uid, tuple(body.rows[0][1] for body in decoded(part.facts, PartFacts).bodies))
        for part in spool.import_parts(job(spool, uid).number, limit=1000)
    ]


def refused(spool: Spool, uid: str = "A") -> dict[int, list[str]]:
    """First row of each refused declaration → rules."""
    found = spool.import_refusals(job(spool, uid).number, limit=10_000)
    bodies = [decoded(one.facts, RefusedBody) for one in found]
    return {one.body.rows[0][1]: [fault.rule for fault in one.faults] for one in bodies}


def test_every_row_is_in_one_message_or_refused(app: App, spool: Spool) -> None:
    wrong, unwritable = {7, 151}, {1, 150, 250}
    hand_in(app, spool, inventories(250, wrong=wrong, unwritable=unwritable))
    worked(role_of(app, spool))

    found = job(spool)
    assert (found.state, found.messages, found.bodies, found.refused) == (JobState.DONE, 3, 245, 5)
    rows = [row for _, some in made(spool) for row in some]
    assert len(set(rows)) == len(rows) == 245
    assert set(rows) | set(refused(spool)) == set(range(2, 252))
    assert set(refused(spool)) == {number + 1 for number in wrong | unwritable}
    for uid, some in made(spool):
        view = spool.message(uid, owner="ours")
        assert view is not None
        keys = [one.key["copNo"] for one in message_facts(view.facts).declarations]
        assert keys == [f"C-{row - 1:07}" for row in some]
    assert findings_of(found.findings).rows == 250


def test_journal_says_of_each_message_what_repeats_its_making(app: App, spool: Spool) -> None:
    hand_in(app, spool, inventories(3, wrong={2}))
    worked(role_of(app, spool))

    ((uid, _),) = made(spool)
    line = next(spool.history(uid))
    origin = json.loads(line.detail)["origin"]
    assert (origin["import"], origin["bodies"], origin["source_sha256"]) == ("A", "0,2", "01" * 32)
    assert origin["mapping_sha256"] == app.mappings["inventories"].sha256
    assert origin["values_sha256"] == findings_of(job(spool).findings).values_sha256
    ended = [json.loads(one.detail) for one in spool.history("A") if one.event == "import.ended"]
    assert ended == [{"enterprise": "ours", "state": "done", "refused": 1, "problem": ""}]


def test_refusal_says_where_and_why_and_nothing_of_a_person(app: App, spool: Spool) -> None:
    body = inventories(2).decode().replace("990101198001010002", "9901011980" * 7, 1)
    hand_in(app, spool, body.encode())
    worked(role_of(app, spool))

    (one,) = spool.import_refusals(job(spool).number, limit=10)
    told = decoded(one.facts, RefusedBody)
    assert told.body.rows == (("", 2, 2),)
    assert (told.faults[0].line, told.faults[0].row, told.faults[0].head) == (2, 2, "buyer_id_number")
    assert told.faults[0].source
    assert told.faults[0].message
    assert told.faults[0].message_zh
    for personal in (b"9901011980", "钱样例".encode(), b"13000000002"):
        assert personal not in one.facts


def test_kill_after_any_step_loses_and_doubles_nothing(app: App, spool: Spool) -> None:
    hand_in(app, spool, inventories(420, wrong={5}, unwritable={399}))
    rounds = 0
    while job(spool).state in {JobState.WAITING, JobState.WORKING}:
        role_of(app, spool).round()  # the next one has the same name and begins anew, as after a kill
        rounds += 1
        assert rounds < 20
    rows = [row for _, some in made(spool) for row in some]
    assert sorted([*rows, *refused(spool)]) == list(range(2, 422))
    assert (job(spool).state, job(spool).bodies) == (JobState.DONE, 418)


def test_same_rows_handed_in_again_are_the_same_messages_or_refused_with_the_reason(
    app: App, spool: Spool
) -> None:
    hand_in(app, spool, inventories(150))
    worked(role_of(app, spool))
    hand_in(app, spool, inventories(151), "B")
    worked(role_of(app, spool))

    again = made(spool, "B")
    assert again[0] == made(spool, "A")[0], "the first hundred are the same bytes"
    assert [row for _, some in again[1:] for row in some] == [152]
    assert {rule for rules in refused(spool, "B").values() for rule in rules} == {"conflict_version"}
    assert sorted(refused(spool, "B")) == list(range(102, 152))


def test_same_values_in_another_encoding_are_a_duplicate(app: App, spool: Spool) -> None:
    body = inventories(3)
    hand_in(app, spool, body)
    worked(role_of(app, spool))
    hand_in(app, spool, body.decode().encode("gb18030"), "B", charset="GB18030")
    worked(role_of(app, spool))

    assert (job(spool, "B").state, job(spool, "B").first, job(spool, "B").messages) == (
        JobState.DUPLICATE, "A", 0,
    )  # fmt: skip


def test_workbook_is_the_same_as_its_rows_in_csv(app: App, spool: Spool) -> None:
    body = inventories(130, unwritable={20})
    book = Workbook(write_only=True)
    sheet = book.create_sheet("清单")
    for line in csv.reader(body.decode().splitlines()):
        sheet.append(line)
    kept = io.BytesIO()
    book.save(kept)
    hand_in(app, spool, kept.getvalue(), form="xlsx")
    worked(role_of(app, spool))
    hand_in(app, spool, inventories(1, first=500) + body.split(b"\n", 1)[1], "B")
    worked(role_of(app, spool))

    assert (job(spool).state, job(spool).bodies) == (JobState.DONE, 129)
    (one,) = spool.import_refusals(job(spool).number, limit=10)
    told = decoded(one.facts, RefusedBody)
    assert told.body.rows == (("", 21, 21),), "a workbook with one sheet names none"
    assert "21" in told.faults[0].source
    given_back = refused_sheet(spool, job(spool), 0, folder=app.config.node.state_dir)
    heads, row = load_workbook(io.BytesIO(given_back)).worksheets[0].iter_rows(values_only=True)
    assert row[heads.index("cop_no")] == "C-0000020"
    assert {rule for rules in refused(spool, "B").values() for rule in rules} >= {"conflict_version"}
    assert job(spool, "B").bodies == 1, "only what the workbook did not have is new"


def test_all_or_nothing_makes_nothing_unless_all_is_sound(app: App, spool: Spool) -> None:
    hand_in(app, spool, inventories(210, wrong={3, 209}), all_or_nothing=True)
    hand_in(app, spool, inventories(210, first=1000), "B", all_or_nothing=True)
    worked(role_of(app, spool))

    assert (job(spool).state, job(spool).messages, job(spool).refused) == (JobState.REFUSED, 0, 2)
    assert sorted(refused(spool)) == [4, 210]
    assert (job(spool, "B").state, job(spool, "B").bodies, job(spool, "B").refused) == (
        JobState.DONE, 210, 0,
    )  # fmt: skip


def test_all_or_nothing_goes_on_after_a_kill_at_any_step(app: App, spool: Spool) -> None:
    hand_in(app, spool, inventories(210, wrong={3, 209}), all_or_nothing=True)
    rounds = 0
    while job(spool).state in {JobState.WAITING, JobState.WORKING}:
        role_of(app, spool).round()
        rounds += 1
        assert rounds < 20
    assert (job(spool).state, sorted(refused(spool))) == (JobState.REFUSED, [4, 210])


def test_source_that_cannot_be_read_fails_and_makes_nothing(app: App, spool: Spool) -> None:
    hand_in(app, spool, inventories(150) + b'"an open quote,\n')
    worked(role_of(app, spool))

    found = findings_of(job(spool).findings)
    assert (job(spool).state, job(spool).messages, found.problem) == (JobState.FAILED, 0, "not-csv")
    assert found.faults[0].line > 150
    assert found.faults[0].message_zh


def test_source_that_was_begun_three_times_and_never_got_on_is_given_up(app: App, spool: Spool) -> None:
    hand_in(app, spool, inventories(3))
    for _ in range(3):
        assert spool.claim_import("import", lease_s=60) is not None
    worked(role_of(app, spool))

    assert (job(spool).state, findings_of(job(spool).findings).problem) == (JobState.FAILED, "too-expensive")
    assert job(spool).messages == 0


def test_mapping_that_has_changed_since_is_no_longer_used(app: App, spool: Spool) -> None:
    changed = (NamedMapping(name="inventories", sha256="0" * 64),)
    hand_in(app, spool, inventories(3), mappings=changed)
    worked(role_of(app, spool))
    assert (job(spool).state, findings_of(job(spool).findings).problem) == (
        JobState.FAILED,
        "unknown-mapping",
    )


def test_cancelled_import_ends_between_two_steps(app: App, spool: Spool) -> None:
    hand_in(app, spool, inventories(300))
    role = role_of(app, spool)
    role.round()
    role.round()
    assert spool.cancel_import("ours", "A")
    worked(role)
    assert (job(spool).state, job(spool).messages) == (JobState.CANCELLED, 1)


def theirs(count: int, **wrong: Any) -> bytes:
    """The same list, declared by the other enterprise."""
    body = inventories(count, **wrong).decode()
    return body.replace("4400000001", "4401000002").replace("DXPENT0000000001", "DXPENT0000000002").encode()


def test_enterprises_take_turns_portion_by_portion(app: App, spool: Spool) -> None:
    hand_in(app, spool, inventories(800))
    hand_in(app, spool, theirs(100), "T", owner="theirs")
    role = role_of(app, spool)
    rounds = 0
    while job(spool, "T").state is not JobState.DONE:
        role.round()
        rounds += 1
    assert job(spool).state is JobState.WORKING
    assert 0 < job(spool).messages <= rounds
    role.close()


def test_what_may_have_killed_its_holder_is_worked_on_alone_until_it_gets_on(app: App, spool: Spool) -> None:
    hand_in(app, spool, inventories(200))
    assert spool.claim_import("import", lease_s=60) is not None
    hand_in(app, spool, theirs(200), "T", owner="theirs")
    role = role_of(app, spool)
    role.round()
    assert (job(spool).state, job(spool, "T").state) == (JobState.WORKING, JobState.WAITING)
    role.round()
    assert job(spool, "T").state is JobState.WORKING
    worked(role)
    assert (job(spool).state, job(spool, "T").state) == (JobState.DONE, JobState.DONE)


def test_declaration_of_another_enterprise_is_refused_row_by_row(app: App, spool: Spool) -> None:
    hand_in(app, spool, theirs(3))
    worked(role_of(app, spool))
    assert (job(spool).state, job(spool).messages, sorted(refused(spool))) == (JobState.DONE, 0, [2, 3, 4])


def test_rows_of_one_declaration_that_contradict_each_other_are_refused_together(
    app: App, spool: Spool
) -> None:
    head, *rows = inventories(150).decode().splitlines()
    again = rows[3].replace(",0.7,0.5,", ",0.8,0.5,")
    hand_in(app, spool, "\n".join([head, *rows, again, ""]).encode())
    worked(role_of(app, spool))
    (one,) = spool.import_refusals(job(spool).number, limit=10)
    assert (job(spool).state, job(spool).bodies) == (JobState.DONE, 149)
    assert decoded(one.facts, RefusedBody).body.rows == (("", 5, 5), ("", 152, 152))


def test_quota_makes_an_import_wait_and_go_on(app: App, spool: Spool) -> None:
    slow = replace(app.enterprises[EnterpriseId("ours")], quota=Quota(declarations_per_minute=100))
    judge = replace(app.judge, enterprises={slow.id: slow})
    hand_in(app, spool, inventories(300))
    role = import_role(config=app.config, judge=judge, spool=spool, claimant="import")
    worked(role)
    assert job(spool).state is JobState.WORKING
    assert job(spool).bodies == 100
    assert spool.claim_import("another", lease_s=60) is None, "it is left alone until the quota allows more"
    assert job(spool).messages == 1


def test_import_of_a_disabled_enterprise_waits(app: App, spool: Spool) -> None:
    off = replace(app.enterprises[EnterpriseId("ours")], disabled=True)
    hand_in(app, spool, inventories(3))
    role = import_role(
        config=app.config, judge=replace(app.judge, enterprises={off.id: off}), spool=spool, claimant="import"
    )
    worked(role)
    assert job(spool).state is JobState.WAITING
