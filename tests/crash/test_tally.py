"""What a fault run counts as broken, and how its faults are dealt out."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from typing import Any

import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.config.site import NewEnterprise
from gateway.model import Enterprise, EnterpriseId, Message
from gateway.submission.pipeline import examine
from spool.entry import MessageView
from spool.lifecycle import State
from tests.crash.fault_run import kinds
from tests.crash.faults import FAULTS
from tests.crash.load import Answered, messages
from tests.crash.stages import TURNS, scheduled, spool_of
from tests.crash.tally import PROMISES, tally
from tests.platforms import enterprises
from tests.shipped_rules import shipped

FIRST, SECOND, THIRD = (
    Answered(owner="ann", body=b"v1", uid="A1"),
    Answered(owner="ann", body=b"v2", uid="A2", after=b"v1"),
    Answered(owner="ann", body=b"v3", uid="A3", after=b"v2"),
)


def arrival(one: Answered, **differs: Any) -> dict[str, Any]:
    line = {"original_sha256": sha256(one.body).hexdigest(), "cop_msg_id": one.uid, "verdict": "processed"}
    return {**line, "repeat": False, **differs}


def caller(one: NewEnterprise) -> Enterprise:
    return Enterprise(
        id=EnterpriseId(one.id),
        name=one.name,
        cop_codes=frozenset(one.cop_codes),
        dxp_ids=frozenset(one.dxp_ids),
    )


def entry(state: State, cop_msg_id: str = "A1") -> MessageView:
    now = datetime.now(UTC)
    return MessageView(
        uid=cop_msg_id, owner="ann", kind="CEB311Message", sha256=b"", facts=b"", accepted_at=now, entry=1,
        destination="customs", cop_msg_id=cop_msg_id, part="", state=state, attempts=5, due_at=now, waits_for=(),
        error="", sent_at=None, sent_sha256=b"", identities=(),
    )  # fmt: skip


def test_a_run_in_which_everything_came_home_in_order_breaks_nothing() -> None:
    body = ("CEB312Message", "120", "20241111000001000", frozenset({("orderNo", "1")}))
    again = arrival(FIRST, repeat=True)
    whole = tally([FIRST, SECOND], [arrival(FIRST), arrival(SECOND), again], {"ann": {body}}, {"ann": {body}})
    assert whole.broken == {}
    assert (whole.changes, whole.repeats) == (1, 1)


@pytest.mark.parametrize(
    ("arrived", "late"),
    [
        ([FIRST, SECOND, THIRD], 0),
        ([SECOND, FIRST, THIRD], 1),
        ([THIRD, FIRST, SECOND], 2),
        ([FIRST, THIRD, SECOND], 1),
        ([THIRD, FIRST], 1),  # what never came is lost, not late
    ],
)
def test_an_older_version_that_arrives_first_after_a_newer_one_is_disordered(
    arrived: list[Answered], late: int
) -> None:
    counted = tally([FIRST, SECOND, THIRD], [arrival(one) for one in arrived], {}, {})
    assert counted.disordered == late
    assert counted.lost == 3 - len(arrived)


def test_an_older_version_that_comes_again_behind_a_newer_one_is_stale() -> None:
    arrived = [FIRST, FIRST, SECOND, FIRST, SECOND, THIRD, FIRST]
    counted = tally([FIRST, SECOND, THIRD], [arrival(one) for one in arrived], {}, {})
    assert (counted.stale, counted.broken) == (2, {})


def test_what_is_dead_counts_unless_customs_has_refused_it() -> None:
    refused = arrival(SECOND, verdict="platform")
    left = [entry(State.DEAD, "A1"), entry(State.DEAD, "A2"), entry(State.READY), entry(State.HELD)]
    counted = tally([FIRST, SECOND], [arrival(FIRST), refused], {}, {}, left=left)
    assert (counted.dead, counted.unsettled) == (1, 2)


def test_every_promise_that_is_not_kept_is_named() -> None:
    mine, alien = [("CEB312Message", "120", time, frozenset[tuple[str, str]]()) for time in ("1", "2")]
    told = [FIRST, SECOND, Answered(owner="ann", body=b"never came", uid="A9")]
    arrived = [arrival(SECOND), arrival(FIRST), arrival(FIRST, cop_msg_id="B1"), arrival(THIRD)]
    left = [entry(State.DEAD), entry(State.SENDING)]
    counted = tally(told, arrived, {"ann": {mine}}, {"ann": {alien}}, left=left, unanswered=1)
    assert counted.broken == dict.fromkeys(PROMISES, 1) | {"lost": 2}
    assert (counted + counted).broken == dict.fromkeys(PROMISES, 2) | {"lost": 4}


def test_changes_name_the_same_declaration_in_a_later_version() -> None:
    rules, owners, changed = shipped(), {one.id: one for one in enterprises(4)}, 0
    for one in islice(messages(5, enterprises(4)), 200):
        told = []
        for body in one.bodies:
            message = examine(body, caller(owners[one.owner]), rules, LimitsConfig())
            assert isinstance(message, Message), message
            told.append(message.header.declarations)
        assert (
            len({tuple((each.message_type, *each.key.values()) for each in version) for version in told}) == 1
        )
        times = [[each.app_time for each in version] for version in told]
        assert times == sorted(times)
        assert len({tuple(each) for each in times}) == len(times)
        assert {each.app_type for version in told[1:] for each in version} <= {"2"}
        changed += len(told) > 1
    assert changed > 40


def test_forty_runs_in_a_row_see_every_kind_of_fault_several_times_on_each_spool_it_fits() -> None:
    for first in (1000, 2007):
        struck: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for seed in range(first, first + 40):
            struck[spool_of(seed)].update(scheduled(seed, 8, disks=True))
        server = {"database restarted", "database killed"}
        assert set(struck["PostgreSQL"]) == set(FAULTS) - {"disk full"}
        assert set(struck["SQLite"]) == set(FAULTS) - server
        assert min(count for counts in struck.values() for count in counts.values()) > 1


def test_faults_come_in_rounds_of_all_kinds_over_the_runs_of_a_stage() -> None:
    for turn in range(len(TURNS)):
        dealt = [kind for run in range(8) for kind in scheduled(10 * run + turn, 5, disks=True)]
        there = sorted(kinds(*TURNS[turn], disks=True))
        rounds = [
            dealt[start : start + len(there)] for start in range(0, len(dealt) - len(there), len(there))
        ]
        assert [sorted(one) for one in rounds] == [there] * len(rounds)
        assert len(rounds) > 1
