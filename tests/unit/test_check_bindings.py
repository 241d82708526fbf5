"""`gateway check`: the codes that declarations are named by, and whose they are."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.app.build import App
from gateway.cli.check.bindings import probe_bindings
from gateway.cli.check.result import Check, Grade
from gateway.config.gateway_toml import LimitsConfig, load_config
from gateway.config.site import NewEnterprise, Site, write_site
from gateway.model import EnterpriseId, Message
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import examine
from tests.documents import order

SHARED = "DXPENT0000000009"
ANN = NewEnterprise(
    id="ann", name="Ann", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001", SHARED), acts_for=("E1",)
)
BOB = NewEnterprise(id="bob", name="Bob", cop_codes=("4401000002",), dxp_ids=(SHARED,))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return write_site(tmp_path / "site", enterprises=(ANN, BOB), port=0)


def checks(site: Site) -> list[Check]:
    return list(probe_bindings(load_config(site.config)))


def declare(site: Site, *order_nos: str, ebp_code: str, ebc_code: str) -> None:
    """Put orders of Ann into the spool, as a version did that asked nobody whose the codes are."""
    app = App(site.config)
    body = order(*order_nos, ebp_code=ebp_code, ebc_code=ebc_code, dxp_id=SHARED)
    ann = app.enterprises[EnterpriseId("ann")]
    message = examine(body, ann, app.rules, LimitsConfig())
    assert isinstance(message, Message), message
    with closing(app.spool()) as spool:
        spool.put([new_message_of(message, ann, uid=new_message_id(datetime.now(UTC)), config=app.config)])


@pytest.fixture
def declared(site: Site) -> Site:
    declare(site, "O-1", ebp_code="P1", ebc_code="E1")
    declare(site, "O-2", "O-3", ebp_code="P1", ebc_code="E2")
    declare(site, "O-4", ebp_code="P1", ebc_code="4401000002")
    return site


def test_codes_in_use_that_are_nobody_s_or_another_s_are_named_with_who_uses_them(declared: Site) -> None:
    found = checks(declared)
    assert {one.grade for one in found} == {Grade.WARN}
    assert [(one.name, one.detail.partition(": ")[2]) for one in found] == [
        ("enterprise ann", "E2 P1"),
        ("enterprise ann", "4401000002"),
    ]
    assert all("ann.toml" in one.fix for one in found)


def test_nothing_is_said_where_all_is_bound_or_nothing_was_declared(declared: Site, tmp_path: Path) -> None:
    file = declared.enterprises / "ann.toml"
    file.write_text(file.read_text().replace('["E1"]', '["E1", "E2", "4401000002"]'))
    assert [one.name for one in checks(declared)] == ["code 4401000002"], "two of one DXP id have it now"
    assert checks(write_site(tmp_path / "new", enterprises=(ANN, BOB), port=0)) == []
    assert checks(write_site(tmp_path / "alone", enterprises=(ANN,), port=0)) == []


def test_a_code_of_two_who_share_a_dxp_id_is_named(site: Site) -> None:
    file = site.enterprises / "bob.toml"
    file.write_text(file.read_text().replace("acts_for = []", 'acts_for = ["E1"]'))
    (one,) = checks(site)
    assert (one.name, one.grade) == ("code E1", Grade.WARN)
    assert "ann, bob" in one.detail
    assert SHARED in one.detail
