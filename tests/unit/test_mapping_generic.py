"""The generic mappings, and the words of the language that they are made of: texts as they stand, XML of anybody's."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import RulesError
from gateway.mapping.compile import compile_mapping
from gateway.mapping.generic import generic_mappings
from gateway.mapping.translate import translate
from gateway.mapping.translated import Translated
from tests.unit.mapping_examples import mappings, shipped

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sheets.md").read_text("utf-8")


def payment() -> dict[str, Any]:
    """The example of the page."""
    found = re.search(r"^`payment.json`:\n\n```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document


def made(document: object, *, app_time: str = "") -> Translated:
    return translate(json.dumps(document).encode(), mappings()["json-411"], LimitsConfig(), app_time=app_time)


def head(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["CEB411Message"]["Payment"][0]["PaymentHead"]
    return found


def test_text_of_a_generic_mapping_is_made_the_same_every_time() -> None:
    texts = generic_mappings(shipped().schemas, shipped().catalogue)
    assert texts == generic_mappings(shipped().schemas, shipped().catalogue)
    for name, text in texts.items():
        assert mappings()[name].text == text
        assert mappings()[name].about


def test_example_of_the_page_is_a_message() -> None:
    done = made(payment())
    assert done.faults == ()
    assert b'guid="7D5A6C4E-0000-4000-8000-000000000411"' in done.document
    assert b"<ceb:amountPaid>399.90</ceb:amountPaid>" in done.document


def test_what_a_platform_need_not_know_may_be_left_out() -> None:
    document = payment()
    for name in ("@guid", "@version"):
        del document["CEB411Message"][name]
    for name in ("guid", "appType", "appTime", "appStatus"):
        del head(document)[name]
    other = json.loads(json.dumps(head(document))) | {"payTransactionId": "PAY-0002"}
    document["CEB411Message"]["Payment"].append({"PaymentHead": other})

    done = made(document, app_time="20261111080000")

    assert done.faults == ()
    assert done.document.count(b"<ceb:appTime>20261111080000</ceb:appTime>") == 2
    guids = re.findall(rb"<ceb:guid>(.{36})</ceb:guid>", done.document)
    assert len(set(guids)) == 2, "each is made of the declaration that it stands in"
    assert made(document, app_time="20261111080000").document == done.document
    steps = {step.target: step for step in done.steps()}
    assert steps["/CEB411Message/Payment[2]/PaymentHead/guid"].value == guids[1].decode()
    assert [fault.rule for fault in made(document).faults] == ["not_given", "not_given"]


def test_texts_stand_as_they_are_and_only_null_and_nothing_are_nothing() -> None:
    document = payment()
    head(document).update(note="", payerName=" 1.23E+17 ", telephone=None)
    done = made(document)
    assert done.faults == ()
    assert b"<ceb:note></ceb:note>" in done.document
    assert b"<ceb:payerName> 1.23E+17 </ceb:payerName>" in done.document
    assert b"telephone" not in done.document
    head(document)["payTransactionId"] = 10**17
    (fault,) = made(document).faults
    assert (fault.rule, fault.element) == ("digits_lost", "payTransactionId")


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("<a><b x='1'>&lt;</b><!-- no --></a>", b'<ceb:Message><a><b x="1">&lt;</b></a></ceb:Message>'),
        ("<p:a xmlns:p='urn:p'/>", b'<ceb:Message><p:a xmlns:p="urn:p"></p:a></ceb:Message>'),
        ("", b"<ceb:Message></ceb:Message>"),
    ],
)
def test_xml_of_an_extension_is_written_as_one_element(written: str, becomes: bytes) -> None:
    document = payment()
    document["CEB411Message"]["ExtendMessage"] = {"name": "n", "version": "1", "Message": written}
    done = made(document)
    assert done.faults == ()
    assert becomes in done.document


@pytest.mark.parametrize(
    "written", ["no", "<a>", "<a/><b/>", "<!DOCTYPE a><a/>", "</ceb:Message>", "\ud800", "<a>\x01</a>", 5]
)
def test_extension_that_is_no_xml_is_a_fault(written: object) -> None:
    document = payment()
    document["CEB411Message"]["ExtendMessage"] = {"name": "n", "version": "1", "Message": written}
    (fault,) = made(document).faults
    assert (fault.rule, fault.source) == ("not_markup", "/CEB411Message/ExtendMessage/Message")


def test_literal_is_of_trees() -> None:
    text = mappings()["sheet-411"].text.replace('source = "table"', 'source = "table"\nliteral = true')
    with pytest.raises(RulesError, match="literal goes with a tree"):
        compile_mapping(text.encode(), Path("mine.toml"), shipped())
