"""Two validators that share no code say the same of any document: ours, by libxml2, and xmlschema.

Judged is what customs judges (view `sendable`), so documents are signed where the schema demands it, and
mutations reach into the signature too.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from random import Random

import pytest
import xmlschema
from hypothesis import event, given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.model import Family, MessageType
from gateway.rules.schemas import Schemas, View, signature_base64_tags
from gateway.samples.compose import catalogue, compose
from gateway.submission.validate import validate
from signing.keys.files import FileSigner
from signing.xml.splice import sign
from tests.signing_documents import write_key

XSD = Path(__file__).resolve().parents[2] / "xsd" / "202205"
TYPES = {kind.name: kind for kind in catalogue().declarations()}
OVERLONG = "9" * 5000
VALUES = (
    "",
    " ",
    "x",
    "0",
    "-1",
    "1.23456",
    "20250101",
    "20251301",
    "99999999999999999999",
    "汉字",
    OVERLONG,
)

Mutation = Callable[[etree._Element, Random], None]


def drop(node: etree._Element, random: Random) -> None:
    parent(node).remove(node)


def duplicate(node: etree._Element, random: Random) -> None:
    node.addnext(deepcopy(node))


def rename(node: etree._Element, random: Random) -> None:
    node.tag = f"{{{etree.QName(node).namespace}}}{random.choice(('note', 'guid', 'unheardOf'))}"


def move_to_another_namespace(node: etree._Element, random: Random) -> None:
    node.tag = random.choice(("{urn:elsewhere}", "")) + etree.QName(node).localname


def write_value(node: etree._Element, random: Random) -> None:
    node.text = random.choice(VALUES)


def overlong(node: etree._Element, random: Random) -> None:
    node.text = (node.text or "x") * random.choice((2, 50))


def empty(node: etree._Element, random: Random) -> None:
    for child in list(node):
        node.remove(child)
    node.text = None


def swap(node: etree._Element, random: Random) -> None:
    other = node.getnext()
    if other is not None:
        other.addnext(node)


def set_attribute(node: etree._Element, random: Random) -> None:
    node.set(random.choice(("guid", "version", "unheardOf", "Algorithm", "URI")), random.choice(VALUES))


def drop_attributes(node: etree._Element, random: Random) -> None:
    node.attrib.clear()


MUTATIONS: tuple[Mutation, ...] = (
    drop, duplicate, rename, move_to_another_namespace, write_value, overlong, empty, swap, set_attribute,
    drop_attributes,
)  # fmt: skip
OF_ATTRIBUTES = (set_attribute, drop_attributes)
"""What can be done to the root too."""
NEVER_VALID = (rename, move_to_another_namespace)
"""After these no document is valid any more."""


def parent(node: etree._Element) -> etree._Element:
    above = node.getparent()
    assert above is not None
    return above


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return write_key(tmp_path_factory.mktemp("key"))


first_opinion = cache(lambda: Schemas.load(XSD))


@cache
def second_opinion(family: Family) -> xmlschema.XMLSchema:
    """Compile the same files; the schema of ds:Signature is found in the package, nothing on a network."""
    return xmlschema.XMLSchema(XSD / f"{family.value}.xsd", allow="local")


def document(kind: MessageType, signer: FileSigner, random: Random) -> etree._Element:
    made = compose(
        kind.name,
        cop_code="4400000001",
        dxp_id="DXPENT0000000001",
        bodies=random.choice((1, 1, 2)),
        items=random.choice((1, 2)),
        rng=random,
    )
    return etree.fromstring(sign(made.body, signer, before=kind.signature_before).body)


def agree(root: etree._Element, kind: MessageType) -> bool:
    """Have both judge; gives their common verdict."""
    faults = validate(root, first_opinion(), View.SENDABLE)
    verdict = not faults
    objection = next(second_opinion(kind.family).iter_errors(root), None)
    assert verdict == (objection is None), (
        faults,
        objection and objection.reason,
        etree.tostring(root)[:3000],
    )
    return verdict


@pytest.mark.parametrize("name", TYPES)
def test_composed_and_signed_document_satisfies_both(name: str, signer: FileSigner) -> None:
    assert agree(document(TYPES[name], signer, Random(7)), TYPES[name])


@pytest.mark.parametrize(
    "value", ["汉字", "QQ==汉", "QU.JD", "QUJ", "Q===", "QR==", "=QUJ", "", " QU JD\n", "QQ = ="]
)
@pytest.mark.parametrize("name", ["CEB311Message", "CEB303Message", "CEB621Message", "CEB711Message"])
def test_both_say_the_same_of_base64(name: str, value: str, signer: FileSigner) -> None:
    root = document(TYPES[name], signer, Random(7))
    verdicts = set()
    for node in root.iter(*signature_base64_tags()):
        whole = node.text
        node.text = value
        verdicts.add(agree(root, TYPES[name]))
        node.text = whole
    assert len(verdicts) == 1, "one type, one verdict"
    assert agree(root, TYPES[name])


def test_every_element_of_a_signature_that_holds_base64_is_known() -> None:
    short = {etree.QName(tag).localname for tag in signature_base64_tags()}
    assert {
        "DigestValue",
        "SignatureValue",
        "X509Certificate",
        "X509SKI",
        "X509CRL",
        "Modulus",
        "Exponent",
    } <= short


@settings(max_examples=250, deadline=None)
@given(
    name=st.sampled_from(sorted(TYPES)),
    mutations=st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3),
    seed=st.integers(0, 2**32 - 1),
)
def test_both_say_the_same_of_a_mutated_document(
    name: str, mutations: list[Mutation], seed: int, signer: FileSigner
) -> None:
    event("valid" if agree(mutated(name, mutations, seed, signer), TYPES[name]) else "not valid")


def mutated(name: str, mutations: list[Mutation], seed: int, signer: FileSigner) -> etree._Element:
    random = Random(seed)
    root = document(TYPES[name], signer, random)
    for mutate in mutations:
        nodes = [node for node in root.iter(etree.Element) if node is not root or mutate in OF_ATTRIBUTES]
        if nodes:
            mutate(random.choice(nodes), random)
    return root


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_every_kind_of_change_leaves_some_documents_valid_and_spoils_some(
    mutation: Mutation, signer: FileSigner
) -> None:
    """Else the test above would ask both of them nothing that is hard."""
    verdicts = {
        agree(mutated(name, [mutation], seed, signer), TYPES[name]) for name in TYPES for seed in range(2)
    }
    assert verdicts == ({False} if mutation in NEVER_VALID else {True, False})
