"""Owners that share numbers, orders, agents and DXP ids: an answer never reaches a wrong one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs

from gateway.config.local_receivers import local_receivers_of
from gateway.identity import SHORTEST_KEY, handles, identity
from gateway.model import Answer, Declaration, Enterprise, EnterpriseId, Layer
from gateway.receipts.correlate import learned, lookups, match, match_all
from gateway.receipts.ownership import Candidate, Match, Question, Unmatched, correlate
from gateway.rules.catalogue import Catalogue
from tests.shipped_rules import shipped

FEW = st.sampled_from(["1", "2"])
OWNERS = ("one", "two", "three")
SHARED = "DXP-shared"
HOMES = local_receivers_of(
    [
        Enterprise(
            id=EnterpriseId(name),
            name=name,
            cop_codes=frozenset({name}),
            dxp_ids=frozenset({f"DXP-{name}", SHARED}),
        )
        for name in OWNERS
    ]
)
ADDRESSES = st.sampled_from(["its own", "the node's", "none"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    owner: EnterpriseId
    declaration: Declaration
    dxp_id: str
    pre_no: str
    invt_no: str
    """Given by customs, therefore unlike all others."""

    @property
    def claims(self) -> set[str]:
        """The numbers by which it is looked up although customs has not said them."""
        keyless = len(self.declaration.key) < SHORTEST_KEY
        return {f"{name}={text}" for name, text in self.declaration.numbers.items()} if keyless else set()


@cache
def catalogue() -> Catalogue:
    return shipped().catalogue


@st.composite
def worlds(draw: st.DrawFn) -> list[Owned]:
    """Up to six inventories that the door lets in; what enterprises choose collides, some claim others' numbers.

    Whoever shares a DXP id declares there with its own agentCode; at its own DXP id with any that is nobody's.
    """
    made = []
    for number in range(draw(st.integers(1, 6))):
        owner = draw(st.sampled_from(OWNERS))
        shared = draw(st.booleans())
        keyless = not shared and draw(st.integers(0, 3)) == 0
        key = {"agentCode": owner if shared else draw(st.sampled_from([owner, "free"])), "copNo": draw(FEW)}
        declaration = Declaration(
            message_type="CEB621Message",
            key={"agentCode": key["agentCode"]} if keyless else key,
            codes={"ebcCode": draw(st.sampled_from(["1", "2", *OWNERS])), "orderNo": draw(FEW)},
            numbers={"invtNo": f"I{draw(st.integers(0, 5))}"} if draw(st.booleans()) or keyless else {},
        )
        made.append(
            Owned(
                owner=EnterpriseId(owner),
                declaration=declaration,
                dxp_id=SHARED if shared else f"DXP-{owner}",
                pre_no=f"B{number}",
                invt_no=f"I{number}",
            )
        )
    return made


def asked(owned: Owned, answer: Answer, address: str) -> Question:
    """Send an answer where customs may send it: to the declaration's DXP id, to the node's, or in no envelope."""
    receivers = {"its own": (owned.dxp_id,), "the node's": ("DXPNODE",), "none": ()}[address]
    return Question(answer, receivers)


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
                claimed=text not in taught.get(ref, ()) and text.partition(" ")[2] in owned.claims,
            )
            for text in texts
            if text in known
        ]
    return result


def same(one: Owned, other: Owned) -> bool:
    return (one.owner, identity(one.declaration)) == (other.owner, identity(other.declaration))


@given(worlds(), st.data())
def test_an_answer_reaches_its_owner_or_nobody_and_always_with_its_whole_key_at_its_address(
    world: list[Owned], data: st.DataObject
) -> None:
    taught: dict[int, set[str]] = {}
    for _ in range(data.draw(st.integers(1, 8))):
        ref = data.draw(st.integers(0, len(world) - 1))
        said = data.draw(st.frozensets(st.sampled_from(["agentCode", "ebcCode", "orderNo"])))
        tax, address = data.draw(st.booleans()), data.draw(ADDRESSES)
        answer = answer_to(world[ref], said if tax else said | {"copNo"}, tax=tax)
        question = asked(world[ref], answer, address)
        result = correlate(question, found(world, lookups(answer, catalogue()), taught), HOMES)
        whole = answer.key.keys() == {"agentCode", "copNo"} and len(world[ref].declaration.key) == 2
        if isinstance(result, Match):
            assert {world[one.ref].owner for one in result.candidates} == {world[ref].owner}
            assert not whole or any(same(world[one.ref], world[ref]) for one in result.candidates)
            for one in result.candidates:
                taught.setdefault(one.ref, set()).update(learned(answer, one.message_type))
        else:
            assert not whole or address != "its own"


@given(worlds(), st.data())
def test_what_strangers_declare_takes_no_answer_away_that_says_its_whole_key(
    world: list[Owned], data: st.DataObject
) -> None:
    ref = data.draw(st.integers(0, len(world) - 1))
    mine = world[ref]
    assume(len(mine.declaration.key) == 2 and mine.declaration.key["agentCode"] == mine.owner)
    answer = answer_to(mine, frozenset({"agentCode", "copNo", "ebcCode"}), tax=False)
    question = asked(mine, answer, data.draw(ADDRESSES))
    result = correlate(question, found(world, lookups(answer, catalogue()), {}), HOMES)
    assert isinstance(result, Match)
    assert all(same(world[one.ref], mine) for one in result.candidates)


@given(worlds(), st.data())
def test_an_answer_kept_is_never_given_to_who_declares_something_because_of_it(
    world: list[Owned], data: st.DataObject
) -> None:
    ref = data.draw(st.integers(0, len(world) - 1))
    mine = world[ref]
    others = [replace(one, dxp_id=SHARED) for one in world if one.owner != mine.owner]
    said = data.draw(st.frozensets(st.sampled_from(["agentCode", "ebcCode", "orderNo"])))
    answer = answer_to(mine, said | {"copNo"}, tax=data.draw(st.booleans()))
    assume(answer.key.get("agentCode") != "free")
    question = structs.replace(asked(mine, answer, data.draw(ADDRESSES)), late=True)
    result = correlate(question, found(others, lookups(answer, catalogue()), {}), HOMES)
    assert isinstance(result, Unmatched)


@given(worlds(), st.data())
def test_looking_up_what_is_weaker_only_when_needed_finds_the_same(
    world: list[Owned], data: st.DataObject
) -> None:
    taught: dict[int, set[str]] = {}
    for _ in range(data.draw(st.integers(1, 8))):
        ref = data.draw(st.integers(0, len(world) - 1))
        said = data.draw(st.frozensets(st.sampled_from(["agentCode", "ebcCode", "orderNo", "copNo"])))
        answer = answer_to(world[ref], said, tax=data.draw(st.booleans()))
        question = asked(world[ref], answer, data.draw(ADDRESSES))
        everything = found(world, lookups(answer, catalogue()), taught)
        result = correlate(question, everything, HOMES)
        assert match(question, catalogue(), lambda texts: found(world, texts, taught), HOMES) == result
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
        answer = answer_to(owned, said, tax=data.draw(st.booleans()))
        questions.append(asked(owned, answer, data.draw(ADDRESSES)))

    def find(texts: Sequence[str]) -> list[Candidate]:
        return found(world, texts, taught)

    together = match_all(questions, catalogue(), find, HOMES)
    assert together == [match(one, catalogue(), find, HOMES) for one in questions]


@given(worlds(), st.data())
def test_the_order_of_candidates_does_not_matter(world: list[Owned], data: st.DataObject) -> None:
    ref = data.draw(st.integers(0, len(world) - 1))
    said = data.draw(st.frozensets(st.sampled_from(["agentCode", "ebcCode", "orderNo"])))
    answer = answer_to(world[ref], said | {"copNo"}, tax=False)
    question = asked(world[ref], answer, data.draw(ADDRESSES))
    candidates = found(world, lookups(answer, catalogue()), {})
    results: list[set[int] | Unmatched] = []
    for order in (candidates, data.draw(st.permutations(candidates))):
        match correlate(question, order, HOMES):
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
