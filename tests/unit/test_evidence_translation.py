"""Evidence of a translated message: the translation is repeated from the file alone, and whatever was altered is named."""

import io
import json
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gateway.app.build import App
from gateway.app.import_role import import_role
from gateway.config.site import NewEnterprise, write_site
from gateway.evidence import bundle as form
from gateway.evidence.exporter import EvidenceExporter
from gateway.evidence.verification import FindingMark, repeat_shipped, verify_bundle
from gateway.goods.cache import own_tables
from gateway.goods.columns import GOODS
from gateway.goods.form import CSV, read_goods
from gateway.goods.handing_in import hand_in
from gateway.imports.facts import (
    ImportFacts,
    ImportPlace,
    NamedMapping,
    PartFacts,
    decoded,
    encoded,
    request_name,
)
from gateway.judges.judge import Translate
from gateway.keys.backlog import Backlogs
from gateway.keys.node_key import node_key
from gateway.mapping.sources.table import Form
from gateway.provenance.mapping_record import USED
from gateway.provenance.repeat import NotRepeated, RecordedTranslation, RepeatedTranslation
from gateway.simulator.world import free_port
from gateway.submission.commit import BatchCommit
from gateway.submission.intake import AcceptedSubmission, ExaminedSubmission, Intake, SubmissionResult
from gateway.submission.quotas import Quotas
from gateway.upkeep.checkpoints import Sealer
from spool.archive import Archive
from spool.archived import Archived
from spool.imports import NewImport
from spool.note import VerifierKey
from spool.store import Spool
from tests.backends import BACKENDS
from tests.command_line import invoke, lines
from tests.import_sources import inventories
from tests.spool_samples import Clock
from tests.unit.mapping_tables import payments

OURS = NewEnterprise(id="ours", name="Ours", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",))
REGISTER = b"itemNo,gcode,unit1,unit\nSKU-1,1111111111,,007\n"
SHOPS = "shop,name\n一号店,示例平台一\n二号店,示例平台二\n"
SHEET = "单号,交易号,金额,备注,店铺,渠道,会员\nO-{0},T-{0},13.890,SKU-1,一号店,微信,金卡\n"
MAPPING = payments(
    columns={"店铺": "{}"},
    note='{ from = "备注", goods = "gcode" }',
    ebpName='{ from = "店铺", lookup = { file = "shops.csv", key = "shop", value = "name" } }',
)
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Records:
    """A spool with translated messages, their lines sealed."""

    app: App
    spool: Spool
    single: str
    other: str
    """Made of another source by the same mapping."""
    part: str
    """Made of the second hundred rows of an import."""

    @property
    def key(self) -> VerifierKey:
        return node_key(self.app.config).public

    def message(self, uid: str) -> Archived:
        found = self.spool.export(uid)
        assert found is not None
        return found

    def exported(self, message: Archived, **how: bool) -> bytes:
        config = self.app.config
        exporter = EvidenceExporter(
            spool=self.spool, rules=self.app.rules, config=config, key=node_key(config)
        )
        kept = exporter.kept(message)
        assert kept is not None
        asked = None if kept.source is None else kept.recorded(kept.source)
        made = None if asked is None else repeat_shipped(asked)
        assert not isinstance(made, NotRepeated)
        return form.encode(exporter.bundle(message, kept=kept, repeated=made, **how))

    def seal(self) -> None:
        Sealer(self.spool, node_key(self.app.config), every_s=60, events=99).finish()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    folder = tmp_path_factory.mktemp("site") / "site"
    site = write_site(folder, enterprises=(OURS,), port=free_port())
    own = folder / "mappings"
    own.mkdir()
    (own / "mine.toml").write_text(MAPPING, "utf-8")
    (own / "shops.csv").write_text(SHOPS, "utf-8")
    text = site.config.read_text("utf-8")
    site.config.write_text(text.replace('# mappings_dir = "mappings"', 'mappings_dir = "mappings"'), "utf-8")
    return App(site.config)


@pytest.fixture(scope="module", params=BACKENDS)
def records(
    app: App, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Records]:
    folder = tmp_path_factory.mktemp("spool") / "state"
    with closing(BACKENDS[request.param](folder, Clock())) as spool:
        goods = read_goods(REGISTER, CSV)
        hand_in(spool, "ours", GOODS, goods, body=REGISTER, form=CSV)
        single, other = (submitted(app, spool, SHEET.format(number).encode()) for number in (1, 2))
        part = imported(app, spool, inventories(150, wrong={120}))
        made = Records(app=app, spool=spool, single=single, other=other, part=part)
        made.seal()
        yield made


def submitted(app: App, spool: Spool, source: bytes) -> str:
    """Submit a table by the mapping `mine`, as the HTTP door does; its id."""
    commit = BatchCommit(spool)
    intake = Intake(
        config=app.config,
        spool=spool,
        commit=commit,
        queues=Backlogs(app.config, spool),
        quotas=Quotas(spool),
        mappings=app.mappings,
    )
    (caller,) = app.enterprises.values()
    verdict = app.judge(
        Translate(
            body=source,
            caller=caller.id,
            mapping="mine",
            form=Form.CSV,
            charset="",
            app_time="20261111080000",
            own=own_tables(spool, "ours"),
        )
    )
    assert isinstance(verdict, ExaminedSubmission), verdict
    results: list[SubmissionResult | Exception] = []
    intake.take(verdict, source, caller, results.append)
    commit.commit()
    (result,) = results
    assert isinstance(result, AcceptedSubmission), result
    return result.uid


def imported(app: App, spool: Spool, source: bytes) -> str:
    """Import inventories; the id of the last message."""
    mapping = app.mappings["inventories"]
    facts = ImportFacts(mappings=(NamedMapping(name=mapping.name, sha256=mapping.sha256),), form="csv")
    digest = sha256(source).digest()
    job = spool.begin_import("IMPORT", "ours")
    spool.add_import_chunk(job, 0, source)
    spool.finish_import(
        job,
        NewImport(
            request=request_name(facts, digest),
            sha256=digest,
            size_bytes=len(source),
            facts=encoded(facts),
            at=encoded(ImportPlace()).decode(),
        ),
    )
    role = import_role(config=app.config, judge=app.judge, spool=spool, claimant="import")
    while role.round():
        pass
    last = spool.import_parts(job, limit=9)[-1]
    assert 119 not in [body.ordinal for body in decoded(last.facts, PartFacts).bodies]
    return last.uid


def texts(content: bytes, key: VerifierKey, mark: FindingMark, **more: Any) -> list[str]:
    return [one.text for one in verify_bundle(content, [key], **more) if one.mark is mark]


def test_accepted_bytes_are_shown_to_be_what_the_mapping_makes_of_the_source(records: Records) -> None:
    content = records.exported(records.message(records.single))
    assert texts(content, records.key, FindingMark.BROKEN) == []
    known = form.decode(content)
    assert known.format == form.TRANSLATED
    assert known.translation is not None
    assert known.translation.source == SHEET.format(1).encode()
    assert known.translation.goods == REGISTER
    fields = len(known.translation.trace)
    proven = "\n".join(texts(content, records.key, FindingMark.PROVEN))
    assert f"what the mapping makes of this source, byte for byte: {fields} fields" in proven
    assert "2 input fields were not used: 渠道, 会员" in proven
    assert "the mapping mine" in proven
    assert all(one.text_zh for one in verify_bundle(content, [records.key]))


def test_trace_says_of_every_field_where_it_came_from_and_no_value(records: Records) -> None:
    known = form.decode(records.exported(records.message(records.single)))
    assert known.translation is not None
    steps = {line.split("\t")[0].rpartition("/")[2]: line.split("\t")[1:] for line in known.translation.trace}
    assert steps["payTransactionId"][0].endswith("column 交易号")
    assert steps["payCode"] == ["", "constant"]
    assert steps["note"][1].startswith("goods gcode, version 1 (")
    assert not any("13.890" in line or "T-1" in line for line in known.translation.trace)


def test_message_of_an_import_is_made_again_of_the_rows_that_are_in_it(records: Records) -> None:
    content = records.exported(records.message(records.part))
    assert texts(content, records.key, FindingMark.BROKEN) == []
    known = form.decode(content)
    assert known.translation is not None
    assert known.translation.origin["bodies"] == "100-118,120-149"
    assert known.translation.source == inventories(150, wrong={120})
    assert any("byte for byte" in one for one in texts(content, records.key, FindingMark.PROVEN))


def test_mapping_is_in_the_journal_once_and_before_it_is_needed(records: Records) -> None:
    told = [form.decode(records.exported(records.message(uid))) for uid in (records.single, records.other)]
    first, second = [one.translation.event for one in told if one.translation is not None]
    assert first == second > 0
    digest = records.app.mappings["mine"].sha256
    (line,) = records.spool.history(f"mapping {digest}")
    assert line.event == USED
    assert json.loads(line.detail)["files"]["shops.csv"]["text"] == SHOPS


def test_redacted_file_says_what_is_not_proven_and_holds_when_the_source_is_given(records: Records) -> None:
    content = records.exported(records.message(records.single), redact=True)
    assert texts(content, records.key, FindingMark.BROKEN) == []
    opened = "\n".join(texts(content, records.key, FindingMark.OPEN))
    assert "the source is not in this file, only its digest" in opened
    assert "the goods that the mapping looked into are not in this file" in opened
    assert "are only said by whoever exported the file" in opened
    part = records.exported(records.message(records.part), redact=True)
    source = io.BytesIO(inventories(150, wrong={120}))
    proven = texts(part, records.key, FindingMark.PROVEN, source=source)
    assert any("byte for byte" in one for one in proven)
    broken = texts(part, records.key, FindingMark.BROKEN, source=io.BytesIO(b"another"))
    assert broken == ["the source that was given is not the one that was handed in: its digest is another"]


def test_source_goes_into_the_archive_with_its_message(records: Records, tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.append([records.message(records.single)])
    shelved = archive.get(records.single)
    assert shelved is not None
    assert shelved.message.source == SHEET.format(1).encode()
    content = records.exported(shelved.message)
    assert texts(content, records.key, FindingMark.BROKEN) == []
    assert any("byte for byte" in one for one in texts(content, records.key, FindingMark.PROVEN))


def test_source_is_kept_once_beside_the_message_or_in_its_import(records: Records) -> None:
    assert records.message(records.single).source == SHEET.format(1).encode()
    assert records.message(records.part).source == b""
    assert json.loads(records.message(records.part).history[0].detail)["origin"]["import"] == "IMPORT"


def test_goods_that_were_replaced_are_named_by_their_digest_alone(records: Records) -> None:
    later = REGISTER + b"SKU-2,2222222222,011,007\n"
    hand_in(records.spool, "ours", GOODS, read_goods(later, CSV), body=later, form=CSV)
    content = records.exported(records.message(records.single))
    hand_in(records.spool, "ours", GOODS, read_goods(REGISTER, CSV), body=REGISTER, form=CSV)
    assert texts(content, records.key, FindingMark.BROKEN) == []
    opened = "\n".join(texts(content, records.key, FindingMark.OPEN))
    assert f"the goods that the mapping looked into are not in this file, only their digest: sha256 {sha256(REGISTER).hexdigest()}" in opened  # fmt: skip


def test_import_that_is_gone_leaves_the_digest_of_the_source(app: App, tmp_path: Path) -> None:
    with closing(BACKENDS["sqlite"](tmp_path / "state", Clock())) as spool:
        uid = imported(app, spool, inventories(150, wrong={120}))
        records = Records(app=app, spool=spool, single="", other="", part=uid)
        records.seal()
        job = spool.import_job("IMPORT")
        assert job is not None
        spool.drop_import(job.number)
        content = records.exported(records.message(uid))
    assert texts(content, records.key, FindingMark.BROKEN) == []
    opened = texts(content, records.key, FindingMark.OPEN)
    assert any("the source is not in this file, only its digest" in one for one in opened)
    source = io.BytesIO(inventories(150, wrong={120}))
    proven = texts(content, records.key, FindingMark.PROVEN, source=source)
    assert any("byte for byte" in one for one in proven)


def test_version_or_tables_of_another_time_leave_it_open(records: Records) -> None:
    def other(_asked: RecordedTranslation) -> RepeatedTranslation | NotRepeated:
        return NotRepeated(reason="no such edition", reason_zh="无此版本", other=True)

    content = records.exported(records.message(records.single))
    assert texts(content, records.key, FindingMark.BROKEN, repeat=other) == []
    opened = texts(content, records.key, FindingMark.OPEN, repeat=other)
    assert any("could not be repeated: no such edition" in one for one in opened)


# tampering


def flipped(code: str, at: int = -5) -> str:
    raw = bytearray(b64decode(code))
    raw[at] ^= 1
    return b64encode(raw).decode()


def line_of(file: Json, event: str) -> Json:
    return next(one for one in file["events"] if one["event"] == event)


def _detail(event: str, change: Callable[[Json], object]) -> Callable[[Json, Json], object]:
    """Change the detail of a journal line in the file."""

    def spoil(file: Json, _other: Json) -> None:
        line = line_of(file, event)
        detail = json.loads(line["detail"])
        change(detail)
        line["detail"] = json.dumps(detail, ensure_ascii=False)

    return spoil


def _rewritten(name: str, text: str) -> Callable[[Json, Json], object]:
    """Change what the journal says, and the copy of it, as somebody could who has the key of the node."""

    def spoil(file: Json, other: Json) -> None:
        file["translation"]["origin"][name] = text
        _detail("message.accepted", lambda detail: detail["origin"].update({name: text}))(file, other)

    return spoil


def _said(name: str, text: str) -> Callable[[Json, Json], object]:
    return lambda file, _: file["translation"]["origin"].update({name: text})


def _part(name: str, change: Callable[[Any], Any]) -> Callable[[Json, Json], object]:
    def spoil(file: Json, _other: Json) -> None:
        file["translation"][name] = change(file["translation"][name])

    return spoil


def _swapped_source(file: Json, _other: Json) -> None:
    file["translation"] |= {"source": b64encode(SHEET.format(12).encode()).decode()}


def _other_translation(file: Json, other: Json) -> None:
    file["translation"] = other["translation"]


def _first_step(lines: list[str]) -> list[str]:
    target, _, function = lines[3].split("\t")
    return [*lines[:3], f"{target}\trow 9, column 金额\t{function}", *lines[4:]]


TAMPERING: dict[str, tuple[Callable[[Json, Json], object], str]] = {
    "byte of the source": (_part("source", flipped), "the source was altered: its digest is another"),
    "source of another message": (_swapped_source, "the source was swapped"),
    "translation of another message": (
        _other_translation,
        "the translation: source_sha256 is not what the log says",
    ),
    "byte of the mapping": (
        _detail(USED, lambda d: d["mapping"].update(text=d["mapping"]["text"].replace("142", "840"))),
        "the text of the mapping was altered",
    ),
    "byte of the table beside it": (
        _detail(USED, lambda d: d["files"]["shops.csv"].update(text=SHOPS.replace("一\n", "三\n"))),
        "the table shops.csv beside the mapping was altered",
    ),
    "table beside it taken out": (
        _detail(USED, lambda d: d["files"].clear()),
        "the mapping and the tables that it looks into have another digest",
    ),
    "another line in place of the mapping": (
        _part("event", lambda n: n - 1),
        "the mapping in this file is not the one that the message was made by",
    ),
    "step of the trace": (
        _part("trace", _first_step),
        "line 4 of the trace is not what the translation does: /CEB411Message/Payment[1]/PaymentHead/appType",
    ),
    "step of the trace removed": (_part("trace", lambda t: t[:-1]), "of the trace is not what"),
    "unconsumed field concealed": (
        _part("unconsumed", lambda names: names[:1]),
        "the list of input fields that no rule reads is not that of the translation",
    ),
    "goods": (_part("goods", flipped), "the goods that the mapping looked into were altered"),
    "app_time": (_said("app_time", "20261111080001"), "the translation: app_time is not what the log says"),
    "form": (_said("source_form", "xlsx"), "the translation: source_form is not what the log says"),
    "ordinals": (_said("bodies", "0-7"), "the translation: bodies is not what the log says"),
    "edition": (_said("edition", "2018-113"), "the translation: edition is not what the log says"),
    "name of the mapping": (_said("mapping", "yours"), "the translation: mapping is not what the log says"),
    "version of the gateway": (_said("gateway", "9"), "the translation: gateway is not what the log says"),
    "origin in the journal": (
        _detail("message.accepted", lambda d: d["origin"].pop("app_time")),
        "(message.accepted): it is not in the log like this",
    ),
    "app_time, in the journal too": (
        _rewritten("app_time", "20261111080001"),
        "the mapping makes other bytes of this source than were accepted, from byte",
    ),
    "form, in the journal too": (_rewritten("source_form", "xlsx"), "could not be repeated"),
    "form that is none": (_rewritten("source_form", "docx"), "could not be repeated: 'docx' is not"),
    "ordinals, in the journal too": (
        _rewritten("bodies", "0-7"),
        "could not be repeated: the source has no declaration 1",
    ),
    "document": (
        lambda file, _: file["accepted"].update(body=flipped(file["accepted"]["body"], 400)),
        "the bytes in this file are not those that the mapping makes, from byte 400 on",
    ),
    "translation taken out": (lambda file, _: file.pop("translation"), "altered after its export"),
    "called a file of the first form": (
        lambda file, _: file.update(format=form.FORMAT),
        "the form customs-exchange-gateway/evidence/1 is not known",
    ),
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_is_named(kind: str, records: Records) -> None:
    spoil, named = TAMPERING[kind]
    file, other = (
        json.loads(records.exported(records.message(uid))) for uid in (records.single, records.other)
    )
    spoil(file, other)
    broken = texts(json.dumps(file, ensure_ascii=False).encode(), records.key, FindingMark.BROKEN)
    assert any(named in text for text in broken), broken


# what somebody who has the key of the node may put into a file


def _hostile_mapping(file: Json) -> None:
    line = line_of(file, USED)
    text = "message = " + "[" * 100_000
    digest = sha256(text.encode()).hexdigest()
    line["detail"] = json.dumps({"mapping": {"sha256": digest, "text": text}, "files": {}, "tables": {}})
    line["uid"] = f"mapping {digest}"
    _rewritten("mapping_sha256", digest)(file, {})


def _hostile_source(file: Json) -> None:
    """A workbook of a few kilobytes that says it has a gigabyte of rows."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("xl/workbook.xml", b" " * 128 * 1024 * 1024)
    file["translation"] |= {"source": b64encode(whole.getvalue()).decode(), "size": len(whole.getvalue())}
    _rewritten("source_sha256", sha256(whole.getvalue()).hexdigest())(file, {})
    _rewritten("source_form", "xlsx")(file, {})


HOSTILE: dict[str, Callable[[Json], object]] = {
    "nested mapping": _hostile_mapping,
    "bomb of a workbook": _hostile_source,
    "declarations without end": lambda file: _rewritten("bodies", "0-99999999999")(file, {}),
    "number of digits without end": lambda file: _rewritten("goods_version", "9" * 10_000)(file, {}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_file_is_answered_for(kind: str, records: Records, tmp_path: Path) -> None:
    file = json.loads(records.exported(records.message(records.single)))
    HOSTILE[kind](file)
    (tmp_path / "evidence.json").write_text(json.dumps(file), "utf-8")
    result = invoke("evidence", "verify", tmp_path / "evidence.json", "--key", records.key, "--json")
    assert result.exit_code == 1
    (line,) = lines(result)
    assert any("could not be repeated" in one["text"] for one in line["findings"]), line
