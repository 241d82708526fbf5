"""Whatever part of a message is there, its Signature goes where the schema has it, whichever way it was read."""

from collections.abc import Iterator
from functools import cache

import pytest
from lxml import etree

from gateway.config.gateway_toml import LimitsConfig
from gateway.model import MessageType
from gateway.rules.loading import load_rules
from gateway.rules.schema_model import ElementDecl, Slot, ValueType
from gateway.rules.schemas import CEB_NAMESPACE, SIGNATURE, View
from gateway.submission.plain import read_plain
from gateway.submission.validate import validate
from gateway.xml.decode import decode
from signing.keys.files import FileSigner
from signing.keys.suite import RSA_SHA1
from signing.xml.splice import draft, finish
from tests.shipped_rules import shipped
from tests.signing_documents import write_key

Path = tuple[str, ...]
"""Names from below the root to an element."""

rules = cache(load_rules)
KINDS = {kind.name: kind for kind in shipped().catalogue.declarations()}
ANYTHING = "anything"
"""Stands in a path for what fills a place that takes any element."""


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return write_key(tmp_path_factory.mktemp("key"), 1024)


def optional_parts(kind: MessageType) -> Iterator[Path]:
    """Give every part that may be left out, and nothing, in the order of the schema."""
    grammar = rules().schemas.grammar_for(kind.name)

    def below(decl: ElementDecl, path: Path) -> Iterator[Path]:
        for slot in grammar.shape(decl).slots:
            inner = (*path, _name(slot))
            if slot.low == 0 and not _is_signature(slot):
                yield inner
            if slot.decl is not None and slot.decl.node is not None:
                yield from below(slot.decl, inner)

    yield ()
    yield from below(rules().schemas.declaration(kind.name), ())


def document(kind: MessageType, part: Path) -> str:
    """Write a valid document that has this part, with all around it, and nothing else that may be left out."""
    grammar = rules().schemas.grammar_for(kind.name)

    def written(decl: ElementDecl, path: Path) -> str:
        shape = grammar.shape(decl)
        if shape.text is not None:
            inside = decl.fixed or sample(shape.text)
        else:
            slots = [slot for slot in shape.slots if not _is_signature(slot)]
            names = [(slot, (*path, _name(slot))) for slot in slots]
            inside = "".join(
                "<other/>" if slot.decl is None else written(slot.decl, inner)
                for slot, inner in names
                if slot.low or inner == part[: len(inner)]
            )
        return f"<ceb:{decl.name}>{inside}</ceb:{decl.name}>"

    root = rules().schemas.declaration(kind.name)
    needed = [one for one in grammar.shape(root).attributes if one.required]
    attributes = "".join(f' {one.name}="{one.fixed or sample(one.type)}"' for one in needed)
    return written(root, ()).replace(
        f"<ceb:{kind.name}>", f'<ceb:{kind.name} xmlns:ceb="{CEB_NAMESPACE}"{attributes}>', 1
    )


def sample(kind: ValueType) -> str:
    match kind.base:
        case "decimal" | "int":
            return "1"
        case "dateTime":
            return "2025-01-02T03:04:05"
        case "date":
            return "2025-01-02"
        case _:
            return "1" * (kind.length or kind.min_length or 1)


def _name(slot: Slot) -> str:
    return ANYTHING if slot.decl is None else slot.decl.name


def _is_signature(slot: Slot) -> bool:
    return slot.decl is not None and slot.decl.tag == SIGNATURE


@pytest.mark.parametrize("name", KINDS)
def test_both_ways_put_the_signature_where_the_schema_has_it(name: str, signer: FileSigner) -> None:
    kind, schemas = KINDS[name], rules().schemas
    plainly = 0
    for part in optional_parts(kind):
        body = document(kind, part).encode()
        root = decode(body, LimitsConfig())
        assert validate(root, schemas, View.DECLARED) == (), part
        made = draft(body, root, RSA_SHA1, before=kind.signature_before)
        plain = read_plain(body, rules().plain, LimitsConfig())
        if plain is not None:
            plainly += 1
            assert plain.draft(RSA_SHA1) == made, part
        signed = etree.fromstring(finish(body, made, signer).body)
        assert validate(signed, schemas, View.SENDABLE) == (), part
    assert plainly > 1


def test_an_empty_message_of_ones_own_is_among_the_parts() -> None:
    exports = [kind for kind in KINDS.values() if kind.signature_before]
    assert len(exports) == 11
    for kind in exports:
        assert ("ExtendMessage",) in optional_parts(kind)
        assert "<ceb:Message></ceb:Message>" in document(kind, ("ExtendMessage",))
