"""On which advice a message is refused, how that reads as a fault, and what a misspelt wish is answered."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.advice.blocking import blocking, check_block_on, fault_of
from gateway.errors import ConfigError
from gateway.mapping.faults import SourceFault
from gateway.model import Actor, Advice, Enterprise, EnterpriseId, Fault, Severity
from tests.shipped_rules import shipped

ME = Enterprise(
    id=EnterpriseId("one"), name="One", cop_codes=frozenset({"1"}), dxp_ids=frozenset({"D"}), block_on=()
)


def advice(rule: str, severity: Severity, *, source_place: str = "") -> Advice:
    return Advice(
        rule=rule, severity=severity, path="/CEB311Message/Order[1]/OrderHead/freight", declaration=1, line=7,
        column=3, source_place=source_place, element="freight", name_zh="运杂费", value="9", who=Actor.PLATFORM,
        message="too much", message_zh="过大", fix="check it", fix_zh="请核对", grade="U", source="a test",
    )  # fmt: skip


ERROR, WARNING, HINT = (advice(one.value, one) for one in Severity)


@pytest.mark.parametrize(
    ("block_on", "names"),
    [
        ((), []),
        (("error",), ["error"]),
        (("warning",), ["error", "warning"]),
        (("hint",), ["error", "warning", "hint"]),
        (("rule:hint",), ["hint"]),
        (("rule:hint", "error"), ["error", "hint"]),
        (("rule:another",), []),
    ],
)
def test_a_severity_stands_for_the_graver_ones_and_a_rule_for_itself(
    block_on: tuple[str, ...], names: list[str]
) -> None:
    assert [one.rule for one in blocking((ERROR, WARNING, HINT), block_on)] == names


def test_a_fault_says_all_that_the_advice_says() -> None:
    assert fault_of(ERROR) == Fault(
        path=ERROR.path, line=7, column=3, element="freight", name_zh="运杂费", value="9", rule="error",
        message="too much", message_zh="过大", fix="check it", fix_zh=ERROR.fix_zh, code=ERROR.code,
    )  # fmt: skip


def test_a_fault_of_a_translated_document_has_its_place_in_the_source() -> None:
    fault = fault_of(advice("error", Severity.ERROR, source_place="row 3, column paid"))
    assert isinstance(fault, SourceFault)
    assert (fault.source, fault.line, fault.column) == ("row 3, column paid", 7, 3)


@pytest.mark.parametrize(
    ("entry", "what", "meant"),
    [
        ("eror", "'eror' is neither a severity nor a rule", '"error" is meant?'),
        ("order-paid-sum", "neither a severity nor a rule", '"rule:order-paid-sum" is meant?'),
        ("rule:order-payed-sum", "there is no rule 'order-payed-sum'", '"rule:order-paid-sum" is meant?'),
        ("rule:zzz", "there is no rule 'zzz'", 'write "error"'),
        ("", "neither a severity nor a rule", 'write "error"'),
    ],
)
def test_a_misspelt_entry_names_file_and_key_and_what_is_meant(entry: str, what: str, meant: str) -> None:
    rulebook = shipped().rulebook
    with pytest.raises(ConfigError) as caught:
        check_block_on([replace(ME, block_on=("error", entry))], rulebook, Path("enterprises"))
    error = caught.value
    assert what in error.what
    assert error.where == "enterprises/one.toml, block_on"
    assert error.fix.startswith(meant)


def test_right_entries_and_disabled_enterprises_are_no_mistakes() -> None:
    sound = replace(ME, block_on=("hint", "rule:order-paid-sum"))
    gone = replace(ME, block_on=("nonsense",), disabled=True)
    check_block_on([sound, gone], shipped().rulebook, Path("enterprises"))
