"""Reads the header of a document: which message it is, who it claims to be from, and its declarations."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final

from lxml import etree

from gateway.errors import FAULTS_COUNTED, Refused
from gateway.model import Declaration, Direction, Fault, Header, MessageType, by_value
from gateway.rules.catalogue import Catalogue
from gateway.rules.explain import own_text
from gateway.rules.plain_form import SENDER, fields_of
from gateway.rules.texts import Bilingual, Fact, fault_of, phrase

CEB: Final = "http://www.chinaport.gov.cn/ceb"
DS: Final = "http://www.w3.org/2000/09/xmldsig#"

_PREFIX: Final = f"{{{CEB}}}"
_SIGNATURE: Final = f"{{{DS}}}Signature"
_NAMES_ZH: Final = {"copNo": "企业内部编号", "coElNo": "企业内部编号", "msgSeqNo": "报文序号"}


def identify(root: etree._Element, catalogue: Catalogue, edition: str) -> Header:
    """Read what can be read of a declaration message (docs/spec/messages.md, Root and wrapper).

    Checks only the root: missing fields stay empty and are left to `validate`. Raises Refused
    `unknown-message` (rules `unknown_root`, `wrong_namespace`, `not_a_declaration`).
    """
    kind = _kind(root, catalogue)
    transfer = next(root.iterchildren(f"{_PREFIX}BaseTransfer"), None)
    sender = {} if transfer is None else texts(transfer, SENDER)
    return Header(
        message_type=kind,
        edition=edition,
        guid=root.get("guid", ""),
        cop_code=sender.get("copCode", ""),
        cop_name=sender.get("copName", ""),
        dxp_id=sender.get("dxpId", ""),
        signed=next(root.iterchildren(_SIGNATURE), None) is not None,
        declarations=tuple(_declarations(root, kind)),
    )


def uncorrelatable(header: Header, *, by_number: bool = True) -> tuple[Fault, ...]:
    """Name the declarations that no answer could be matched to (docs/spec/messages.md, Correlating 3).

    An answer is matched by the whole key, by the one field that every receipt repeats, or by a given number.
    `by_number`: False where the address is shared with others, who could claim the same number. At most
    `FAULTS_COUNTED` faults.
    """
    found = (
        _no_business_key(header.message_type, declaration, number)
        for number, declaration in enumerate(header.declarations, start=1)
        if not _correlatable(header.message_type, declaration, by_number=by_number)
    )
    return tuple(islice(found, FAULTS_COUNTED))


def beside(broken: Sequence[Fault], nameless: Sequence[Fault], kind: MessageType) -> list[Fault]:
    """Return the `nameless` faults that do not come from the same mistake as one of the schema, `broken`."""
    told = {fault.path for fault in broken} | {f"{_parent(fault.path)}/{fault.element}" for fault in broken}
    if any(fault.rule == "wrong_namespace" for fault in broken):
        return []
    keys = {kind.handle, *kind.key} - {""}

    def is_new(fault: Fault) -> bool:
        head = _parent(fault.path)
        around = {head, _parent(head)} if kind.head else {head}
        places = around | {f"{head}/{name}" for name in keys}
        return told.isdisjoint(places)

    return [fault for fault in nameless if is_new(fault)]


def declaration_of(kind: MessageType, found: Mapping[str, str]) -> Declaration:
    """Build a declaration from the texts found in its head, by name; what is not found stays empty or absent."""
    return Declaration(
        message_type=kind.name,
        key=_values(kind, kind.key, found),
        guid=found.get("guid", ""),
        app_type=found.get("appType", ""),
        app_time=found.get("appTime", ""),
        codes=_values(kind, kind.codes, found),
        numbers=_values(kind, kind.numbers, found),
    )


def texts(holder: etree._Element, names: tuple[str, ...]) -> dict[str, str]:
    """Return the stripped, non-empty texts of the named children; the first of each name counts."""
    found: dict[str, str] = {}
    for child in holder.iterchildren(*_tags(names)):
        text = own_text(child).strip()
        if text:
            found.setdefault(child.tag[len(_PREFIX) :], text)
    return found


@lru_cache(maxsize=256)
def _tags(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_PREFIX + name for name in names)


def _kind(root: etree._Element, catalogue: Catalogue) -> MessageType:
    name = etree.QName(root)
    kind = catalogue.by_name(name.localname)
    if kind is None:
        raise _unknown_root(name.localname, catalogue)
    if name.namespace != CEB:
        raise _unknown(kind.name, "wrong_namespace", value=name.namespace or "", namespace=CEB)
    if kind.direction is not Direction.DECLARATION:
        title = Bilingual(en=kind.title_en, zh=kind.title_zh)
        raise _unknown(kind.name, "not_a_declaration", title=title)
    return kind


def _unknown_root(name: str, catalogue: Catalogue) -> Refused:
    meant = catalogue.by_name(f"{name}Message")
    wanted = phrase("any_declaration") if meant is None else meant.name
    return _unknown(name[:100], "unknown_root", value=name, wanted=wanted)


def _unknown(root: str, rule: str, *, value: str = "", **facts: Fact) -> Refused:
    words = {"name": root, **facts}
    fault = fault_of(f"submission.{rule}", words, path=f"/{root}", element=root, value=value[:100])
    return Refused("unknown-message", [fault])


def _declarations(root: etree._Element, kind: MessageType) -> Iterator[Declaration]:
    wanted = fields_of(kind)
    head = _PREFIX + kind.head
    for body in root.iterchildren(_PREFIX + kind.body):
        holder = next(body.iterchildren(head), None) if kind.head else body
        found = {} if holder is None else texts(holder, wanted)
        yield declaration_of(kind, found)


def _values(kind: MessageType, names: Iterable[str], found: Mapping[str, str]) -> dict[str, str]:
    """Pick the fields that are present, whole numbers in their canonical spelling (catalogue, [compare])."""
    picked = {name: found[name] for name in names if name in found}
    for name in kind.integers:
        if name in picked:
            picked[name] = by_value(picked[name])
    return picked


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _correlatable(kind: MessageType, declaration: Declaration, *, by_number: bool) -> bool:
    whole = all(name in declaration.key for name in kind.key)
    return whole or kind.handle in declaration.key or (by_number and bool(declaration.numbers))


def _no_business_key(kind: MessageType, declaration: Declaration, number: int) -> Fault:
    missing = [name for name in kind.key if name not in declaration.key]
    field = kind.handle or missing[0]
    holder = f"/{kind.name}/{kind.body}[{number}]" + (f"/{kind.head}" if kind.head else "")
    return fault_of(
        "submission.no_business_key",
        {"name": field, "missing": Bilingual(en=", ".join(missing), zh="、".join(missing))},
        path=f"{holder}/{field}",
        element=field,
        name_zh=_NAMES_ZH.get(field, ""),
    )
