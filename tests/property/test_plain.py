"""What is read plainly is read as the tree would have it: same verdict, same header, same draft."""

import re
from collections.abc import Callable
from functools import cache
from random import Random

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from gateway.config.gateway_toml import LimitsConfig
from gateway.rules.loading import load_rules
from gateway.rules.plain_form import PREFIXES
from gateway.rules.schemas import View
from gateway.samples.compose import compose
from gateway.submission.identify import identify
from gateway.submission.plain import read_plain
from gateway.submission.validate import validate
from gateway.xml.decode import decode
from signing.keys.suite import RSA_SHA1
from signing.xml.splice import draft
from tests.shipped_rules import shipped

rules = cache(load_rules)
EDITIONS = ("202205", "2018-113")
LIMITS = LimitsConfig()
DECLARATIONS = sorted(one.name for one in shipped().catalogue.declarations())
OF_EDITION = [
    (edition, name)
    for edition in EDITIONS
    for name in DECLARATIONS
    if name in rules().for_edition(edition).schemas.roots
]
VALUES = (
    *(
        "",
        " ",
        "x",
        "  x  ",
        "x  y",
        "1",
        "0",
        "-1",
        "+1",
        "007",
        "1.",
        ".5",
        "1.5",
        "1e5",
        "142",
        "143",
        "１",
    ),
    *(
        "12345678901234.12345",
        "123456789012345.12345",
        "1" * 19,
        "1" * 20,
        "0.123456",
        "2147483648",
        "999999999",
    ),
    *(
        "a" * 36,
        "a" * 37,
        "中" * 30,
        "中" * 1000,
        "中" * 1001,
        "𠮷" * 9,
        "20241111000001",
        "2024-11-11T00:00:00",
    ),
    *(
        "a&amp;b",
        "a&#65;b",
        "a>b",
        "]]&gt;",
        "<![CDATA[x]]>",
        "x<!-- y -->",
        "<?pi z?>x",
        "a\tb",
        "a\nb",
        "a\rb",
    ),
    *("\ufffe", "\uffff", "\u0085", "\u00a0x", "\u3000", "\x01", "<ceb:x/>", '"', "'"),
)
"""Texts on both sides of some border of a type, of XML, or of plain form."""
TAG = re.compile("<[^>]*>")
LEAF = re.compile(r"<((?:\w+:)?\w+)>[^<]*</\1>")


def put_value(text: str, random: Random) -> str:
    found = random.choice(list(LEAF.finditer(text)))
    return f"{text[: found.start()]}<{found[1]}>{random.choice(VALUES)}</{found[1]}>{text[found.end() :]}"


def drop_leaf(text: str, random: Random) -> str:
    found = random.choice(list(LEAF.finditer(text)))
    return text[: found.start()] + text[found.end() :]


def double_leaf(text: str, random: Random) -> str:
    found = random.choice(list(LEAF.finditer(text)))
    return text[: found.end()] + text[found.start() :]


def move_leaf(text: str, random: Random) -> str:
    found = random.choice(list(LEAF.finditer(text)))
    rest = text[: found.start()] + text[found.end() :]
    place = random.choice([at.start() for at in re.finditer("<", rest)])
    return rest[:place] + found[0] + rest[place:]


def add_between(text: str, random: Random) -> str:
    place = random.choice([at.end() for at in re.finditer(r">(?=<)", text)] or [len(text)])
    return text[:place] + random.choice((" ", "\n\t", "\r\n", "x", "<!-- -->", "<?pi?>")) + text[place:]


def add_attribute(text: str, random: Random) -> str:
    place = random.choice([at.end() for at in re.finditer(r"<[\w:]+", text)] or [len(text)])
    names = ("guid", "version", "x", "xmlns", "xmlns:xsi", "xmlns:ds", "xml:lang", "xsi:type", "xmlns:ceb")
    values = (
        *("1.0", "", "a" * 36, "http://www.chinaport.gov.cn/ceb", "urn:x", "a&amp;b", "中"),
        "http://www.w3.org/2001/XMLSchema-instance",
    )
    return f'{text[:place]} {random.choice(names)}="{random.choice(values)}"{text[place:]}'


def change_prefix(text: str, random: Random) -> str:
    prefix = random.choice(("", "p:", "ceb2:"))
    namespace = f"xmlns:{prefix[:-1]}" if prefix else "xmlns"
    return (
        text.replace("<ceb:", f"<{prefix}").replace("</ceb:", f"</{prefix}").replace("xmlns:ceb", namespace)
    )


def change_prolog(text: str, random: Random) -> str:
    prologs = (
        *("", " ", "\ufeff", '<?xml version="1.0"?>', "<?xml version='1.0' encoding='UTF-8'?>\n", "<!-- -->"),
        *(
            '<?xml version="1.1" encoding="UTF-8"?>',
            '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\r\n',
        ),
        *('<?xml version="1.0" encoding="GBK"?>', '<?xml version="1.0" encoding="utf-8"?>', "<!DOCTYPE a>"),
    )
    return random.choice(prologs) + text[text.index("<", 2) :]


def drop_tag(text: str, random: Random) -> str:
    found = random.choice(list(TAG.finditer(text)))
    return text[: found.start()] + text[found.end() :]


def double_tag(text: str, random: Random) -> str:
    found, other = random.choice(list(TAG.finditer(text))), random.choice(list(TAG.finditer(text)))
    return text[: other.start()] + found[0] + text[other.start() :]


def break_lines(text: str, random: Random) -> str:
    line_end = random.choice(("\n", "\r\n", "\r"))
    return text.replace("><", f">{line_end}<")


def add_behind(text: str, random: Random) -> str:
    return text + random.choice(("\n", "\r\n ", "x", "<!-- -->", "<?pi?>", "\0"))


Mutation = Callable[[str, Random], str]
MUTATIONS: tuple[Mutation, ...] = (
    *(put_value, drop_leaf, double_leaf, move_leaf, add_between),
    *(add_attribute, change_prefix, change_prolog, add_behind, break_lines, drop_tag, double_tag),
)
NEVER_PLAIN = (double_leaf, add_attribute, drop_tag, double_tag)
"""After these no declaration is in the plain form any more."""


def composed(name: str, bodies: int, seed: int) -> str:
    most = 1 if name == "CEB711Message" else bodies
    made = compose(
        name, cop_code="4400000001", dxp_id="DXPENT0000000001", bodies=most, rng=Random(seed), items=2
    )
    return made.body.decode()


def read(text: str) -> bool:
    return read_plain(text.encode(), rules().plain, LIMITS) is not None


def agree(text: str, edition: str = EDITIONS[0]) -> bool:
    """Read it both ways; says whether it was read plainly."""
    body, by = text.encode(), rules().for_edition(edition)
    plain = read_plain(body, by.plain, LIMITS)
    if plain is None:
        return False
    root = decode(body, LIMITS)
    kind = plain.header.message_type
    assert validate(root, by.schemas, View.DECLARED) == ()
    assert identify(root, by.catalogue, edition) == plain.header
    assert draft(body, root, RSA_SHA1, before=kind.signature_before) == plain.draft(RSA_SHA1)
    return True


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(OF_EDITION), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_every_declaration_as_programs_write_it_is_read_plainly(
    subject: tuple[str, str], bodies: int, seed: int
) -> None:
    edition, name = subject
    assert agree(composed(name, bodies, seed), edition)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(OF_EDITION),
    st.integers(1, 2),
    st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3),
    st.integers(0, 2**32 - 1),
)
def test_what_is_read_plainly_is_read_as_the_tree_has_it(
    subject: tuple[str, str], bodies: int, mutations: list[Mutation], seed: int
) -> None:
    (edition, name), random = subject, Random(seed)
    text = composed(name, bodies, seed)
    for mutation in mutations:
        text = mutation(text, random)
    event("read plainly" if agree(text, edition) else "left to the tree")


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_every_kind_of_change_leaves_some_declarations_to_the_tree_and_some_plain(mutation: Mutation) -> None:
    """Else the test above would compare nothing, or nothing that is hard."""
    read = {
        agree(mutation(composed(name, 1, seed), Random(seed))) for name in DECLARATIONS for seed in range(12)
    }
    assert read == ({False} if mutation in NEVER_PLAIN else {False, True})


@pytest.mark.parametrize(("edition", "name"), OF_EDITION)
def test_no_text_at_a_border_of_its_type_is_read_plainly_against_the_schema(edition: str, name: str) -> None:
    text = composed(name, 1, 1)
    read = 0
    for found in LEAF.finditer(text):
        for value in VALUES:
            spoiled = f"{text[: found.start()]}<{found[1]}>{value}</{found[1]}>{text[found.end() :]}"
            read += agree(spoiled, edition)
    assert read > len(VALUES)


@pytest.mark.parametrize("name", DECLARATIONS)
def test_no_element_that_is_left_open_or_is_closed_alone_is_read_plainly(name: str) -> None:
    """Every element that the schema knows, at every place between two tags."""
    text = composed(name, 1, 1)
    form = rules().plain.form(name, "ceb")
    assert form is not None
    known = set(re.findall("<ceb:([A-Za-z0-9]+)>", form.body.pattern.pattern + form.after.pattern.pattern))
    places = [at.end() for at in re.finditer(r"(?<=>)(?=<)", text)]
    for place in places:
        for element in known:
            for tag in (f"<ceb:{element}>", f"</ceb:{element}>"):
                assert not read(text[:place] + tag + text[place:])


def test_every_declaration_type_has_a_form_for_every_prefix() -> None:
    forms = rules().plain
    assert not [
        (name, prefix) for name in DECLARATIONS for prefix in PREFIXES if forms.form(name, prefix) is None
    ]


def test_what_is_over_a_limit_is_left_to_the_tree() -> None:
    body = composed("CEB311Message", 1, 1).encode()
    forms = rules().plain
    assert read_plain(body, forms, LimitsConfig(size_bytes=len(body))) is not None
    assert read_plain(body, forms, LimitsConfig(size_bytes=len(body) - 1)) is None
    assert read_plain(body, forms, LimitsConfig(elements=body.count(b"</"))) is not None
    assert read_plain(body, forms, LimitsConfig(elements=body.count(b"</") - 1)) is None
    assert read_plain(body, forms, LimitsConfig(depth=4)) is not None
    assert read_plain(body, forms, LimitsConfig(depth=3)) is None
