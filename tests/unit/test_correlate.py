from collections.abc import Collection, Mapping, Sequence

import pytest
from msgspec.structs import replace

from gateway.config.local_receivers import NOBODY, LocalReceivers
from gateway.identity import handles, identity
from gateway.model import Answer, Declaration, EnterpriseId, Layer
from gateway.receipts.correlate import learned, lookups
from gateway.receipts.opened import open_collected
from gateway.receipts.ownership import MOST, Candidate, Match, Question, Unmatched, correlate
from gateway.rules.catalogue import Catalogue
from tests.documents import document, element, receipt, tax
from tests.shipped_rules import shipped

KEY = {"agentCode": "A1", "copNo": "C1"}
EXACT = "CEB621Message agentCode=A1 copNo=C1"
HANDLE = "CEB621Message copNo=C1"
NUMBER = "CEB621Message invtNo=I1"
ONE = EnterpriseId("one")
TWO = EnterpriseId("two")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return shipped().catalogue


def inventory_answer(catalogue: Catalogue, **fields: str) -> Answer:
    return open_collected(receipt("CEB622Message", fields), catalogue).answers[0]


def candidate(
    ref: int,
    owner: EnterpriseId = ONE,
    *,
    found_by: str = EXACT,
    key: Mapping[str, str] = KEY,
    codes: Mapping[str, str] | None = None,
    dxp_id: str = "DXP1",
    claimed: bool = False,
) -> Candidate:
    return Candidate(
        ref=ref,
        owner=owner,
        message_type="CEB621Message",
        found_by=found_by,
        key=key,
        codes=codes or {},
        dxp_id=dxp_id,
        claimed=claimed,
    )


def refs(result: Match | Unmatched) -> list[int]:
    assert isinstance(result, Match)
    return [one.ref for one in result.candidates]


def among(
    answer: Answer,
    candidates: Sequence[Candidate],
    receivers: Collection[str],
    local_receivers: LocalReceivers = NOBODY,
    *,
    late: bool = False,
) -> Match | Unmatched:
    return correlate(Question(answer, receivers, late=late), candidates, local_receivers)


def declared(**parts: Mapping[str, str]) -> Declaration:
    return Declaration(message_type="CEB621Message", key=parts.pop("key"), **parts)  # type: ignore[arg-type]


def test_identity_is_the_type_and_the_key() -> None:
    assert identity(declared(key=KEY, numbers={"preNo": "B1"})) == EXACT


def test_values_are_escaped_so_that_no_two_keys_look_alike() -> None:
    odd = declared(key={"agentCode": "A 1", "copNo": "x=1%\t3"})
    assert identity(odd) == "CEB621Message agentCode=A%201 copNo=x%3D1%25%093"
    assert (
        identity(declared(key={"agentCode": "甲-1", "copNo": "_"})) == "CEB621Message agentCode=甲-1 copNo=_"
    )


def test_half_a_key_is_told_apart_by_the_numbers() -> None:
    half = declared(key={"agentCode": "A1"}, numbers={"preNo": "B1"})
    assert identity(half) == "CEB621Message agentCode=A1 preNo=B1"


def test_handle_of_a_declaration_is_the_field_every_receipt_repeats(catalogue: Catalogue) -> None:
    kind = catalogue.types["CEB621Message"]
    assert handles(declared(key=KEY), kind) == (HANDLE,)
    assert handles(declared(key={"agentCode": "A1"}), kind) == ()


def test_numbers_declared_count_only_where_there_is_no_key_to_go_by(catalogue: Catalogue) -> None:
    numbers = {"preNo": "B1", "invtNo": "I1"}
    assert handles(declared(key=KEY, numbers=numbers), catalogue.types["CEB621Message"]) == (HANDLE,)
    keyless = declared(key={"agentCode": "A1"}, numbers=numbers)
    assert handles(keyless, catalogue.types["CEB621Message"]) == ("CEB621Message preNo=B1", NUMBER)
    export = Declaration(message_type="CEB603Message", key=KEY, numbers=numbers)
    assert handles(export, catalogue.types["CEB603Message"]) == ()


def test_a_number_only_claimed_matches_only_at_its_own_address(catalogue: Catalogue) -> None:
    (answer,) = open_collected(tax(invtNo="I1"), catalogue).answers
    claimed = candidate(1, found_by=NUMBER, key={"agentCode": "A1"}, claimed=True)
    assert refs(among(answer, [claimed], {"DXP1"})) == [1]
    assert among(answer, [claimed], {"DXP2"}) == Unmatched(reason="unknown")
    assert refs(among(answer, [claimed, candidate(2, TWO, found_by=NUMBER)], {"DXP2"})) == [2]


def test_lookups_are_strongest_first(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, agentCode="A1", copNo="C1", preNo="B1", invtNo="I1")
    assert lookups(answer, catalogue) == (EXACT, HANDLE, "CEB621Message preNo=B1", NUMBER)


def test_without_the_optional_codes_the_handle_leads(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, copNo="C1", preNo="B1")
    assert lookups(answer, catalogue) == (HANDLE, "CEB621Message preNo=B1")


def test_tax_bill_is_looked_up_by_invt_no_only(catalogue: Catalogue) -> None:
    for name in ("CEB816Message", "CEB818Message"):
        (answer,) = open_collected(tax(name, invtNo="I1"), catalogue).answers
        assert lookups(answer, catalogue) == (NUMBER,)


def test_summary_result_is_looked_up_by_sum_no(catalogue: Catalogue) -> None:
    body = element("SummaryResult", element("SummaryResultHead", sumNo="S1", agentCode="A1"))
    (answer,) = open_collected(document("CEB792Message", body), catalogue).answers
    assert lookups(answer, catalogue) == ("CEB701Message sumNo=S1",)


def test_answers_about_the_envelope_are_not_looked_up_by_key(catalogue: Catalogue) -> None:
    (answer,) = open_collected(receipt("CEB900Message", {"oriCopMsgId": "M1"}), catalogue).answers
    assert answer.layer is Layer.FORMAT
    assert lookups(answer, catalogue) == ()


def test_unknown_receipts_are_not_looked_up(catalogue: Catalogue) -> None:
    (answer,) = open_collected(document("CEB998Message", element("X", copNo="C1")), catalogue).answers
    assert lookups(answer, catalogue) == ()


def test_import_and_export_are_separate_name_spaces(catalogue: Catalogue) -> None:
    fields = {"ebpCode": "P", "ebcCode": "E", "orderNo": "O"}
    texts = {
        name: lookups(open_collected(receipt(name, fields), catalogue).answers[0], catalogue)
        for name in ("CEB312Message", "CEB304Message")
    }
    assert texts["CEB312Message"] == ("CEB311Message ebpCode=P ebcCode=E orderNo=O",)
    assert texts["CEB304Message"] == ("CEB303Message ebpCode=P ebcCode=E orderNo=O",)


def test_every_receipt_that_repeats_its_key_is_looked_up_by_the_identity_declared(
    catalogue: Catalogue,
) -> None:
    looked_up = 0
    for kind in catalogue.receipts():
        for answered in catalogue.for_answer(kind.name):
            if kind.key and set(kind.key) == set(answered.key):
                looked_up += 1
                key = {name: f"{name}-1" for name in answered.key}
                (answer,) = open_collected(document(kind.name, element(kind.body, **key)), catalogue).answers
                assert identity(Declaration(message_type=answered.name, key=key)) in lookups(
                    answer, catalogue
                )
    assert looked_up > 15, "nearly all of them do"


def test_numbers_are_learned_for_the_type_declared(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, copNo="C1", preNo="B1", invtNo="I1")
    assert learned(answer, "CEB621Message") == ("CEB621Message preNo=B1", NUMBER)


def test_all_submissions_of_one_declaration_match(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, **KEY)
    assert refs(among(answer, [candidate(1), candidate(2)], {"DXP1"})) == [1, 2]


def test_no_candidate_is_unknown(catalogue: Catalogue) -> None:
    assert among(inventory_answer(catalogue, **KEY), [], {"DXP1"}) == Unmatched(reason="unknown")


def test_a_whole_key_goes_before_a_handle_and_a_handle_before_a_number(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, **KEY, invtNo="I1")
    exact = candidate(1, found_by=EXACT)
    handle = candidate(2, TWO, found_by=HANDLE, key={"copNo": "C1"})
    number = candidate(3, TWO, found_by=NUMBER)
    assert refs(among(answer, [number, handle, exact], ())) == [1]
    assert refs(among(answer, [number, handle], ())) == [2]
    assert refs(among(answer, [number], ())) == [3]


def test_a_candidate_that_contradicts_the_answer_is_out(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, copNo="C1", ebcCode="E1")
    wrong_code = candidate(1, ONE, found_by=HANDLE, codes={"ebcCode": "E2"})
    right = candidate(2, TWO, found_by=HANDLE, codes={"ebcCode": "E1"})
    assert refs(among(answer, [wrong_code, right], ())) == [2]
    assert among(answer, [wrong_code], {"DXP1"}) == Unmatched(reason="unknown")
    other_agent = candidate(3, TWO, found_by=NUMBER, key={"agentCode": "A2", "copNo": "C1"})
    assert among(inventory_answer(catalogue, **KEY, invtNo="I1"), [other_agent], ()) == Unmatched(
        reason="unknown"
    )


def test_the_address_on_the_envelope_decides_between_owners(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, copNo="C1")
    both = [candidate(1, ONE, found_by=HANDLE), candidate(2, TWO, found_by=HANDLE, dxp_id="DXP2")]
    assert refs(among(answer, both, {"DXP2"})) == [2]


@pytest.mark.parametrize("receivers", [(), ("DXP9",), ("DXP1", "DXP2")])
def test_between_owners_nobody_gets_what_nothing_decides(
    catalogue: Catalogue, receivers: tuple[str, ...]
) -> None:
    answer = inventory_answer(catalogue, copNo="C1")
    both = [candidate(1, ONE, found_by=HANDLE), candidate(2, TWO, found_by=HANDLE, dxp_id="DXP2")]
    assert among(answer, both, receivers) == Unmatched(reason="ambiguous")


def test_one_owner_gets_an_answer_for_all_of_its_declarations_that_fit(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, copNo="C1")
    other = candidate(2, found_by=HANDLE, key={"agentCode": "A2", "copNo": "C1"})
    assert refs(among(answer, [candidate(1, found_by=HANDLE), other], {"DXP1"})) == [1, 2]


def test_more_declarations_of_one_owner_than_an_answer_can_be_about_are_ambiguous(
    catalogue: Catalogue,
) -> None:
    answer = inventory_answer(catalogue, copNo="C1")
    many = [candidate(n, found_by=HANDLE, key={"agentCode": f"A{n}", "copNo": "C1"}) for n in range(MOST + 2)]
    assert refs(among(answer, many[:MOST], ())) == list(range(MOST))
    assert among(answer, many[: MOST + 1], ()) == Unmatched(reason="ambiguous")
    assert among(answer, many, ()) == Unmatched(reason="ambiguous")
    mine = candidate(9999, TWO, found_by=HANDLE, dxp_id="DXP2")
    assert refs(among(answer, [*many, mine], {"DXP2"}, HOMES)) == [9999], "others' are none of mine"


def local_receivers(**holders: tuple[EnterpriseId, ...]) -> LocalReceivers:
    return LocalReceivers(holders=holders, bound={"A1": frozenset({ONE}), "A2": frozenset({TWO})})


HOMES = local_receivers(DXP1=(ONE,), DXP2=(TWO,), SHARED=(ONE, TWO))


def test_an_address_of_ours_shuts_out_who_lives_elsewhere_also_when_it_is_the_only_one(
    catalogue: Catalogue,
) -> None:
    answer = inventory_answer(catalogue, **KEY)
    stranger = candidate(1)
    assert among(answer, [stranger], {"DXP2"}, HOMES) == Unmatched(reason="unknown")
    assert refs(among(answer, [stranger], {"DXP1", "DXP2"}, HOMES)) == [1]


@pytest.mark.parametrize("receivers", [(), ("DXPNODE",), ("DXPNODE", "DXPEDCCEB0000002")])
def test_an_address_of_nobody_here_says_nothing(catalogue: Catalogue, receivers: tuple[str, ...]) -> None:
    assert refs(among(inventory_answer(catalogue, **KEY), [candidate(1)], receivers, HOMES)) == [1]


def test_answers_go_to_the_sender_on_the_envelope_too(catalogue: Catalogue) -> None:
    declared = replace(candidate(1), sender="DXP2")
    assert refs(among(inventory_answer(catalogue, **KEY), [declared], {"DXP2"}, HOMES)) == [1]


def test_between_owners_of_one_address_goes_to_whom_the_code_is_bound(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, **KEY)
    both = [candidate(1, ONE, dxp_id="SHARED"), candidate(2, TWO, dxp_id="SHARED")]
    assert refs(among(answer, both, {"SHARED"}, HOMES)) == [1]


def test_a_whole_key_is_the_declaration_s_whatever_codes_the_answer_says(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, **KEY, ebcCode="E1")
    changed = candidate(1, codes={"ebcCode": "E2"})
    handle = candidate(2, TWO, found_by=HANDLE, key={"copNo": "C1"}, codes={"ebcCode": "E1"})
    assert refs(among(answer, [changed, handle], ())) == [1]


def test_between_owners_of_one_key_codes_decide_in_every_version(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, **KEY, ebcCode="E1")
    mine = [candidate(1, codes={"ebcCode": "E1"}), candidate(1, codes={"ebcCode": "E2"})]
    theirs = candidate(2, TWO, codes={"ebcCode": "E3"})
    assert refs(among(answer, [*mine, theirs], ())) == [1]


def test_an_earlier_version_fits_a_handle_as_well_as_the_newest(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, copNo="C1", ebcCode="E1")
    versions = [
        candidate(1, found_by=HANDLE, codes={"ebcCode": "E1"}),
        candidate(1, found_by=HANDLE, codes={"ebcCode": "E2"}),
    ]
    match = among(answer, versions, ())
    assert isinstance(match, Match)
    assert [one.codes for one in match.candidates] == [{"ebcCode": "E1"}]


def test_a_number_learned_decides_between_owners_of_one_handle(catalogue: Catalogue) -> None:
    answer = inventory_answer(catalogue, copNo="C1", invtNo="I1")
    both = [candidate(1, ONE, found_by=HANDLE), candidate(2, TWO, found_by=HANDLE)]
    assert among(answer, both, ()) == Unmatched(reason="ambiguous")
    assert refs(among(answer, [*both, candidate(2, TWO, found_by=NUMBER)], ())) == [2]
    claim = candidate(1, ONE, found_by=NUMBER, key={"agentCode": "A1"}, claimed=True)
    assert refs(among(answer, [*both, candidate(2, TWO, found_by=NUMBER), claim], {"DXP1"})) == [2]


def test_a_number_learned_goes_before_any_number_of_claims(catalogue: Catalogue) -> None:
    (answer,) = open_collected(tax(invtNo="I1"), catalogue).answers
    claims = [
        candidate(n, ONE, found_by=NUMBER, key={"agentCode": "A1"}, claimed=True) for n in range(MOST * 3)
    ]
    assert refs(among(answer, [*claims, candidate(9999, TWO, found_by=NUMBER)], {"DXP1"})) == [9999]


def test_what_was_nobody_s_is_not_given_to_who_declares_a_handle_later_among_strangers(
    catalogue: Catalogue,
) -> None:
    handle, key = inventory_answer(catalogue, copNo="C1"), inventory_answer(catalogue, **KEY)
    late = candidate(1, ONE, found_by=HANDLE, dxp_id="SHARED")
    assert refs(among(handle, [late], {"SHARED"}, HOMES)) == [1]
    assert among(handle, [late], {"SHARED"}, HOMES, late=True) == Unmatched(reason="unknown")
    assert refs(among(handle, [candidate(1, found_by=HANDLE)], {"DXP1"}, HOMES, late=True)) == [1]
    bound = candidate(1, ONE, dxp_id="SHARED")
    assert refs(among(key, [bound], {"SHARED"}, HOMES, late=True)) == [1], "the agentCode is bound to it"
    assert among(key, [candidate(1, TWO)], (), HOMES, late=True) == Unmatched(reason="unknown")
