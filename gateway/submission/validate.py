"""Validates a document against its schema; returns every fault with its place and the field's Chinese name.

The verdict is libxml2's, with one addition: Base64 that libxml2 passes although no decoder can read it. A valid
document costs one run of libxml2 and a check of its Base64; only an invalid one is examined again, to explain what is
wrong with it, and its bytes are read again for lines and columns.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Protocol, cast

from lxml import etree

from gateway.errors import FAULTS_COUNTED, FAULTS_SHOWN
from gateway.model import Fault
from gateway.rules.explain import Explanation, own_text, path_of, shown
from gateway.rules.fault_texts import VALUE_SHOWN, FaultPlace
from gateway.rules.matched_children import local, nearest
from gateway.rules.node_faults import NodeFault, relocated
from gateway.rules.schemas import CEB_NAMESPACE, SIGNATURE, Schemas, View, signature_base64_tags
from gateway.rules.texts import NOTHING, phrase
from gateway.xml.decode import positions_of
from gateway.xml.positions import UNKNOWN, TextPosition

_CROWD: Final = 1000
"""Beyond so many children of one element, libxml2 must not report on a tree: each report walks all siblings
before it, so that 20,000 wrong rows of a list take a second and 200,000 minutes."""
_CROWDED: Final = etree.XPath(f"boolean(descendant-or-self::*[count(*) > {_CROWD}])")
_PIECE_BYTES: Final = 65536
_CEB: Final = f"{{{CEB_NAMESPACE}}}"
_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/= \t\r\n]")
_REASONS: Final[Mapping[str, str]] = {
    "SCHEMAV_ELEMENT_CONTENT": "content",
    "SCHEMAV_CVC_PATTERN_VALID": "pattern",
    "SCHEMAV_CVC_ENUMERATION_VALID": "enumeration",
    "SCHEMAV_CVC_MININCLUSIVE_VALID": "range",
    "SCHEMAV_CVC_MAXINCLUSIVE_VALID": "range",
    "SCHEMAV_CVC_MINEXCLUSIVE_VALID": "range",
    "SCHEMAV_CVC_MAXEXCLUSIVE_VALID": "range",
    "SCHEMAV_CVC_LENGTH_VALID": "length",
    "SCHEMAV_CVC_MINLENGTH_VALID": "length",
    "SCHEMAV_CVC_MAXLENGTH_VALID": "length",
    "SCHEMAV_CVC_TOTALDIGITS_VALID": "digits",
    "SCHEMAV_CVC_FRACTIONDIGITS_VALID": "digits",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": "type",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_2": "type",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_3": "type",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_1": "attribute",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": "attribute",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_2": "attribute",
    "SCHEMAV_CVC_COMPLEX_TYPE_4": "attribute",
    "SCHEMAV_CVC_IDC": "unique",
}
"""What libxml2 reports → variant of the texts of the rule `schema`; its own words quote values, so they are not passed on."""
_INCOMPLETE: Final = "Missing child element(s)"


class _Report(Protocol):
    """One line of libxml2's error log, as far as it is used here."""

    @property
    def message(self) -> str: ...
    @property
    def path(self) -> str | None: ...
    @property
    def type_name(self) -> str: ...


def validate(
    document: etree._Element | etree._ElementTree,
    schemas: Schemas,
    view: View,
    *,
    body: bytes = b"",
    limit: int = FAULTS_COUNTED,
) -> tuple[Fault, ...]:
    """Validate a document in a `view`: empty means valid, else 1 to `limit` faults, mostly in document order.

    `body`: the bytes of the document, for lines and columns; empty: these stay 0. No I/O once the schema of that
    root is compiled. Raises `RulesError` only for a schema that does not compile.
    """
    root = document if isinstance(document, etree._Element) else document.getroot()  # noqa: SLF001 (its public type)
    found = _node_faults(root, schemas, view, limit)
    places = positions_of(body, root, [one.node for one in found]) if body and found else {}
    return tuple(_placed(one, places.get(one.node, UNKNOWN)) for one in found)


def _placed(one: NodeFault, place: TextPosition) -> Fault:
    return replace(one.fault(), line=place.line, column=place.column)


def _node_faults(root: etree._Element, schemas: Schemas, view: View, limit: int) -> list[NodeFault]:
    name = local(root)
    if not schemas.declares(str(root.tag)):
        return [_not_ours(root, name, schemas)]
    schema = schemas.schema_for(name, view)
    crowded = _is_crowded(root)
    valid = not crowded and schema.validate(root)
    reports = [] if valid else _reports_of_stream(root, schema, limit) if crowded else _reports(schema)
    if valid or not reports:
        return list(islice(_foreign_signs(root, schemas), limit))
    return _explained(root, schemas, view, reports, limit)


def _explained(
    root: etree._Element, schemas: Schemas, view: View, reports: list[_Report], limit: int
) -> list[NodeFault]:
    """Explain what libxml2 reported; what the explanation does not cover is reported by the kind of the report."""
    explanation = Explanation(schemas.grammar_for(local(root)), view)
    found = list(islice(explanation.faults(root, schemas.declaration(local(root))), limit))
    if len(found) < limit:
        rest = _unexplained(root, schemas, reports, explanation.touched)
        found += islice(rest, min(FAULTS_SHOWN, limit - len(found)))
    found = relocated(found)
    found += islice(_foreign_signs(root, schemas, found), limit - len(found))
    return found or [_by_kind_of_report(root, schemas, reports[0] if reports else None)]


def _is_crowded(root: etree._Element) -> bool:
    """Say whether some element has so many children that reports on the tree would take too long.

    In a CEB message only the lists of the root and of its bodies, and the content of a Signature, are unbounded.
    """
    if not str(root.tag).startswith(_CEB):
        return bool(_CROWDED(root))
    if len(root) > _CROWD:
        return True
    return any(len(child) > _CROWD or (child.tag == SIGNATURE and bool(_CROWDED(child))) for child in root)


def _foreign_signs(
    root: etree._Element, schemas: Schemas, found: Iterable[NodeFault] = ()
) -> Iterator[NodeFault]:
    """Yield faults for elements whose Base64 has other characters: libxml2 accepts them, but decoding fails."""
    told = {one.node for one in found}
    for node in _base64(root, schemas):
        text = own_text(node)
        if node not in told and _NOT_BASE64.search(text):
            path = path_of(node)
            place = FaultPlace(path=path, element=local(node), name_zh=schemas.name_zh(path), value=text)
            yield NodeFault(node=node, key="not_base64", place=place)


def _base64(root: etree._Element, schemas: Schemas) -> Iterator[etree._Element]:
    """Yield the elements that hold Base64; in a CEB message no schema covers a ds:Signature but the root's."""
    tags = schemas.base64_tags(local(root))
    if tags:
        yield from root.iter(*tags)
    is_ceb = str(root.tag).startswith(_CEB)
    for signature in root.iterchildren(SIGNATURE) if is_ceb else root.iter(SIGNATURE):
        yield from signature.iter(*signature_base64_tags())


def _reports(schema: etree.XMLSchema) -> list[_Report]:
    return list(cast("Iterable[_Report]", schema.error_log))


def _reports_of_stream(root: etree._Element, schema: etree.XMLSchema, limit: int) -> list[_Report]:
    """Let libxml2 validate the document as a stream: reports name no node, and it stops after `limit` of them.

    Empty means valid.
    """
    text = etree.tostring(root, with_tail=False)
    parser = etree.XMLPullParser(
        events=(), schema=schema, no_network=True, resolve_entities=False, huge_tree=True
    )
    try:
        for start in range(0, len(text), _PIECE_BYTES):
            parser.feed(text[start : start + _PIECE_BYTES])
            if len(parser.feed_error_log) > limit:
                break
        parser.close()
    except etree.XMLSyntaxError as err:  # lxml reports "invalid" so at the end; the log has the reasons
        return list(islice(parser.feed_error_log, limit)) or [_Unsaid(message=str(err))]
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unsaid:
    """A report without a place."""

    message: str
    path: str | None = None
    type_name: str = ""


def _unexplained(
    root: etree._Element, schemas: Schemas, reports: Iterable[_Report], touched: Iterable[etree._Element]
) -> Iterator[NodeFault]:
    """Yield faults for reports on places that the explanation did not cover, one per place."""
    placed = [report for report in reports if report.path is not None]
    if not placed:
        return
    tree = root.getroottree()
    base = len(tree.getpath(root))
    explained = {tree.getpath(node)[base:] for node in touched}
    for report in placed:
        place = _below_root(report.path or "")
        about = {place}
        if report.type_name == "SCHEMAV_ELEMENT_CONTENT":
            about.add(place.rpartition("/")[0])
        if not about & explained:
            explained.add(place)
            yield _by_kind_of_report(root, schemas, report)


def _by_kind_of_report(root: etree._Element, schemas: Schemas, report: _Report | None) -> NodeFault:
    """Return the fault of a report in words of ours."""
    node = _node_at(root, _below_root(report.path or "")) if report is not None else root
    variant = "" if report is None else _REASONS.get(report.type_name, "")
    if variant == "content" and report is not None and _INCOMPLETE in report.message:
        variant = "incomplete"
    path = path_of(node)
    text = (node.text or "").strip()
    place = FaultPlace(path=path, element=shown(node), name_zh=schemas.name_zh(path), value=text)
    key = f"schema.{variant}" if variant else "schema"
    return NodeFault(node=node, key=key, place=place, facts={"edition": schemas.edition})


def _below_root(path: str) -> str:
    """Remove the first step from a path of libxml2: `/ceb:CEB311Message/ceb:Order[2]` to `/ceb:Order[2]`."""
    return path[len(path.split("/", 2)[1]) + 1 :] if path else ""


def _node_at(root: etree._Element, path: str) -> etree._Element:
    """Follow a path of libxml2 (names with prefixes as written, `*` for a default namespace) as far as it exists."""
    node = root
    for step in path.split("/")[1:]:
        name, _, position = step.rstrip("]").partition("[")
        alike = (child for child in node.iterchildren("*") if name in {"*", _written(child)})
        node = next(islice(alike, int(position or 1) - 1, None), node)
    return node


def _written(node: etree._Element) -> str:
    return f"{node.prefix}:{local(node)}" if node.prefix else local(node)


def _not_ours(root: etree._Element, name: str, schemas: Schemas) -> NodeFault:
    """Return the fault of a root that is no known message, or is one in another namespace."""
    if name in schemas.roots:
        decl = schemas.declaration(name)
        place = FaultPlace(path=f"/{name}", element=name, name_zh=decl.name_zh)
        actual = (etree.QName(root).namespace or "")[:VALUE_SHOWN]
        facts = {"actual": actual, "expected": decl.namespace}
        return NodeFault(node=root, key="wrong_namespace", place=place, facts=facts)
    near = nearest(name, schemas.roots)
    hint = phrase("did_you_mean", name=near) if near else NOTHING
    place = FaultPlace(path=f"/{shown(root)}", element=shown(root), name_zh="")
    return NodeFault(
        node=root, key="unknown_root", place=place, facts={"edition": schemas.edition, "hint": hint}
    )
