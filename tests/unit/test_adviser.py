"""Advice on declarations: by their own day, bounded, with values of persons hidden."""

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from gateway.advice.adviser import ADVICE_SHOWN, Adviser
from gateway.advice.declared import DeclaredFields, declared_in_plain, declared_in_tree
from gateway.advice.places import on_lines, on_lines_of_plain
from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import RulesError
from gateway.model import Actor, Advice, MessageType, Severity
from gateway.rules.explain import path_of
from gateway.rules.loading import RULES
from gateway.rules.rulebook import load_rulebook
from gateway.submission.plain import read_plain
from gateway.xml.decode import parse
from tests.advice_documents import MOMENT, document, second, sound
from tests.shipped_rules import shipped
from tests.unit.test_rulebook import RULE

ORDER = shipped().catalogue.types["CEB311Message"]
LIST = shipped().catalogue.types["CEB621Message"]
RECEIVED = "20260601080100"
NOTE = re.compile(rb"<(ceb:)note>[^<]*</ceb:note>")


def adviser(folder: Path, text: str) -> Adviser:
    (folder / "own.toml").write_text(text, encoding="utf-8")
    book = load_rulebook(RULES / "mappings" / "rules.toml", shipped().catalogue, folder)
    return Adviser(book, shipped().tables, shipped().schemas)


def shipped_adviser() -> Adviser:
    return Adviser(shipped().rulebook, shipped().tables, shipped().schemas)


def order(**head: str) -> DeclaredFields:
    made = sound(ORDER, random.Random(1), items=2, full=True)
    made.head.update(head)
    return made


def test_a_dated_rule_is_judged_by_the_declarations_own_time(tmp_path: Path) -> None:
    rules = adviser(
        tmp_path, RULE.replace("> 0", "> 9999") + "from = 2026-06-01T08:00:00\nuntil = 2026-06-01T09:00:00\n"
    )
    times = {"20260601075959": 0, "20260601080000": 1, "20260601090000": 1, "20260601090001": 0}
    for time, wanted in times.items():
        found = rules.advise(ORDER, [order(appTime=time)], "20260601093000")
        assert [one.rule for one in found] == ["own-rule"] * wanted, time


def test_without_a_time_of_its_own_the_receipt_counts(tmp_path: Path) -> None:
    rules = adviser(tmp_path, RULE.replace("> 0", "> 9999") + "from = 2026-06-01\n")
    one = order()
    del one.head["appTime"]
    assert [each.rule for each in rules.advise(ORDER, [one], RECEIVED)] == ["own-rule"]
    assert rules.advise(ORDER, [one], "20260531235959") == ()


def test_advice_names_the_place_and_who_has_to_act() -> None:
    one = order()
    one.items[1]["totalPrice"] = "1.00"
    del one.head["goodsValue"]
    (found,) = shipped_adviser().advise(ORDER, [order(), one], RECEIVED)
    assert found.path == "/CEB311Message/Order[2]/OrderList[2]/totalPrice"
    assert (found.element, found.value, found.name_zh, found.who) == (
        "totalPrice",
        "1.00",
        "总价",
        Actor.PLATFORM,
    )


def test_texts_show_values_in_both_languages() -> None:
    (found,) = shipped_adviser().advise(ORDER, [order(acturalPaid="1.00")], RECEIVED)
    assert "1.00" in found.message
    assert "1.00" in found.message_zh
    assert "{" not in found.message + found.message_zh + found.fix + found.fix_zh


def test_values_of_persons_are_hidden_in_values_and_texts(tmp_path: Path) -> None:
    text = RULE.replace('at = "acturalPaid"', 'at = "buyerIdNumber"').replace(
        "acturalPaid > 0", "starts(this, 'Z')"
    )
    text = text.replace('en = "e"', 'en = "{this} {buyerName} {start}"')
    rules = adviser(tmp_path, text + 'shows = { start = "part(buyerIdNumber, 1, 6)" }\n')
    one = order(buyerName="无名氏")
    (found,) = rules.advise(ORDER, [one], RECEIVED)
    assert found.value == "*" * 18
    assert found.message == f"{'*' * 18} *** ******"


def test_advice_on_one_message_is_bounded() -> None:
    one = order()
    for item in one.items:
        item["unit"] = "999"
    assert len(shipped_adviser().advise(ORDER, [one] * 100, RECEIVED)) == ADVICE_SHOWN


def test_a_rule_sleeps_without_its_table() -> None:
    one = sound(LIST, random.Random(1), items=1, full=True)
    one.items[0]["gcode"] = "1999999999"
    assert shipped_adviser().advise(LIST, [one], RECEIVED) == ()


def test_a_value_that_passed_once_is_judged_again_when_another_field_differs() -> None:
    rules = shipped_adviser()
    assert rules.advise(ORDER, [order()], RECEIVED) == ()
    for _ in range(2):
        (found,) = rules.advise(ORDER, [order(orderType="E")], RECEIVED)
        assert found.rule == "order-type-import"
    assert rules.advise(ORDER, [order()], RECEIVED) == ()


@pytest.mark.parametrize(
    ("key", "old", "new", "what"),
    [
        ("holds", "acturalPaid > 0", "acturalPayd > 0", "acturalPaid is meant?"),
        ("holds", "acturalPaid > 0", "acturalPaid >", "column 14"),
        ("holds", "acturalPaid > 0", "qty > 0", "no field qty"),
        ("zh", 'zh = "中"', 'zh = "{nowhere}"', "no field nowhere"),
        ("at", 'at = "acturalPaid"', 'at = "invtNo"', "CEB311Message has no field invtNo"),
        ("shows.x", 'zh = "中"', 'zh = "中"\nshows = { x = "1 +" }', "the end"),
    ],
)
def test_a_mistake_in_an_expression_names_rule_key_and_column(
    tmp_path: Path, key: str, old: str, new: str, what: str
) -> None:
    rules = adviser(tmp_path, RULE.replace(old, new))
    (found,) = rules.mistakes(shipped().catalogue.declarations())
    assert what in found.what
    assert found.where.endswith(f"[own-rule], key {key}")
    with pytest.raises(RulesError):
        rules.check(shipped().catalogue.declarations())


@pytest.mark.parametrize("kind", shipped().catalogue.declarations(), ids=lambda kind: kind.name)
@pytest.mark.parametrize("spaced", [False, True])
def test_both_readings_of_a_document_give_the_same_fields(kind: MessageType, spaced: bool) -> None:
    rng = random.Random(kind.name)
    made = [sound(kind, rng, full=spaced) for _ in range(3 if kind.name != "CEB711Message" else 1)]
    body = document(kind, made)
    if spaced:
        body = NOTE.sub(rb"<\1note>  </\1note>", body).replace(b"><", b">\n  <")
        for one in made:
            for holder in (one.head, *one.items):
                holder.pop("note", None)
    for text in (body, body.replace(b"ceb:", b"").replace(b"xmlns:ceb", b"xmlns")):
        plain = read_plain(text, shipped().plain, LimitsConfig())
        assert plain is not None
        assert declared_in_plain(plain.form, plain.declarations) == made
    assert declared_in_tree(parse(body), kind) == made


def test_one_adviser_gives_the_same_advice_whatever_it_judged_before() -> None:
    rng = random.Random(7)
    documents = [sound(ORDER, rng) for _ in range(200)]
    for one in documents[::3]:
        one.head["ebcCode"] = "bad"
    used = shipped_adviser()

    def judged(by: Adviser, one: DeclaredFields) -> tuple[Advice, ...]:
        return by.advise(ORDER, [one], second(MOMENT))

    fresh = [judged(shipped_adviser(), one) for one in documents[:12]]
    assert [judged(used, one) for one in documents][:12] == fresh
    assert [judged(used, replace(one)) for one in documents[:12]] == fresh


@pytest.mark.parametrize("name", ["CEB311Message", "CEB621Message", "CEB511Message"])
def test_places_in_plain_form_are_those_in_the_tree(name: str) -> None:
    kind = shipped().catalogue.types[name]
    rng = random.Random(name)
    made = [sound(kind, rng, items=3, full=True) for _ in range(2)]
    made[0].head.pop("note", None)  # its items have one
    body = document(kind, made).replace(b"><", b">\r\n  <")
    plain = read_plain(body, shipped().plain, LimitsConfig())
    assert plain is not None
    template = Advice(
        rule="r", severity=Severity.HINT, path="", element="", who=Actor.NOBODY, message="", message_zh="", fix="",
        fix_zh="", grade="U", source="",
    )  # fmt: skip
    asked = [
        structs.replace(template, path=path, declaration=int(path.split("[")[1].split("]")[0]))
        for element in parse(body).iter("*")
        if (path := path_of(element)).startswith(f"/{name}/{kind.body}[") and path.count("/") > 2
    ]
    holder = f"/{name}/{kind.body}[1]/{kind.head}"
    asked.append(structs.replace(template, path=f"{holder}/absent", declaration=1))
    asked.append(structs.replace(template, path=f"{holder}/note", declaration=1))
    assert len(asked) > 20
    found = on_lines_of_plain(asked, plain.form, plain.declarations)
    assert found == on_lines(asked, body, parse(body))
    assert all(one.line and one.column == 3 for one in found)
