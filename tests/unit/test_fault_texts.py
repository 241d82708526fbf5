"""Every fault can be told in both languages: each text of the tables, and each fault made elsewhere."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from gateway.model import Fault
from gateway.rules import texts
from gateway.rules.fault_texts import FaultPlace, fault
from gateway.rules.fields import customs_code, time_form
from gateway.rules.texts import Bilingual, fault_of, phrase, rules_of_group
from tests.two_languages import CHINESE, reads_chinese

GATEWAY = Path(texts.__file__).resolve().parents[1]
FOLDER = GATEWAY / "rules" / "texts"
IN_ONE_LANGUAGE = {"line", "column", "reason", "advice", "name", "label", "kind", "title"}
"""Words that may be in one text only: places, which the fault has beside it, names of fields, and words of errors in English."""
MAKERS = {"Fault", "SourceFault"}


def flat(table: dict[str, object], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = str(value)
    return found


def table(language: str) -> dict[str, str]:
    return flat(tomllib.loads((FOLDER / f"{language}.toml").read_text("utf-8")))


def words_in(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_texts() -> None:
    en, zh = table("en"), table("zh")
    assert list(en) == list(zh)
    assert len(en) > 150


@pytest.mark.parametrize("name", table("en"))
def test_text_reads_in_its_language_and_fills_in_the_same_words(name: str) -> None:
    en, zh = table("en")[name], table("zh")[name]
    assert not CHINESE.search(en)
    assert reads_chinese(zh)
    assert words_in(en) ^ words_in(zh) <= IN_ONE_LANGUAGE
    assert "  " not in en + zh


def test_key_of_a_text_names_its_rule() -> None:
    told = fault_of("xml.not_xml.end_tag", line=3, column=7)
    assert (told.rule, told.line, told.column) == ("not_xml", 3, 7)
    assert told.message == "an end tag does not match its start tag (line 3, column 7)"
    assert told.message_zh == "结束标签与开始标签不匹配（第3行第7列）"
    assert "misspelt" in rules_of_group("schema")


def test_phrase_differs_between_the_languages() -> None:
    assert phrase("after", name="gnum") == Bilingual(en="after gnum", zh="gnum之后")


def test_unknown_text_is_an_error() -> None:
    with pytest.raises(KeyError):
        fault_of("schema.unheard_of")


def test_words_of_a_document_are_not_read_as_a_text() -> None:
    place = FaultPlace(path="/a", element="{name}", name_zh="")
    assert fault("missing", place, None, position=phrase("first", name="{x}")).message.startswith("{name} is")


def made_in_code() -> Iterator[tuple[str, ast.Call]]:
    for file in sorted(GATEWAY.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS:
                yield f"{file.relative_to(GATEWAY)}:{node.lineno}", node


def written(node: ast.expr) -> str | None:
    """Return a text as far as it is written there; None: it comes from elsewhere."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            if not any(isinstance(part, ast.Constant) and CHINESE.search(str(part.value)) for part in parts):
                return None
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)
        case _:
            return None


def test_every_fault_that_is_made_says_how_to_mend_it_in_both_languages() -> None:
    made = list(made_in_code())
    assert len(made) > 30
    bare = [place for place, call in made if not {"fix", "fix_zh"} <= {one.arg for one in call.keywords}]
    assert [place for place in bare if not place.startswith("mapping/faults.py")] == []  # told_of copies one
    wrong = [
        (place, text)
        for place, call in made
        for one in call.keywords
        if one.arg in {"message_zh", "fix_zh"} and (text := written(one.value)) is not None
        if not reads_chinese(text)
    ]
    assert wrong == []


def test_fault_cannot_be_made_without_its_texts() -> None:
    with pytest.raises(TypeError, match="fix_zh"):
        Fault(rule="x", message="m", message_zh="文", fix="f")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("element", "limit", "form", "example"),
    [
        ("appTime", 14, "YYYYMMDDhhmmss", "20241111080000"),
        ("declTime", 8, "YYYYMMDD", "20241111"),
        ("returnTime", 17, "YYYYMMDDhhmmssSSS", "20241111080000000"),
    ],
)
def test_wrong_length_of_a_time_names_its_form(element: str, limit: int, form: str, example: str) -> None:
    place = FaultPlace(path="/a", element=element, name_zh="时间")
    told = fault("wrong_length", place, None, length=3, limit=limit)
    assert told.rule == "wrong_length"
    for text in (told.fix, told.fix_zh):
        assert form in text
        assert example in text
    assert len(example) == len(form) == limit


def test_other_lengths_are_no_time() -> None:
    assert time_form("appTime", 15) is None
    assert time_form("guid", 14) is None


@pytest.mark.parametrize(
    ("rule", "path", "code"),
    [
        ("too_many", "/CEB621Message/Inventory[101]", "-621030"),
        ("too_many", "/CEB311Message/Order[101]", "-301015"),
        ("too_many", "/CEB621Message/Inventory[1]/InventoryHead/orderNo[2]", ""),
        ("missing", "/CEB621Message/Signature", "-621026"),
        ("missing", "/CEB623Message/Signature", ""),
        ("too_short", "/DxpMsg/TransInfo/CopMsgId", "0002"),
        ("too_short", "/CEB311Message/Order[1]/OrderHead/orderNo", ""),
        ("size", "", ""),
    ],
)
def test_code_of_customs_is_given_where_it_is_known(rule: str, path: str, code: str) -> None:
    assert customs_code(rule, path) == code
