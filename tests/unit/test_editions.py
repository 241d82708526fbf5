"""By which edition a message is judged, on both ways through the judge, and what its sender is told beforehand."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.advice.declared import DeclaredFields
from gateway.app.build import App
from gateway.config.site import DEMO, write_site
from gateway.errors import RulesError
from gateway.facts import message_facts
from gateway.judges.judge import Examine, Judge
from gateway.model import DocumentLink, Enterprise, EnterpriseId, Envelope, MessageType
from gateway.rules.loading import RULES
from gateway.submission.intake import ExaminedSubmission
from gateway.submission.pipeline import Refusal, no_links
from gateway.views.api import AcceptedView, first_view
from gateway.xml.envelope import wrap
from tests.edition_documents import BEFORE, NOW, inventory_for

ME = EnterpriseId(DEMO.id)
NEW_YEAR = datetime(2026, 12, 31, 16, tzinfo=UTC)
"""The beginning of 1 January 2027 in Beijing."""
TICK = timedelta(microseconds=1)
PERIODS = f'[[edition]]\nname = "{BEFORE}"\nuntil = 2026-12-31\nnotice_days = 30\n'
"""Then 202205, the default."""
Made = Callable[..., App]
VERDICT = {True: ExaminedSubmission, False: Refusal}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    def make(text: str = "", *, enterprise: str = "") -> App:
        site = write_site(tmp_path / "site")
        site.config.write_text(site.config.read_text("utf-8") + text, "utf-8")
        file = site.enterprises / f"{DEMO.id}.toml"
        file.write_text(enterprise + file.read_text("utf-8"), "utf-8")
        return App(site.config)

    return make


def document(edition: str, number: int = 1) -> bytes:
    return inventory_for(edition, number=number, cop_code=DEMO.cop_codes[0], dxp_id=DEMO.dxp_ids[0])


def roundabout(body: bytes) -> bytes:
    """The same document, not in plain form."""
    return body.replace(b"?>", b"?><!-- as it comes -->", 1)


def at(app: App, moment: datetime) -> tuple[Judge, Enterprise]:
    return replace(app.judge, clock=lambda: moment), app.enterprises[ME]


def judged(app: App, body: bytes, moment: datetime = NEW_YEAR) -> ExaminedSubmission | Refusal:
    """Judge in both ways, which have to agree wherever the quick one says anything."""
    judge, me = at(app, moment)
    verdicts = [judge(Examine(body=one, caller=ME)) for one in (body, roundabout(body))]
    for verdict in verdicts:
        assert isinstance(verdict, ExaminedSubmission | Refusal), verdict
    quick = judge.at_once(body, me)
    for other in (quick, verdicts[1]):
        assert other is None or _brief(other) == _brief(verdicts[0])
    assert isinstance(verdicts[0], ExaminedSubmission | Refusal)
    return verdicts[0]


def _brief(verdict: object) -> object:
    if isinstance(verdict, ExaminedSubmission):
        notice = verdict.edition_notice
        return verdict.header.edition, None if notice is None else [fault.path for fault in notice.faults]
    assert isinstance(verdict, Refusal)
    return verdict.problem, [fault.path for fault in verdict.faults]


def takes(app: App, edition: str, moment: datetime = NEW_YEAR) -> bool:
    """Whether a document of that edition alone is valid; the header of a valid one names the edition."""
    verdict = judged(app, document(edition), moment)
    if isinstance(verdict, ExaminedSubmission):
        assert verdict.header.edition == message_facts(verdict.new.facts).edition == edition
        return True
    assert verdict.problem == "invalid-message"
    return False


def test_default_edition_judges_where_nothing_else_is_said(made: Made) -> None:
    app = made()
    assert takes(app, NOW)
    assert not takes(app, BEFORE)


def test_edition_changes_with_the_day_and_nothing_else(made: Made) -> None:
    app = made(PERIODS)
    assert [takes(app, BEFORE, NEW_YEAR - TICK), takes(app, NOW, NEW_YEAR - TICK)] == [True, False]
    assert [takes(app, BEFORE, NEW_YEAR), takes(app, NOW, NEW_YEAR)] == [False, True]


def test_enterprise_goes_before_the_period(made: Made) -> None:
    app = made(PERIODS, enterprise=f'edition = "{BEFORE}"\n')
    assert takes(app, BEFORE, NEW_YEAR)
    assert not takes(app, NOW, NEW_YEAR)


ROUTES = f"""
[[route]]
message_type = "CEB603Message"
to = ["customs"]
edition = "{BEFORE}"
[[route]]
to = ["customs"]
"""


def test_route_goes_before_the_enterprise(made: Made) -> None:
    app = made(PERIODS + ROUTES, enterprise=f'edition = "{NOW}"\n')
    assert takes(app, BEFORE, NEW_YEAR)
    assert not takes(app, NOW, NEW_YEAR)


def test_route_that_names_no_edition_leaves_it_to_the_day(made: Made) -> None:
    app = made(PERIODS + ROUTES.replace("CEB603Message", "CEB311Message"))
    assert takes(app, BEFORE, NEW_YEAR - TICK)
    assert takes(app, NOW, NEW_YEAR)


def test_route_of_a_share_judges_the_messages_of_that_share(made: Made) -> None:
    """The id that chooses the share is the one that the message then has."""
    app = made(ROUTES.replace('to = ["customs"]\nedition', 'to = ["customs"]\nshare = 50\nedition'))
    judge, me = at(app, NEW_YEAR)
    for number in range(24):
        for body in (document("", number), roundabout(document("", number))):
            verdict = judge.at_once(body, me) or judge(Examine(body=body, caller=ME))
            assert isinstance(verdict, ExaminedSubmission)
            routes = app.judge.editions.routes(me, verdict.new.uid)
            assert routes is not None
            assert verdict.header.edition == (routes.of(verdict.header) or NOW)


def test_envelope_of_the_sender_is_judged_by_the_edition_of_its_route(made: Made) -> None:
    app = made(ROUTES)
    judge, _ = at(app, NEW_YEAR)
    envelope = Envelope(
        cop_msg_id="COP-1",
        sender_id=DEMO.dxp_ids[0],
        receiver_ids=("DXPEDCCEB0000003",),
        creat_time="2027-01-01T12:05:06",
    )
    for edition, valid in ((BEFORE, True), (NOW, False)):
        verdict = judge(Examine(body=wrap(document(edition), envelope), caller=ME))
        assert isinstance(verdict, VERDICT[valid]), verdict


def test_valid_today_and_refused_tomorrow_is_told_beforehand(made: Made) -> None:
    app = made(PERIODS)
    verdict = judged(app, document(BEFORE), NEW_YEAR - TICK)
    assert isinstance(verdict, ExaminedSubmission)
    notice = verdict.edition_notice
    assert notice is not None
    assert (notice.edition, notice.refused_from) == (NOW, date(2027, 1, 1))
    assert [fault.path.rpartition("/")[2] for fault in notice.faults] == ["logisticsNo"]
    assert message_facts(verdict.new.facts).edition_notice == notice
    view = first_view("ID", verdict.header, "", (), notice=notice)
    said = msgspec.json.decode(msgspec.json.encode(view))["edition_notice"]
    assert said["message"].startswith(
        "valid today, refused from 2027-01-01 on, when edition 202205 comes into force"
    )
    assert "自2027-01-01起" in said["message_zh"]
    assert said["faults"][0]["element"] == "logisticsNo"
    assert msgspec.json.decode(msgspec.json.encode(view), type=AcceptedView) == view


def test_judging_by_the_edition_to_come_gives_no_advice_and_links_nothing_once_more(made: Made) -> None:
    app = made(PERIODS)
    judge, me = at(app, NEW_YEAR - TICK)
    linked: list[str] = []

    def link(kind: MessageType, declared: Sequence[DeclaredFields]) -> tuple[DocumentLink, ...]:
        linked.append(kind.name)
        return no_links(kind, declared)

    judge = replace(judge, linker=link)
    for judging in (lambda body: judge.at_once(body, me), lambda body: judge(Examine(body=body, caller=ME))):
        for body in (document(""), roundabout(document(BEFORE))):
            linked.clear()
            verdict = judging(body)
            assert linked == [] if verdict is None else len(linked) == 1, linked


def test_valid_by_both_editions_is_told_nothing(made: Made) -> None:
    app = made(PERIODS)
    judge, me = at(app, NEW_YEAR - TICK)
    verdict = judge.at_once(document(""), me)
    assert isinstance(verdict, ExaminedSubmission), "what needs no notice is judged at once, as ever"
    assert verdict.edition_notice is None
    assert b"edition_notice" not in verdict.new.facts
    assert b"edition_notice" not in msgspec.json.encode(first_view("ID", verdict.header, "", ()))


def test_notice_begins_with_its_days_and_ends_with_the_change(made: Made) -> None:
    app = made(PERIODS)
    told = {}
    for days in (-31, -30, 0):
        verdict = judged(app, document(""), NEW_YEAR + timedelta(days=days))
        late = judged(app, document(BEFORE), NEW_YEAR + timedelta(days=days))
        assert isinstance(verdict, ExaminedSubmission)
        told[days] = getattr(late, "edition_notice", "refused")
    assert told[-31] is None
    assert told[-30] is not None
    assert told[0] == "refused"


def test_enterprise_with_its_own_edition_is_told_of_no_change(made: Made) -> None:
    app = made(PERIODS, enterprise=f'edition = "{BEFORE}"\n')
    verdict = judged(app, document(BEFORE), NEW_YEAR - TICK)
    assert isinstance(verdict, ExaminedSubmission)
    assert verdict.edition_notice is None


def test_route_that_names_the_edition_in_force_is_told_of_no_change(made: Made) -> None:
    verdict = judged(made(PERIODS + ROUTES), document(BEFORE), NEW_YEAR - TICK)
    assert isinstance(verdict, ExaminedSubmission)
    assert verdict.edition_notice is None


def test_messages_that_an_edition_does_not_have_are_refused_by_it(made: Made) -> None:
    app = made(f'[[edition]]\nname = "{BEFORE}"\nfrom = 2020-01-01\n')
    judge, me = at(app, NEW_YEAR)
    body = document("").replace(b"CEB603Message", b"CEB213Message")
    assert judge.at_once(body, me) is None
    verdict = judge(Examine(body=body, caller=ME))
    assert isinstance(verdict, Refusal)
    assert verdict.faults[0].rule == "unknown_root"
    assert BEFORE in verdict.faults[0].message


def test_folder_of_the_operator_replaces_ours_for_its_edition(made: Made, tmp_path: Path) -> None:
    shutil.copytree(RULES / "xsd" / NOW, tmp_path / "official")
    inventory = tmp_path / "official" / "export" / "inventory.xsd"
    text = inventory.read_text("utf-8")
    inventory.write_text(
        text.replace('name="ebpName" type="ceb:C..100"', 'name="ebpName" type="ceb:C1..100"'), "utf-8"
    )
    app = made(f'[[edition]]\nname = "{NOW}"\nfolder = "{tmp_path / "official"}"\n')
    assert app.rules.schemas.edition == NOW
    assert not takes(app, NOW)
    assert isinstance(judged(app, document("")), ExaminedSubmission)


def test_edition_that_is_nowhere_is_an_error_at_the_start(made: Made) -> None:
    with pytest.raises(RulesError, match="no edition 209901"):
        made('[[edition]]\nname = "209901"\nfrom = 2099-01-01\n')


def test_enterprise_that_names_an_unknown_edition_is_left_out_alone(made: Made) -> None:
    app = made(enterprise='edition = "209901"\n')
    assert [(one.kind, one.part) for one in app.left_out] == [("enterprise", DEMO.id)]
    assert "209901" in app.left_out[0].error
    assert app.enterprises[ME].disabled


def test_every_edition_in_use_is_compiled_before_the_roles_begin(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = made(enterprise=f'edition = "{BEFORE}"\n')
    app.warm()
    monkeypatch.setattr("gateway.rules.schemas.etree.XMLSchema", None)
    monkeypatch.setattr("gateway.rules.plain_form._Writer", None)
    assert takes(app, BEFORE)
