"""An answer of customs that ends its judge: kept, told of, never tried again by itself, and it holds up no other."""

from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

import pytest

from gateway.app.build import App
from gateway.config.gateway_toml import Judges
from gateway.config.site import write_site
from gateway.judges.asking import Asking
from gateway.judges.judge import JudgeCase, JudgeVerdict
from gateway.receipts.filing import TOO_EXPENSIVE, Opener, ReceiptFiler
from gateway.receipts.rematching import Rematching
from gateway.receipts.transfer import Transfer
from spool.entry import Collected
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.documents import receipt
from tests.judges import hosted

ENDLESS = b"<endless/>"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    return App(write_site(tmp_path_factory.mktemp("site") / "site").config)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(SqliteSpool(tmp_path)) as opened:
        yield opened


@pytest.fixture
def asking(app: App) -> Iterator[Asking]:
    def judge(case: JudgeCase) -> JudgeVerdict:
        while case.body == ENDLESS:
            pass
        return app.judge(case)

    with hosted(judge, Judges(cpu_s=0.3)) as line, closing(Asking(line, app.judge)) as asking:
        yield asking


def filer(app: App, spool: Spool, opener: Opener | None) -> ReceiptFiler:
    transfer = Transfer(local_receivers=app.local_receivers, config=app.config)
    return ReceiptFiler(spool=spool, rules=app.rules, config=app.config, transfer=transfer, opener=opener)


def keep(spool: Spool, *bodies: bytes) -> None:
    spool.keep(
        [
            Collected(feed="customs", name=f"{number}.xml", body=body, sha256=sha256(body).digest())
            for number, body in enumerate(bodies)
        ]
    )


def nobody(_body: bytes) -> NoReturn:
    raise AssertionError("it must not be opened again")


def test_answer_that_ends_its_judge_becomes_an_orphan_and_the_others_are_filed(
    app: App, spool: Spool, asking: Asking
) -> None:
    sound = receipt("CEB312Message", {"orderNo": "ORDER-1"}).replace(b"?>", b"?><!-- not plain -->", 1)
    keep(spool, ENDLESS, sound, b"<x/>")
    assert filer(app, spool, asking.open).file_waiting() == 3
    assert spool.unfiled(10) == []
    reasons = {one.name: one.reason for one in spool.orphans_after(0, limit=10)}
    assert reasons["0.xml"] == TOO_EXPENSIVE
    assert TOO_EXPENSIVE not in (reasons["1.xml"], reasons["2.xml"])


def test_it_is_tried_again_only_when_somebody_asks(app: App, spool: Spool, asking: Asking) -> None:
    keep(spool, ENDLESS)
    filer(app, spool, asking.open).file_waiting()
    rematching = Rematching(spool, filer(app, spool, nobody))
    assert (rematching.look(), rematching.look_at_mail()) == (0, 0)
    (orphan,) = spool.orphans_after(0, limit=10)
    with pytest.raises(AssertionError, match="must not be opened again"):
        filer(app, spool, nobody).rematch([orphan])
