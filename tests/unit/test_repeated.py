"""One version of a declaration twice in one message: other content is a conflict at every way in, equal content is none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.app.build import App
from gateway.config.site import DEMO, write_site
from gateway.judges.judge import Examine, Judge, Translate
from gateway.mapping.translate import usual_form
from gateway.model import Envelope, Fault
from gateway.submission.intake import ExaminedSubmission
from gateway.submission.pipeline import Refusal
from gateway.xml.envelope import wrap
from signing.xml.splice import sign
from tests.command_line import invoke, lines
from tests.documents import guid, order
from tests.signing_documents import write_key
from tests.unit.mapping_examples import example

COP_CODE, DXP_ID = DEMO.cop_codes[0], DEMO.dxp_ids[0]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    return App(write_site(tmp_path_factory.mktemp("site") / "site").config).judge


def orders(*numbers: str, **fields: str) -> bytes:
    """Equal where the number is equal."""
    body = order(*numbers, cop_code=COP_CODE, dxp_id=DXP_ID, **fields)
    for place in range(2, len(numbers) + 1):
        body = body.replace(guid(place).encode(), guid(1).encode())
    return body


def amended(body: bytes, place: int, before: bytes, after: bytes) -> bytes:
    """Change the n-th text of this kind."""
    parts = body.split(before)
    return before.join(parts[:place]) + after + before.join(parts[place:])


CONFLICT = amended(orders("O-1", "O-2", "O-1"), 3, b">109.1<", b">110<")


def in_plain_form(body: bytes, _: Path) -> bytes:
    return body


def not_in_plain_form(body: bytes, _: Path) -> bytes:
    return body.replace(b"?>", b"?><!-- as it comes -->", 1)


def signed(body: bytes, folder: Path) -> bytes:
    return sign(body, write_key(folder)).body


def in_a_dxpmsg(body: bytes, folder: Path) -> bytes:
    envelope = Envelope(
        cop_msg_id="MY-OWN-ID-1",
        sender_id=DXP_ID,
        receiver_ids=("DXPEDCCEB0000002",),
        creat_time="2025-01-02T12:05:06",
        msg_type="CEB311Message",
    )
    return wrap(signed(body, folder), envelope)


Ways = Callable[[bytes, Path], bytes]
WAYS = pytest.mark.parametrize("way", [in_plain_form, not_in_plain_form, signed, in_a_dxpmsg])


def verdict(judge: Judge, body: bytes) -> ExaminedSubmission | Refusal:
    caller = next(iter(judge.enterprises.values()))
    said = judge.at_once(body, caller) or judge(Examine(body=body, caller=caller.id))
    assert isinstance(said, ExaminedSubmission | Refusal)
    return said


def check_both_places(faults: tuple[Fault, ...], first: str, second: str) -> None:
    assert [(fault.path, fault.rule) for fault in faults] == [
        (first, "conflict_version"),
        (second, "conflict_version"),
    ]
    for fault, other in zip(faults, (second, first), strict=True):
        assert other in fault.message
        assert other in fault.message_zh
        assert "内容不同" in fault.message_zh
        assert fault.fix


@WAYS
def test_with_other_content_it_is_the_conflict_that_it_is_over_two_messages(
    judge: Judge, tmp_path: Path, way: Ways
) -> None:
    said = verdict(judge, way(CONFLICT, tmp_path))

    assert isinstance(said, Refusal)
    assert said.problem == "conflicting-version"
    check_both_places(said.faults, "/CEB311Message/Order[1]", "/CEB311Message/Order[3]")


@WAYS
def test_with_equal_content_nothing_is_in_doubt(judge: Judge, tmp_path: Path, way: Ways) -> None:
    body = orders("O-1", "O-2", "O-1")
    body = amended(body, 3, b"<ceb:orderNo>", b"\n  <ceb:orderNo>")  # white space says nothing

    said = verdict(judge, way(body, tmp_path))

    assert isinstance(said, ExaminedSubmission), said
    assert len(said.header.declarations) == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"<ceb:appTime>20250102030405", b"<ceb:appTime>20250102030406"),
        (b"<ceb:appType>1", b"<ceb:appType>2"),
        (b"<ceb:orderNo>O-1", b"<ceb:orderNo>O-3"),
    ],
)
def test_another_version_or_another_declaration_is_no_conflict(
    judge: Judge, before: bytes, after: bytes
) -> None:
    place = CONFLICT.count(before)
    assert isinstance(verdict(judge, amended(CONFLICT, place, before, after)), ExaminedSubmission)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b">SKU-1<", b">SKU-2<"),
        (b"<ceb:country>502</ceb:country>", b"<ceb:country>502</ceb:country><ceb:note>x</ceb:note>"),
        (guid(1).encode(), guid(2).encode()),
    ],
)
def test_other_content_is_anything_that_an_element_says(judge: Judge, before: bytes, after: bytes) -> None:
    said = verdict(judge, amended(orders("O-1", "O-1"), 2, before, after))
    assert isinstance(said, Refusal)
    assert said.problem == "conflicting-version"


def test_each_place_that_differs_from_the_first_is_named(judge: Judge) -> None:
    body = amended(orders("O-1", "O-1", "O-1", "O-1"), 4, b">109.1<", b">110<")
    said = verdict(judge, amended(body, 2, b">109.1<", b">111<"))
    assert isinstance(said, Refusal)
    assert [fault.path.removeprefix("/CEB311Message/") for fault in said.faults] == [
        "Order[1]",
        "Order[2]",
        "Order[4]",
    ]


def test_beside_other_faults_it_is_one_of_them(judge: Judge) -> None:
    said = verdict(judge, amended(CONFLICT, 2, b">109.1<", b">much<"))
    assert isinstance(said, Refusal)
    assert said.problem == "invalid-message"
    assert {fault.rule for fault in said.faults} == {"not_decimal", "conflict_version"}


def payments(**change: object) -> bytes:
    """Three payments, of which the last is the first but for a change."""
    source = json.loads(example("payments"))
    (one,) = source["payments"]
    source["sender"] |= {"code": COP_CODE, "dxp_id": DXP_ID}
    source["payments"] = [one, {**one, "transaction": "PAY-0002"}, {**one, **change}]
    return json.dumps(source).encode()


def translated(judge: Judge, body: bytes, mapping: str) -> ExaminedSubmission | Refusal:
    caller = next(iter(judge.enterprises))
    form = usual_form(judge.mappings[mapping])
    said = judge(Translate(body=body, caller=caller, mapping=mapping, form=form, charset=""))
    assert isinstance(said, ExaminedSubmission | Refusal)
    return said


def test_in_json_both_places_of_the_source_are_named(judge: Judge) -> None:
    said = translated(judge, payments(amount_fen=1), "payments")

    assert isinstance(said, Refusal)
    assert said.problem == "conflicting-version"
    check_both_places(said.faults, "/CEB411Message/Payment[1]", "/CEB411Message/Payment[3]")
    assert [getattr(fault, "source", "") for fault in said.faults] == ["/payments/0", "/payments/2"]
    assert isinstance(translated(judge, payments(), "payments"), ExaminedSubmission)


def validate(file: Path, *options: object) -> dict[str, Any]:
    (line,) = lines(invoke("validate", "--json", *options, file))
    return dict(line)


@WAYS
def test_gateway_validate_says_it_too(tmp_path: Path, way: Ways) -> None:
    file = tmp_path / "twice.xml"
    file.write_bytes(way(CONFLICT, tmp_path))

    told = validate(file)

    inside = "/DxpMsg/Data" if way is in_a_dxpmsg else ""
    assert told["valid"] is False
    assert [fault["path"] for fault in told["faults"]] == [
        f"{inside}/CEB311Message/Order[1]",
        f"{inside}/CEB311Message/Order[3]",
    ]
    assert validate(file, "--sendable")["valid"] is True, "the schema of customs has nothing against it"


def test_gateway_translate_says_it_too(tmp_path: Path) -> None:
    file = tmp_path / "payments.json"
    file.write_bytes(payments(amount_fen=1))
    result = invoke("translate", "--json", "--mapping", "payments", file)
    assert result.exit_code == 1
    assert [fault["source"] for fault in lines(result)[-1]["faults"]] == ["/payments/0", "/payments/2"]
