"""The way to our own enterprises: delivered means filed, once, also when the process dies before it says so."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from gateway.app.build import App
from gateway.config.gateway_toml import LOCAL
from gateway.config.site import NewEnterprise, write_site
from gateway.model import Envelope
from gateway.processes.stop import Stop
from gateway.xml.envelope import wrap
from signing.xml.splice import sign
from spool.entry import Collected, Notice
from spool.lifecycle import Event, State
from spool.store import Spool
from tests.documents import order
from tests.in_process import take_in
from tests.servers.postgres import shared
from tests.unit.test_new_messages import UID

ANN, BOB = "DXPENT0000000001", "DXPENT0000000002"


Open = Callable[..., tuple[App, Spool]]


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Write a site for ann and so many enterprises that share bob's id, and open its spool."""
    with ExitStack() as stack:

        def open_it(*, bobs: int = 1) -> tuple[App, Spool]:
            folder = tmp_path / "site"
            file = write_site(folder, enterprises=(ANN_HERSELF, *map(bob_number, range(bobs)))).config
            if request.param == "postgres":
                dsn = json.dumps(shared().schema_for(folder))
                file.write_text(
                    f'{file.read_text("utf-8")}\n[spool]\nkind = "postgres"\ndsn = {dsn}\n', "utf-8"
                )
            app = App(file)
            return app, stack.enter_context(closing(app.spool()))

        yield open_it


ANN_HERSELF = NewEnterprise(id="ann", name="Ann", cop_codes=("4400000001",), dxp_ids=(ANN,))


def bob_number(number: int) -> NewEnterprise:
    return NewEnterprise(
        id=f"bob{number}", name="Bob", cop_codes=("4401000002",), dxp_ids=(BOB,), mail_from=("*",)
    )


def put(app: App, spool: Spool) -> bytes:
    """Accept a message from ann to bob."""
    head = Envelope(cop_msg_id="TO-BOB", sender_id=ANN, receiver_ids=(BOB,), creat_time="2025-01-02T12:05:06")
    body = wrap(sign(order(), app.keyring().in_memory()["node"]).body, head)
    take_in(app, spool, "ann", body, uid=UID)
    return body


def with_lease(file: Path, seconds: float) -> Path:
    """Return another configuration of the same site."""
    other = file.with_name("other.toml")
    other.write_text(file.read_text().replace("lease_s = 60.0", f"lease_s = {seconds}"))
    return other


def heard(spool: Spool, owner: str = "bob0") -> list[Notice]:
    return spool.notices(owner, after=0, limit=10)


def test_delivered_bytes_are_those_that_were_accepted(opened: Open) -> None:
    app, spool = opened()
    body = put(app, spool)
    assert app.local(spool).step() == 1
    (notice,) = heard(spool)
    arrival = spool.arrival(notice.arrival)
    assert arrival is not None
    assert (arrival.body, arrival.feed) == (body, LOCAL)
    assert [view.state for view in spool.ways(UID)] == [State.SENT]


def test_what_is_not_ours_any_more_is_not_delivered(opened: Open) -> None:
    app, spool = opened()
    put(app, spool)
    with closing(App(with_lease(app.file, 0.001)).local(spool)) as role:
        role.step()
    assert heard(spool) == []
    (view,) = spool.ways(UID)
    assert (view.state, view.attempts) == (State.READY, 0)
    assert app.local(spool).step() == 1
    assert len(heard(spool)) == 1


def test_what_a_clock_ahead_has_put_off_comes_near(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    app, spool = opened()
    database: Any = spool.db  # type: ignore[attr-defined]
    now = database.now
    with monkeypatch.context() as ahead:
        ahead.setattr(database, "now", lambda: now() + 86_400_000_000)
        put(app, spool)
    monkeypatch.setattr(app, "spool", lambda **_how: spool)
    assert app.local(spool).step() == 0

    app.keep(Stop()).round()

    assert app.local(spool).step() == 1
    assert len(heard(spool)) == 1


@pytest.mark.parametrize("steps", ["claimed", "kept", "filed"])
def test_death_at_any_point_before_the_settlement_delivers_once(opened: Open, steps: str) -> None:
    app, spool = opened()
    put(app, spool)
    claimant = f"{app.config.node.name}/forward/{LOCAL}"
    (claimed,) = spool.claim(claimant, LOCAL, limit=10, lease_s=600)
    if steps != "claimed":
        digest = hashlib.sha256(claimed.body).digest()
        spool.keep([Collected(feed=LOCAL, name="1.xml", body=claimed.body, sha256=digest)])
    if steps == "filed":
        app.filer(spool).file_waiting()
    assert len(heard(spool)) == (steps == "filed")
    assert len(spool.recover(claimant=claimant)) == 1
    assert app.local(spool).step() == 1
    assert len(heard(spool)) == 1
    assert [view.state for view in spool.ways(UID)] == [State.SENT]


def test_id_that_several_enterprises_have_is_a_dead_letter_until_one_has_it_alone(opened: Open) -> None:
    app, spool = opened(bobs=2)
    put(app, spool)
    app.local(spool).step()
    (view,) = spool.ways(UID)
    assert view.state is State.DEAD
    assert "several enterprises have the DXP id" in view.error
    assert heard(spool) == heard(spool, "bob1") == []

    (app.config.accept.enterprises_dir / "bob1.toml").unlink()
    spool.act(Event.RETRIED, [UID])
    App(app.file).local(spool).step()
    assert len(heard(spool)) == 1


def test_enterprise_that_is_gone_leaves_a_dead_letter(opened: Open) -> None:
    app, spool = opened()
    put(app, spool)
    (app.config.accept.enterprises_dir / "bob0.toml").unlink()
    App(app.file).local(spool).step()
    (view,) = spool.ways(UID)
    assert (view.state, "any more" in view.error) == (State.DEAD, True)
