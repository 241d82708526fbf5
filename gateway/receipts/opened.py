"""Opens messages from customs: determines the layer, and returns one `Answer` for each body, not yet matched.

Three layers are told apart: DxpRep (the exchange platform), CEB900 (the format check) and any other CEB
receipt (docs/spec/dxp.md, DxpRep). Receipts are not validated: real ones have elements in places where the
schema has none (docs/spec/messages.md, Correlating 6). A copy of a declaration, as BaseSubscribe `DATA`
asks for, opens with no answers.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Final

from lxml import etree

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import EnvelopeError, Refused
from gateway.model import Answer, Direction, Envelope, Layer, MessageType, Opened, by_value
from gateway.receipts.bodies import bodies_of, cut, is_body, local_name
from gateway.receipts.plain_answers import LeafTexts, PlainBody, read_document, read_envelope
from gateway.rules.catalogue import Catalogue
from gateway.rules.explain import own_text
from gateway.xml.decode import decode
from gateway.xml.envelope import DXP, Unwrapped, envelope_in, unwrap, unwrap_tree
from gateway.xml.readable import as_utf8, without_header

LIMITS: Final = LimitsConfig(size_bytes=16 * 1024 * 1024, depth=64, elements=500_000)
"""A collected message may be larger than a submitted one: a CEB900 holds the whole original."""

_FORM: Final = frozenset({"not-xml", "wrong-encoding"})
"""Problems that a re-encoded form of the same document may not have."""
_FORMAT_CHECK: Final = "CEB900Message"
_ORIGINAL: Final = "oriBizMessage"
_ALIASES: Final = {"logisticsNo": "logisticNo"}
"""The spec's table of 816 says logisticNo, real messages say logisticsNo (docs/spec/messages.md, 816)."""
_PLACE_CHARACTERS: Final = 300
"""Most characters in the path of a leaf, `TaxListRd[2]/gnum`: a leaf with a longer path is no field of customs and is
left out."""
_GENERIC: Final = ("returnStatus", "returnTime", "returnInfo")


def open_collected(raw: bytes, catalogue: Catalogue) -> Opened:
    """Open DxpMsg, DxpMsgSv, DxpRep or a bare CEB document; one leading 0x00 byte is skipped.

    An unknown CEB number is opened as far as it can be read. Raises EnvelopeError for anything else, and
    for what is over `LIMITS`.
    """
    return open_plain(raw, catalogue) or open_by_tree(without_header(raw), catalogue)


def open_plain(raw: bytes, catalogue: Catalogue) -> Opened | None:
    """Do as `open_collected`, in time bounded by the size; None for what is not in plain form."""
    body = without_header(raw)
    envelope, business = read_envelope(body) or (None, body)
    return _open_plain(envelope, business, catalogue)


def open_by_tree(body: bytes, catalogue: Catalogue) -> Opened:
    """Open what `open_collected` opens, in any form. Raises the same errors."""
    root, document = _parse(body)
    envelope: Envelope | None = None
    if root.tag in (f"{{{DXP}}}DxpMsg", f"{{{DXP}}}DxpMsgSv"):
        unwrapped = unwrap_tree(root, document)
        envelope, body = unwrapped.envelope, unwrapped.business
        root, _ = _parse(body)
    if root.tag == f"{{{DXP}}}DxpRep":
        return Opened(envelope=envelope, business=body, message_type="DxpRep", answers=_responses(root))
    name, kind = _message_type(root, catalogue)
    return Opened(envelope=envelope, business=body, message_type=name, answers=_answers(root, name, kind))


def unwrap_collected(raw: bytes) -> Unwrapped:
    """Open only the envelope, whatever is in it; one leading 0x00 byte is skipped. Raises EnvelopeError."""
    body = without_header(raw)
    try:
        return unwrap(body)
    except EnvelopeError:
        document = as_utf8(body)
        if document is body:
            raise
        return unwrap(document)


def part_of(opened: Opened, keep: Collection[int]) -> bytes:
    """Return what the owner of these bodies may see of a receipt: all of it, byte for byte, when it owns every body.

    Raises EnvelopeError when it cannot be cut.
    """
    whole = len(set(keep)) == len(opened.answers)
    return opened.business if whole else cut_to(opened.business, keep)


def cut_to(business: bytes, keep: Collection[int]) -> bytes:
    """Remove all bodies from a receipt document but those with the given indexes (as in `Answer.index`).

    See `bodies.cut`. The same object comes back when there is nothing to cut; what cannot be read or cut in the
    encoding that it is labelled with is cut in UTF-8 (`as_utf8`). Raises EnvelopeError.
    """
    root, document = _parse(business)
    try:
        left = cut(document, root, keep)
    except EnvelopeError:
        in_utf8 = as_utf8(document)
        if in_utf8 is document:
            raise
        left = cut(in_utf8, _parse(in_utf8)[0], keep)
    return business if left is document else left


def _parse(body: bytes) -> tuple[etree._Element, bytes]:
    """Return the tree and the bytes it was parsed from: the document as it came, or in a form that can be read."""
    try:
        return decode(body, LIMITS), body
    except Refused as refused:
        document = as_utf8(body) if refused.problem in _FORM else body
        if document != body:
            with suppress(Refused):
                return decode(document, LIMITS), document
        raise EnvelopeError(
            f"cannot be read: {refused.faults[0].message}",
            where="collected message",
            fix="look at the raw bytes",
        ) from refused


def _open_plain(envelope: Envelope | None, business: bytes, catalogue: Catalogue) -> Opened | None:
    """Open a known receipt in plain form; None for any other."""
    document = read_document(business)
    kind = None if document is None else catalogue.by_name(document.name)
    if document is None or kind is None or kind.direction is Direction.DECLARATION:
        return None
    if _ORIGINAL.encode() in business or not all(
        is_body(body.name, document.name) for body in document.bodies
    ):
        return None
    answers = tuple(
        _answer(index, _plain_fields(body, kind.head), body.digest, kind.name, kind)
        for index, body in enumerate(document.bodies)
    )
    return Opened(envelope=envelope, business=business, message_type=kind.name, answers=answers)


def _plain_fields(body: PlainBody, head: str) -> dict[str, str]:
    """Return the same as `_fields`."""
    if not body.rows:
        return _numbered(body.leaves)
    seen: Counter[str] = Counter()
    fields: dict[str, str] = {}
    for row in body.rows:
        seen[row.name] += 1
        if not row.leaves:
            fields.setdefault(_place(row.name, seen[row.name]), row.text.strip())
            continue
        above = "" if row.name == head else f"{row.name}[{seen[row.name]}]/"
        for name, text in _numbered(row.leaves).items():
            fields.setdefault(f"{above}{name}", text)
    return fields


def _numbered(leaves: LeafTexts) -> dict[str, str]:
    """Name the leaves of one row; repeated names get a position from the second on."""
    fields = {name: text.strip() for name, text in leaves}
    if len(fields) == len(leaves):
        return fields
    seen: Counter[str] = Counter()
    fields = {}
    for name, text in leaves:
        seen[name] += 1
        fields[_place(name, seen[name])] = text.strip()
    return fields


def _place(name: str, position: int) -> str:
    return name if position == 1 else f"{name}[{position}]"


def _message_type(root: etree._Element, catalogue: Catalogue) -> tuple[str, MessageType | None]:
    """Return the message type; an official sample has the root `CEB214`, so the ending may be missing."""
    name = local_name(root)
    for known in (name, f"{name}Message"):
        kind = catalogue.by_name(known)
        if kind is not None:
            return known, kind
    if not (name.startswith("CEB") and name[3:6].isdigit()):
        raise EnvelopeError(
            f"the root element {name[:100]} is no message of customs",
            where="collected message",
            fix="look at the raw bytes",
        )
    return name, None


def _responses(root: etree._Element) -> tuple[Answer, ...]:
    """Return one answer for each Response of a DxpRep; the time is its day, `NoticeTime`, as 8 digits."""
    return tuple(_response(index, element) for index, element in enumerate(bodies_of(root)))


def _response(index: int, element: etree._Element) -> Answer:
    fields = _fields(element, "")
    head = next(element.iterchildren(f"{{{DXP}}}OriHead"), None)
    original = None if head is None else envelope_in(head)
    return Answer(
        layer=Layer.TRANSPORT,
        message_type="DxpRep",
        index=index,
        status=fields.get("ResponseCode", ""),
        info=fields.get("ResponseInfo", ""),
        time=fields.get("NoticeTime", "")[:10].replace("-", ""),
        key={},
        numbers={},
        codes={},
        cop_msg_id="" if original is None else original.cop_msg_id,
        sender_id="" if original is None else original.sender_id,
        receiver_ids=() if original is None else original.receiver_ids,
        digest=_digest(element),
        fields=fields,
    )


def _answers(root: etree._Element, name: str, kind: MessageType | None) -> tuple[Answer, ...]:
    if kind is not None and kind.direction is Direction.DECLARATION:
        return ()
    head = kind.head if kind else ""
    return tuple(
        _answer(index, _fields(body, head), _digest(body), name, kind)
        for index, body in enumerate(bodies_of(root))
    )


def _answer(index: int, fields: dict[str, str], digest: str, name: str, kind: MessageType | None) -> Answer:
    status, time, info = (kind.status, kind.time, kind.info) if kind else _GENERIC
    cop_msg_id = fields.get("oriCopMsgId", "") if name == _FORMAT_CHECK else ""
    return Answer(
        layer=Layer.FORMAT if name == _FORMAT_CHECK else Layer.BUSINESS,
        message_type=name,
        index=index,
        status=fields.get(status, ""),
        info=fields.get(info, ""),
        time=fields.get(time, ""),
        key=_values(kind, kind.key, fields) if kind else {},
        numbers=_values(kind, kind.numbers, fields) if kind else {},
        codes=_values(kind, kind.codes, fields) if kind else {},
        cop_msg_id=cop_msg_id,
        digest=digest,
        fields=fields,
    )


def _fields(body: etree._Element, head: str) -> dict[str, str]:
    """Return every leaf by name: those of the body and its head by plain name, deeper ones as `TaxListRd[2]/gnum`."""
    found: dict[str, str] = {}
    for name, element in _leaves(body, head):
        text = own_text(element)
        if name == _ORIGINAL:
            original = text.encode()
            found[f"{name}.sha256"] = sha256(original).hexdigest()
            found[f"{name}.size_bytes"] = str(len(original))
        else:
            found.setdefault(name, text.strip())
    return found


def _leaves(body: etree._Element, head: str, above: str = "") -> Iterator[tuple[str, etree._Element]]:
    """Yield every leaf with its name; repeated names get a position from the second on, names above a leaf always."""
    seen: dict[str, int] = {}
    for child in body.iterchildren(etree.Element):
        name = local_name(child)
        seen[name] = position = seen.get(name, 0) + 1
        if len(above) + len(name) > _PLACE_CHARACTERS:
            continue
        if _is_leaf(child):
            yield f"{above}{_place(name, position)}", child
        elif name == head:
            yield from _leaves(child, "", above)
        else:
            yield from _leaves(child, "", f"{above}{name}[{position}]/")


def _is_leaf(element: etree._Element) -> bool:
    return len(element) == 0 or next(element.iterchildren(etree.Element), None) is None


def _values(kind: MessageType, names: Iterable[str], fields: Mapping[str, str]) -> dict[str, str]:
    """Pick the fields that are given and not empty, whole numbers in their canonical spelling."""
    picked = {
        name: text
        for name in names
        if (text := fields.get(name) or (fields.get(_ALIASES[name]) if name in _ALIASES else None))
    }
    for name in kind.integers:
        if name in picked:
            picked[name] = by_value(picked[name])
    return picked


def _digest(body: etree._Element) -> str:
    """Return the hex SHA-256 of the exclusive canonical form: equal for the same body in another message."""
    try:
        canonical = etree.tostring(body, method="c14n", exclusive=True)
    except etree.LxmlError:  # C14N refuses a namespace name: use the text as it stands
        canonical = etree.tostring(body, with_tail=False)
    return sha256(canonical).hexdigest()
