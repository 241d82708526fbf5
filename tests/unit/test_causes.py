"""What enterprises are told of the way of a message: one of few phrases, whatever was said where it failed."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from inspect import signature
from itertools import product
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from gateway import facts
from gateway.config.gateway_toml import HOME, LOCAL
from gateway.config.in_force import ConfigState, LastReload
from gateway.config.left_out import LeftOut
from gateway.doors.http import handlers
from gateway.doors.http.services import HttpServices
from gateway.model import Header, Message, MessageId
from gateway.views.api import entry_view, status_view
from gateway.views.causes import _PHRASES, Cause, failure_of, phrase
from gateway.views.waiting import waits_for
from spool.ending import EndVerdict
from spool.entry import MessageView
from spool.errors import SpoolError
from spool.lifecycle import State
from tests.documents import order
from tests.shipped_rules import shipped

INSIDE = "cannot log in: key refused (sftp gateway@exchange.internal:22, /srv/keys/id_ed25519). Fix: `gateway spool retry X`"
AT = datetime(2026, 11, 11, tzinfo=UTC)
MARKS = re.compile(r"internal|gateway@|/srv|id_ed25519|`|sftp")


def view(state: State, *, error: str = INSIDE, attempts: int = 3, **changes: Any) -> MessageView:
    rules = shipped()
    header = Header(
        message_type=next(one for one in rules.catalogue.declarations() if one.name == "CEB311Message"),
        edition="202205", guid="", cop_code="", cop_name="", dxp_id="", signed=False, declarations=(),
    )  # fmt: skip
    known = facts.of_message(Message(body=order(), header=header), sender="", key_name="")
    one = MessageView(
        uid="M-1", owner="ann", kind="CEB311Message", sha256=b"", facts=known, accepted_at=AT, entry=1,
        destination="port", cop_msg_id="M-1", part="", state=state, attempts=attempts, due_at=AT, waits_for=(),
        error=error, sent_at=None, sent_sha256=b"", identities=("d=1",), way=facts.of_way(facts.WayFacts(receivers=())),
    )  # fmt: skip
    return replace(one, **changes)


def test_every_cause_has_a_phrase_in_both_languages() -> None:
    assert set(_PHRASES) == set(Cause)
    for en, zh in _PHRASES.values():
        assert re.search(r"[\u4e00-\u9fff]", zh)
        assert sorted(re.findall(r"{(\w+)}", en)) == sorted(re.findall(r"{(\w+)}", zh))
        assert not MARKS.search(en + zh)


def test_a_phrase_takes_numbers_times_and_ids_alone() -> None:
    """What is text where it failed cannot get in by its type, which mypy holds, nor by accident."""
    assert "str" not in str(signature(phrase).parameters["facts"].annotation)
    assert (
        phrase(Cause.TRIED_AGAIN, count=2, at=AT).en == "failed 2 times, next attempt at 2026-11-11T00:00:00Z"
    )
    assert phrase(Cause.GOES_AFTER, messages=(MessageId("A"), MessageId("B"))).en.startswith(
        "goes after A, B,"
    )


@pytest.mark.parametrize(("state", "attempts"), list(product(State, (0, 3))))
@pytest.mark.parametrize("destination", ["port", LOCAL, f"{HOME}ann/erp"])
def test_no_state_of_an_entry_shows_what_was_said_where_it_failed(
    state: State, attempts: int, destination: str
) -> None:
    one = view(state, attempts=attempts, destination=destination)

    wait = waits_for(one, [()])
    shown = msgspec.json.encode([status_view(one, [one]), entry_view(one), wait]).decode()

    assert not MARKS.search(shown), shown
    assert wait.why.en
    assert wait.why.zh
    failure = failure_of(one)
    assert failure.en
    assert failure.zh
    assert failure.en in shown
    assert failure_of(replace(one, error="")) == ("", "")


def test_an_entry_that_was_overtaken_says_so_and_not_by_what() -> None:
    one = view(State.DEAD, error=EndVerdict(INSIDE, None).overtaken_by("NEWER").reason)
    assert "newer message" in failure_of(one).en
    assert waits_for(one, [()]).why == failure_of(one)
    assert failure_of(view(State.DEAD)) != failure_of(one)


def asked_whether_it_is_ready(error: Exception | None) -> tuple[int, str]:
    class Spool:
        def acknowledged(self, _owner: str) -> int:
            if error is not None:
                raise error
            return 0

        def held_up(self) -> None:
            return None

    reload = LastReload()
    reload.failed()
    left = LeftOut(kind="enterprise", part="bob", error=INSIDE)
    services = SimpleNamespace(
        config_state=ConfigState(left_out=[left], last_reload=reload),
        spool=Spool(),
        gauge=SimpleNamespace(refusals=lambda: ()),
    )
    response = handlers._ready(cast("HttpServices", services))
    return response.status_code, bytes(response.body).decode()


def test_readiness_says_how_much_is_wrong_and_the_log_says_what(capsys: pytest.CaptureFixture[str]) -> None:
    for error, status in (
        (None, 200),
        (SpoolError("disk I/O error", where="/srv/state/spool.db", fix=INSIDE), 503),
    ):
        said, body = asked_whether_it_is_ready(error)
        assert said == status
        assert not MARKS.search(body), body
        assert "bob" not in body
        told = msgspec.json.decode(body)
        assert len(told["warnings"]) == len(told["warnings_zh"]) == 2
        assert len(told["reasons"]) == len(told["reasons_zh"]) == (error is not None)
    asked_whether_it_is_ready(SpoolError("disk I/O error", where="/srv/state/spool.db"))
    logged = capsys.readouterr().out
    assert logged.count("spool.unavailable") == 1, "anybody may ask as often as he likes"
    assert "/srv/state/spool.db" in logged
