"""Owners that share numbers, orders, agents and DXP ids: an answer never reaches a wrong one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.catalogue import Catalogue
from gateway.model import Answer, Declaration, EnterpriseId, Layer
from gateway.rules import load_rules
from gateway.stages.correlate import (
    Candidate,
    Match,
    Question,
    Unmatched,
    correlate,
    handles,
    identity,
    learned,
    lookups,
    match,
    match_all,
)

FEW = st.sampled_from(["1", "2"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    owner: EnterpriseId
    declaration: Declaration
    dxp_id: str
    pre_no: str
    invt_no: str
    """Given by customs, therefore unlike all others."""


@cache
def catalogue() -> Catalogue:
    return load_rules().catalogue


@st.composite
def worlds(draw: st.DrawFn) -> list[Owned]:
    """Up to six inventories; what enterprises choose collides, some claim others' numbers."""
    made = []
    for number in range(draw(st.integers(1, 6))):
        keyless = draw(st.integers(0, 3)) == 0
        key = {"agentCode": draw(FEW), "copNo": draw(FEW)}
        declaration = Declaration(
            message_type="CEB621Message",
            key={"agentCode": key["agentCode"]} if keyless else key,
            codes={"ebcCode": draw(FEW), "orderNo": draw(FEW)},
            numbers={"invtNo": f"I{draw(st.integers(0, 5))}"} if draw(st.booleans()) or keyless else {},
        )
        owner = draw(st.sampled_from(["one", "two", "three"]))
        made.append(
            Owned(
                owner=EnterpriseId(owner),
                declaration=declaration,
                dxp_id=f"DXP-{owner}" if keyless else draw(st.sampled_from([f"DXP-{owner}", "DXP-shared"])),
                pre_no=f"B{number}",
                invt_no=f"I{number}",
            )
        )
    return made


def answer_to(owned: Owned, said: frozenset[str], *, tax: bool) -> Answer:
    """Write what customs would answer, with only those optional fields that are in `said`."""
    everything = {"copNo": "made up by customs", **owned.declaration.key, **owned.declaration.codes}
    fields = {name: value for name, value in everything.items() if name in said}
    numbers = {"invtNo": owned.invt_no} if tax else {"preNo": owned.pre_no, "invtNo": owned.invt_no}
    key_names = () if tax else ("agentCode", "copNo")
    return Answer(
        layer=Layer.BUSINESS,
        message_type="CEB816Message" if tax else "CEB622Message",
        index=0,
        status="2",
        info="",
        time="20250102030405678",
        key={name: fields[name] for name in key_names if name in fields},
        numbers=numbers,
        codes={name: value for name, value in fields.items() if name not in key_names},
    )


def found(world: list[Owned], texts: Sequence[str], taught: dict[int, set[str]]) -> list[Candidate]:
    """Do what the spool's index does."""
    kind = catalogue().types["CEB621Message"]
    result = []
    for ref, owned in enumerate(world):
        known = {identity(owned.declaration), *handles(owned.declaration, kind), *taught.get(ref, ())}
        result += [
            Candidate(
                ref=ref,
                owner=owned.owner,
                message_type="CEB621Message",
                found_by=text,
                key=owned.declaration.key,
                codes=owned.declaration.codes,
                dxp_id=owned.dxp_id,
            )
            for text in texts
            if text in known
        ]
    return result


def same(one: Owned, other: Owned) -> bool:
    return (one.owner, identity(one.declaration)) == (other.owner, identity(other.declaration))


@given(worlds(), st.data())
def test_an_answer_reaches_its_owner_or_nobody_and_the_right_declaration_where_it_has_a_key(
    world: list[Owned], data: st.DataObject
) -> None:
    taught: dict[int, set[str]] = {}
    for _ in range(data.draw(st.integers(1, 8))):
        ref = data.draw(st.integers(0, len(world) - 1))
        said = data.draw(st.frozensets(st.sampled_from(["agentCode", "ebcCode", "orderNo"])))
        tax = data.draw(st.booleans())
        answer = answer_to(world[ref], said if tax else said | {"copNo"}, tax=tax)
        texts = lookups(answer, catalogue())
        match correlate(answer, found(world, texts, taught), {world[ref].dxp_id}):
            case Match(candidates=matched):
                assert all(world[one.ref].owner == world[ref].owner for one in matched)
                assert all(same(world[one.ref], world[ref]) for one in matched if len(one.key) > 1)
                for one in matched:
                    taught.setdefault(one.ref, set()).update(learned(answer, one.message_type))
            case _:
                pass


@given(worlds(), st.data())
def test_a_whole_key_with_its_codes_is_enough_when_owners_have_their_own_dxp_id(
    world: list[Owned], data: st.DataObject
) -> None:
    world = [replace(owned, dxp_id=f"DXP-{owned.owner}") for owned in world if len(owned.declaration.key) > 1]
    assume(world)
    ref = data.draw(st.integers(0, len(world) - 1))
    answer = answer_to(world[ref], frozenset({"agentCode", "copNo"}), tax=False)
    result = correlate(answer, found(world, lookups(answer, catalogue()), {}), {world[ref].dxp_id})
    assert isinstance(result, Match)
    assert {world[one.ref].owner for one in result.candidates} == {world[ref].owner}


@given(worlds(), st.data())
def test_looking_up_what_is_weaker_only_when_needed_finds_the_same(
    world: list[Owned], data: st.DataObject
) -> None:
    taught: dict[int, set[str]] = {}
    for _ in range(data.draw(st.integers(1, 8))):
        ref = data.draw(st.integers(0, len(world) - 1))
        said = data.draw(st.frozensets(st.sampled_from(["agentCode", "ebcCode", "orderNo", "copNo"])))
        answer = answer_to(world[ref], said, tax=data.draw(st.booleans()))
        everything = found(world, lookups(answer, catalogue()), taught)
        result = correlate(answer, everything, {world[ref].dxp_id})
        lazily = match(answer, catalogue(), {world[ref].dxp_id}, lambda texts: found(world, texts, taught))
        assert lazily == result
        if isinstance(result, Match):
            for one in result.candidates:
                taught.setdefault(one.ref, set()).update(learned(answer, one.message_type))


@given(worlds(), st.data())
def test_answers_that_are_looked_up_together_find_what_each_finds_alone(
    world: list[Owned], data: st.DataObject
) -> None:
    taught: dict[int, set[str]] = {
        ref: {f"CEB621Message invtNo={owned.invt_no}"} for ref, owned in enumerate(world)
    }
    questions = []
    for _ in range(data.draw(st.integers(0, 8))):
        owned = data.draw(st.sampled_from(world))
        said = data.draw(st.frozensets(st.sampled_from(["agentCode", "ebcCode", "orderNo", "copNo"])))
        questions.append(Question(answer_to(owned, said, tax=data.draw(st.booleans())), {owned.dxp_id}))

    def find(texts: Sequence[str]) -> list[Candidate]:
        return found(world, texts, taught)

    together = match_all(questions, catalogue(), find)
    assert together == [match(one.answer, catalogue(), one.receiver_ids, find) for one in questions]


@given(worlds(), st.data())
def test_the_order_of_candidates_does_not_matter(world: list[Owned], data: st.DataObject) -> None:
    ref = data.draw(st.integers(0, len(world) - 1))
    said = data.draw(st.frozensets(st.sampled_from(["agentCode", "ebcCode", "orderNo"])))
    answer = answer_to(world[ref], said | {"copNo"}, tax=False)
    candidates = found(world, lookups(answer, catalogue()), {})
    results: list[set[int] | Unmatched] = []
    for order in (candidates, data.draw(st.permutations(candidates))):
        match correlate(answer, order, {world[ref].dxp_id}):
            case Match(candidates=matched):
                results.append({one.ref for one in matched})
            case unmatched:
                results.append(unmatched)
    assert results[0] == results[1]


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), min_size=2, max_size=2, unique=True))
def test_different_keys_never_have_one_identity(keys: list[tuple[str, str]]) -> None:
    first, second = (
        identity(Declaration(message_type="CEB621Message", key={"agentCode": agent, "copNo": cop}))
        for agent, cop in keys
    )
    assert first != second
    assert len(first.split(" ")) == 3
