"""What a stranger can have in number and in memory, and what is said of what is beyond."""

import gc
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import FAULTS_COUNTED, FAULTS_SHOWN, EnvelopeError, Refused
from gateway.model import Fault, Message
from gateway.receipts.opened import open_collected
from gateway.rules.fault_texts import MORE
from gateway.submission.pipeline import Refusal, examine
from gateway.xml.decode import decode
from gateway.xml.envelope import unwrap, wrap, wrap_transfer
from gateway.xml.spans import child_spans
from signing.errors import SigningError
from signing.keys.suite import RSA_SHA1
from signing.xml.markup import MOST_ATTRIBUTES, MOST_NAMESPACES
from signing.xml.splice import sign
from signing.xml.verify import verify
from tests.documents import export_order, message, order, receipt
from tests.security.inputs import ENVELOPE, HEAD, LIMITS, ME, collected, handed_in, rules
from tests.signing_documents import write_key

READERS: dict[str, Callable[[bytes], object]] = {
    "decode": lambda body: decode(body, LIMITS),
    "collected": lambda body: open_collected(body, rules().catalogue),
    "unseal": unwrap,
}


def faults_of(body: bytes, limits: LimitsConfig = LIMITS) -> tuple[Fault, ...]:
    outcome = examine(body, ME, rules(), limits, suite=RSA_SHA1)
    return outcome.faults if isinstance(outcome, Refusal) else ()


def in_tag(tag: str, attributes: Iterator[str]) -> bytes:
    return order("A-1").decode().replace(f"<{tag}", f"<{tag} {' '.join(attributes)}", 1).encode()


def declared(count: int, form: str = 'xmlns:n{n}="urn:{n}"') -> Iterator[str]:
    return (form.replace("{n}", str(n)) for n in range(count))


def around(bodies: int) -> bytes:
    """Every element of an order declares its own prefix, as some libraries write it."""
    text = order(*map(str, range(bodies))).decode()
    return re.sub(r"<(ceb:\w+)>", r'<\1 xmlns:ceb="http://www.chinaport.gov.cn/ceb">', text).encode()


@pytest.mark.parametrize("reader", READERS)
def test_attributes_of_one_element_are_bounded_before_anything_is_parsed(reader: str) -> None:
    body = in_tag("ceb:Order", declared(MOST_ATTRIBUTES + 1, 'a{n}=""'))
    with pytest.raises((Refused, EnvelopeError), match=f"more than {MOST_ATTRIBUTES} attributes"):
        READERS[reader](body)
    with pytest.raises((Refused, EnvelopeError), match=f"more than {MOST_ATTRIBUTES} attributes"):
        READERS[reader](body[: body.index(b'a64=""') + 6])  # a tag that does not end


@pytest.mark.parametrize("reader", READERS)
def test_namespaces_in_scope_are_bounded(reader: str) -> None:
    half = [*declared(MOST_NAMESPACES // 2)]
    body = in_tag("ceb:Order", iter(half)).decode()
    body = body.replace("<ceb:orderNo", f"<ceb:orderNo {' '.join(half)}", 1)
    with pytest.raises((Refused, EnvelopeError), match=f"more than {MOST_NAMESPACES} namespaces"):
        READERS[reader](body.encode())


def test_faults_of_bounded_markup_have_their_place_and_both_languages() -> None:
    (many,) = faults_of(in_tag("ceb:Order", declared(MOST_ATTRIBUTES + 1, 'a{n}=""')))
    assert (many.rule, many.line, many.message_zh) == ("attributes", 2, "一个元素的属性超过64个")
    (named,) = faults_of(in_tag("ceb:Order", declared(MOST_NAMESPACES)))
    assert (named.rule, named.message_zh) == ("namespaces", "一个元素及其上级元素声明的命名空间超过32个")
    assert many.fix
    assert named.fix


def test_what_programs_write_is_far_from_the_bounds() -> None:
    assert faults_of(in_tag("ceb:Order", declared(MOST_NAMESPACES - 2))) == ()
    assert faults_of(around(50)) == ()
    assert child_spans(around(50))[0].name == "Order"
    equals = order("=" * 60).decode().replace("<ceb:Order>", f"<!-- {'=' * 500} --><ceb:Order>", 1)
    assert faults_of(equals.encode()) == ()


def test_a_signature_is_not_looked_for_in_crowded_markup(tmp_path: Path) -> None:
    signer = write_key(tmp_path, 1024)
    for body in (
        in_tag("ceb:Order", declared(MOST_ATTRIBUTES + 1, 'a{n}=""')),
        in_tag("ceb:Order", declared(MOST_NAMESPACES)),
    ):
        assert "more than" in verify(body).reasons[0]
        with pytest.raises(SigningError, match="more than"):
            sign(body, signer)


def test_it_is_said_how_many_faults_are_not_shown() -> None:
    bodies = "<ceb:InvtRefund/>"
    told = handed_in(message("CEB625Message", [bodies] * 2000))
    assert len(told) == FAULTS_SHOWN + 1
    assert told[-1].rule == MORE
    # two parts of each body are missing; the key is told of those only whose parts are beyond what is counted
    counted = FAULTS_COUNTED + FAULTS_COUNTED // 2
    assert told[-1].message == f"there are at least {counted - FAULTS_SHOWN} more faults that are not shown"
    assert told[-1].message_zh.startswith("另有至少")
    told = handed_in(order(*(f"{number:061}" for number in range(69)), ebp_code="x" * 51, ebc_code="x" * 51))
    assert told[-1].message == "there are 7 more faults that are not shown"
    assert MORE not in [fault.rule for fault in told[:-1]]
    exactly = handed_in(order(*(f"{number:061}" for number in range(100)), ebp_code="x" * 51))
    assert len(exactly) == FAULTS_SHOWN
    assert MORE not in [fault.rule for fault in exactly]


def test_a_whole_number_may_have_any_count_of_zeros_before_it() -> None:
    assert faults_of(order("A-1").replace(b"<ceb:gnum>1<", b"<ceb:gnum>" + b"0" * 5000 + b"1<")) == ()
    for before in ("", "-", "+"):
        many = (
            order("A-1")
            .decode()
            .replace("<ceb:gnum>1<", f"<ceb:gnum>{before}{'0' * 5000}9999999999<")
            .encode()
        )
        assert [fault.rule for fault in faults_of(many)] == ["out_of_range"]


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("version", ["1.1", "2.0", "1.00"])
def test_other_versions_of_xml_are_refused(start: str, version: str) -> None:
    body = (start + order("A-1").decode().replace('version="1.0" enc', f"version = '{version}' enc")).encode()
    (fault,) = faults_of(body)
    assert (fault.rule, fault.message) == ("version", f"XML {version} is not supported")
    assert fault.message_zh == f"不支持XML {version}"
    assert "not XML 1.0" in verify(body).reasons[0]


def test_long_data_is_judged_by_the_limits_and_not_by_the_parsers_own() -> None:
    business = order("A-1").replace(b"<ceb:Order>", b"<!--" + b"x" * 7_800_000 + b"--><ceb:Order>", 1)
    body = wrap(business, ENVELOPE)
    limits = LimitsConfig(size_bytes=16_000_000)
    assert len(body) > 10_400_000
    outcome = examine(body, ME, rules(), limits, suite=RSA_SHA1)
    assert isinstance(outcome, Message)
    assert outcome.body == business
    assert [fault.rule for fault in faults_of(body, LimitsConfig(size_bytes=10_000_000))] == ["size"]


def test_what_is_kept_of_strangers_namespaces_is_bounded_in_bytes() -> None:
    handed_in(order("A-1"))
    kept = kept_bytes(
        lambda n: handed_in(in_tag("ceb:CEB311Message", iter([f'xmlns:x="urn:{n}{"x" * 50_000}"'])))
    )
    assert kept < 500_000


def test_what_is_kept_of_strangers_names_is_bounded_in_bytes() -> None:
    rows = "".join(f"<{'n' * 90}{{n}}x{row}>1</{'n' * 90}{{n}}x{row}>" for row in range(100))
    one = receipt("CEB622Message", {"copNo": "1"}, {"copNo": "2"}).decode()
    collected(one.encode())
    kept = kept_bytes(
        lambda n: collected(
            one.replace("<returnStatus>", rows.replace("{n}", str(n)) + "<returnStatus>").encode()
        )
    )
    assert kept < 500_000


def test_what_is_kept_of_strangers_prefixes_is_bounded_in_bytes() -> None:
    transfer = wrap_transfer(wrap(order("A-1"), ENVELOPE), HEAD).decode()
    collected(transfer.encode())
    kept = kept_bytes(
        lambda n: collected(
            transfer.replace("<DxpMsgSv ", f'<DxpMsgSv xmlns:{"p" * 5000}{n}="urn:p" ').encode()
        )
    )
    assert kept < 500_000


def kept_bytes(work: Callable[[int], object]) -> int:
    """Say how much more memory is in use after it was done forty times, each time with another number."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(40):
        work(number)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return kept


def test_memory_for_base64_in_pieces_is_a_small_multiple_of_it() -> None:
    body = wrap(order(*map(str, range(300))), ENVELOPE).decode()
    data = body.partition("<Data>")[2].partition("</Data>")[0]
    pieces = body.replace(data, " ".join(data[at : at + 2] for at in range(0, len(data), 2))).encode()
    unwrap(pieces)
    tracemalloc.start()
    unwrap(pieces)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * len(pieces)


def test_names_of_fields_do_not_grow_with_those_around_them() -> None:
    name = "n" * 40_000
    body = receipt("CEB622Message", {"copNo": "1"}).decode()
    inside = f"<{name}>{'<x/>' * 10_000}</{name}><y><z>1</z></y>"
    (answer,) = open_collected(
        body.replace("<returnStatus>", f"{inside}<returnStatus>").encode(), rules().catalogue
    ).answers
    assert answer.fields["y[1]/z"] == "1"
    assert sum(map(len, answer.fields)) < 1000


def unsendable() -> dict[str, tuple[bytes, str]]:
    """Documents that the schema takes and nobody can sign."""
    message = "<ceb:name>n</ceb:name><ceb:version>1</ceb:version><ceb:Message>{}</ceb:Message>"
    signature = '<x><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/></x>'
    extend = f"<ceb:ExtendMessage>{message.format(signature)}</ceb:ExtendMessage>"
    return {
        "relative namespace": (in_tag("ceb:Order", iter(['xmlns:x="a/b"'])), "relative_namespace"),
        "relative namespace on the root": (
            in_tag("ceb:CEB311Message", iter(['xmlns:x="a/b"'])),
            "relative_namespace",
        ),
        "ampersand": (in_tag("ceb:Order", iter(['xmlns:x="urn:a&amp;b"'])), "not_signable"),
        "signature inside": (export_order(tail=extend), "signature_inside"),
    }


@pytest.mark.parametrize("suite", [RSA_SHA1, None])
@pytest.mark.parametrize("name", unsendable())
def test_what_cannot_be_signed_is_refused_at_the_door(name: str, suite: None) -> None:
    body, rule = unsendable()[name]
    outcome = examine(body, ME, rules(), LIMITS, suite=suite)
    assert isinstance(outcome, Refusal)
    assert outcome.problem == "invalid-message"
    (fault,) = outcome.faults
    assert fault.rule == rule
    assert fault.fix
    assert "签名" in fault.message_zh
