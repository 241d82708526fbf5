"""Advice at a polled door, with real judges: told, logged and counted once, told again for known bytes, blocking on request."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.app.build import App
from gateway.app.drop_doors import Doors
from gateway.config.site import DEMO, Site, write_site
from gateway.errors import ConfigError
from gateway.judges.asking import Asking
from gateway.model import EnterpriseId
from gateway.observe.metric_files import RoleMetrics
from gateway.ports import Arrival
from spool.store import Spool
from tests.advice_rules import BUYER, NAMED, PAID, about_the_buyer, paid, rule, write_rules
from tests.advice_site import advise_at, block_at
from tests.command_line import invoke, lines
from tests.documents import order
from tests.judges import hosted

ME = EnterpriseId(DEMO.id)


@dataclass(frozen=True, kw_only=True)
class PolledDoor:
    """What a folder door does with a file: the document beside it."""

    app: App
    spool: Spool
    asking: Asking

    def report(self, body: bytes) -> dict[str, Any]:
        doors = Doors(config=self.app.config, judge=self.app.judge, line=self.asking.line, doors={}, open_spool=lambda: self.spool)  # fmt: skip
        submitter = doors.submitter(self.spool, self.asking)
        arrival = Arrival(name="one.xml", body=body, token="1")
        (answer,) = submitter.judge([arrival], self.app.enterprises[ME], "folder")
        assert answer is not None
        told: dict[str, Any] = json.loads(answer.body)
        return told | {"http": answer.status}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = write_site(tmp_path / "site")
    advise_at(site, rule(PAID), about_the_buyer())
    return site


@contextmanager
def door_of(site: Site) -> Iterator[PolledDoor]:
    """Open the door by the files of the site as they are now."""
    app = App(site.config)
    with hosted(app.judge) as line, closing(Asking(line, app.judge)) as asking, closing(app.spool()) as spool:
        yield PolledDoor(app=app, spool=spool, asking=asking)


def mine(*numbers: str) -> bytes:
    return order(*numbers, cop_code=DEMO.cop_codes[0], dxp_id=DEMO.dxp_ids[0])


def own(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Leave out what shipped rules say."""
    return [one for one in told["advice"] if one["rule"].startswith("own-")]


def roundabout(body: bytes) -> bytes:
    """The same document, not in plain form: judged in another process."""
    return body.replace(b"?>", b"?><!-- as it comes -->", 1)


def counted(rule_name: str) -> float:
    return sum(
        sample.value
        for family in RoleMetrics().collect()
        for sample in family.samples
        if sample.name == "gateway_advice_total" and sample.labels["rule"] == rule_name
    )


@pytest.mark.parametrize("form", [bytes, roundabout])
def test_report_has_the_advice_and_the_same_bytes_get_it_again(
    site: Site, form: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    before = counted(PAID)
    body = form(paid(mine("ORDER-1", "ORDER-2"), "200"))
    with door_of(site) as door:
        first, again = door.report(body), door.report(body)
    assert (first.pop("http"), again.pop("http")) == (202, 200)
    assert first == again
    advice = [one for one in own(first) if one["rule"] == PAID]
    assert [one["key"]["orderNo"] for one in advice] == ["ORDER-1", "ORDER-2"]
    assert advice[0] | {
        "path": "/CEB311Message/Order[1]/OrderHead/acturalPaid", "line": 2, "element": "acturalPaid",
        "name_zh": "实际支付金额", "value": "200", "severity": "error", "who": "platform", "code": "",
        "message": "acturalPaid 200 is too much", "message_zh": "实付金额200过大", "fix": "check acturalPaid",
        "fix_zh": "核对实付金额", "grade": "U", "source": "a test", "source_place": "",
    } == advice[0]  # fmt: skip
    assert counted(PAID) == before + 2, "counted when it was accepted, not when it came again"
    said = capsys.readouterr().out
    assert said.count("advice.given") == 1
    assert f"'{PAID}': 2" in said


def test_nobody_is_named_in_advice_logs_or_metrics(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with door_of(site) as door:
        told = door.report(mine("ORDER-1"))
    (advice,) = own(told)
    assert (advice["rule"], advice["value"]) == (NAMED, "**")
    assert "**" in advice["message"]
    assert BUYER not in json.dumps(told, ensure_ascii=False) + capsys.readouterr().out


def test_sound_message_has_an_empty_list_and_no_line_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = write_site(tmp_path / "site")
    advise_at(site, rule(PAID), "[order-paid-sum]\noff = true")
    with door_of(site) as door:
        told = door.report(mine("ORDER-1"))
    assert own(told) == []
    assert f"'{PAID}'" not in capsys.readouterr().out


@pytest.mark.parametrize("entries", ['["error"]', '["warning"]', f'["rule:{PAID}"]'])
def test_blocked_message_is_refused_with_the_advice_as_faults(site: Site, entries: str) -> None:
    block_at(site, DEMO.id, entries)
    with door_of(site) as door:
        told = door.report(paid(mine("ORDER-1"), "200"))
        assert door.spool.depths() == []
    assert (told["http"], told["code"]) == (422, "advice-blocks")
    faults = [fault for fault in told["faults"] if fault["rule"] == PAID]
    assert [(fault["path"], fault["value"], fault["message_zh"]) for fault in faults] == [
        ("/CEB311Message/Order[1]/OrderHead/acturalPaid", "200", "实付金额200过大")
    ]
    assert NAMED not in {fault["rule"] for fault in told["faults"]}, "a hint blocks nothing here"


def test_what_was_accepted_before_is_not_blocked_afterwards(site: Site) -> None:
    bodies = [paid(mine("ORDER-1"), "200"), roundabout(paid(mine("ORDER-2"), "200"))]
    with door_of(site) as door:
        first = [door.report(body) for body in bodies]
    block_at(site, DEMO.id, '["error"]')
    with door_of(site) as door:
        again = [door.report(body) for body in bodies]
        other = door.report(paid(mine("ORDER-3"), "200"))
    assert [one.pop("http") for one in (*first, *again, other)] == [202, 202, 200, 200, 422]
    assert first == again


def test_unknown_rule_is_an_error_of_the_configuration(site: Site) -> None:
    block_at(site, DEMO.id, '["rule:own-payd"]')
    with pytest.raises(ConfigError, match='"rule:own-paid" is meant'):
        App(site.config)


def checked(site: Site, name: str) -> dict[str, Any]:
    """One line of `gateway check`."""
    result = invoke("check", "-c", site.config, "--json")
    (line,) = [one for one in lines(result) if one["name"] == name]
    assert result.exit_code == (1 if line["grade"] == "fail" else 0)
    return line


def test_check_says_who_blocks_on_what_and_finds_a_rule_that_there_is_not(site: Site) -> None:
    block_at(site, DEMO.id, f'["warning", "rule:{PAID}"]')
    assert checked(site, f"enterprise {DEMO.id}")["detail"] == f"blocks on warning, rule:{PAID}"
    block_at(site, DEMO.id, '["rule:own-payd"]')
    line = checked(site, f"enterprise {DEMO.id}")
    assert line["grade"] == "fail"
    assert f"{DEMO.id}.toml, block_on" in line["detail"]
    assert f'"rule:{PAID}" is meant?' in line["fix"]


def test_check_compiles_the_operators_rules(site: Site) -> None:
    assert checked(site, "advice")["grade"] == "ok"
    write_rules(site.folder / "advice", rule(PAID, holds='"acturalPayd < 200"'))
    line = checked(site, "advice")
    assert line["grade"] == "fail"
    assert "acturalPaid is meant" in line["detail"]
