"""Reads collected messages in plain form without a tree: a tenth of the time, and the same answers.

Plain form is what E-Port sends every day: UTF-8, namespaces declared at the usual place, elements in the usual order,
bodies that are rows of leaves or of such rows (the head and the lists of a tax bill). The patterns match nothing that
a parser would read differently: no entity, CDATA section, comment, carriage return, prefix or attribute inside. What
does not match is not a fault: it is read by `gateway.receipts.opened`, which knows every form and reports what is
wrong.
"""

import binascii
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from gateway.model import Envelope

_CEB: Final = "http://www.chinaport.gov.cn/ceb"
_DXP: Final = "http://www.chinaport.gov.cn/dxp"
_MOST_BYTES: Final = 1024 * 1024
"""Far below every limit of the parser and of `opened.LIMITS`."""

_WS: Final = r"[ \t\n]*+"
_DECLARATION: Final = (
    rf'(?:<\?xml version="1\.0" encoding="(?:UTF|utf)-8"(?: standalone="(?:yes|no)")?\?>{_WS})?'
)
_NAME: Final = "[A-Za-z_][A-Za-z0-9_]{0,99}+"
_NO_TEXT: Final = r"<>&\x00-\x08\x0b-\x1f\ufffe\uffff"
"""Markup, and characters that are not allowed in XML; a parser would change a carriage return."""
_TEXT: Final = f"[^{_NO_TEXT}]*+"
_VALUE: Final = f'"[^"{_NO_TEXT}]*+"'
_OTHER: Final = r'(?: xmlns:(?!xml)[a-z]{1,9}[0-9]?="http://[A-Za-z0-9./-]++#?")?'
"""Declaration of a prefix that nothing uses: no name here has one."""


def _leaf(name: str, text: str = _TEXT) -> str:
    return f"<{name}>{text}</{name}>{_WS}"


_DXP_MSG: Final = "".join(
    (
        rf'<DxpMsg xmlns="{re.escape(_DXP)}"{_OTHER}(?: ver="1\.0")?>{_WS}<TransInfo>{_WS}',
        _leaf("CopMsgId", f"({_TEXT})"),
        _leaf("SenderId", f"({_TEXT})"),
        f"<ReceiverIds>{_WS}((?>(?:{_leaf('ReceiverId')})*))</ReceiverIds>{_WS}",
        _leaf("CreatTime", f"({_TEXT})"),
        _leaf("MsgType", f"({_TEXT})"),
        f"</TransInfo>{_WS}<Data>([^<]*+)</Data>{_WS}",
        f"(?:<AddInfo>{_WS}(?:{_leaf('FileName')})?</AddInfo>{_WS})?</DxpMsg>{_WS}",
    )
)
_SV_NO: Final = "".join(
    (
        rf'<SvNo Ver="1\.0">{_WS}',
        _leaf("MsgId"),
        f"(?:{_leaf('SubMsgId')})?",
        *(_leaf(name) for name in ("SendTime", "EndNode", "StaNode")),
        f"</SvNo>{_WS}",
    )
)
_ENVELOPE: Final = re.compile(_DECLARATION + _DXP_MSG)
_TRANSFER: Final = re.compile(
    rf'{_DECLARATION}<DxpMsgSv xmlns="{re.escape(_DXP)}"{_OTHER}(?: ver="1\.0")?>{_WS}{_SV_NO}{_DXP_MSG}</DxpMsgSv>{_WS}'
)
_SPACE: Final = r"[ \t\n]++"
_NAMESPACE: Final = (
    rf'{_SPACE}xmlns="{re.escape(_CEB)}"(?:{_SPACE}xmlns:xsi="http://www\.w3\.org/2001/XMLSchema-instance")?'
)
_BOTH: Final = (
    rf"(?:{_SPACE}guid={_VALUE}{_SPACE}version={_VALUE}|{_SPACE}version={_VALUE}{_SPACE}guid={_VALUE})"
)
_ROOT: Final = re.compile(
    rf"{_DECLARATION}<(CEB[0-9]{{3}}Message)(?:{_NAMESPACE}{_BOTH}|{_BOTH}{_NAMESPACE}){_WS}>{_WS}"
)
_BODY: Final = re.compile(rf"<({_NAME})>((?>(?:{_WS}<({_NAME})>{_TEXT}</\3>)*){_WS})</\1>{_WS}")
_LEAF: Final = re.compile("<([A-Za-z_][^>]*+)>([^<]*+)")
"""A start tag and its text, in text that `_BODY` has matched."""
_NESTED: Final = re.compile(
    rf"<({_NAME})>((?>(?:{_WS}<({_NAME})>(?:{_TEXT}|(?>(?:{_WS}<({_NAME})>{_TEXT}</\4>)+){_WS})</\3>)*){_WS})</\1>{_WS}"
)
"""Like `_BODY`, but a child may itself be a row of leaves."""
_CHILD: Final = re.compile(
    rf"<([A-Za-z_][^>]*+)>(?:([^<]*+)</\1>|((?>(?:{_WS}<[A-Za-z_][^>]*+>[^<]*+</[^>]++>)+){_WS})</\1>)"
)
"""A child, in text that `_NESTED` has matched: its name and its text, or the row inside."""
_MOST_SHAPED: Final = 1500
"""Most characters of all leaf names in a body for which an expression is built; usual bodies have 100 to 500."""
_RECEIVER: Final = re.compile("<ReceiverId>([^<]*+)")


LeafTexts = list[tuple[str, str]]
"""Name and text, in document order."""


class PlainRow(NamedTuple):
    """A child of a body: a leaf, or a row of leaves."""

    name: str
    text: str
    leaves: LeafTexts
    """Empty for a leaf."""


class PlainBody(NamedTuple):
    """A row of leaves, or of such rows."""

    name: str
    leaves: LeafTexts
    """The leaves of the body itself, when all its children are leaves."""
    digest: str
    """As `Answer.digest`: of the exclusive canonical form, which here is the text as it stands with its namespace
    added."""
    rows: tuple[PlainRow, ...] = ()
    """Every child, when one of them is a row of leaves; else empty."""


@dataclass(frozen=True, slots=True)
class PlainDocument:
    """A CEB document whose bodies are all plain."""

    name: str
    bodies: list[PlainBody]


def read_envelope(body: bytes) -> tuple[Envelope, bytes] | None:
    """Open a DxpMsg or DxpMsgSv; returns its header and the bytes inside, or None when it is not plain."""
    text = _text(body)
    if text is None:
        return None
    found = _TRANSFER.fullmatch(text) or _ENVELOPE.fullmatch(text)
    if found is None:
        return None
    cop_msg_id, sender_id, receivers, creat_time, msg_type, packed = found.groups()
    business = _unpack(packed)
    if business is None:
        return None
    envelope = Envelope(
        cop_msg_id=cop_msg_id.strip(),
        sender_id=sender_id.strip(),
        receiver_ids=tuple(one.strip() for one in _RECEIVER.findall(receivers)),
        creat_time=creat_time.strip(),
        msg_type=msg_type.strip(),
    )
    return envelope, business


def read_document(body: bytes) -> PlainDocument | None:
    """Read a CEB document; None when it is not plain."""
    text = _text(body)
    root = None if text is None else _ROOT.match(text)
    if text is None or root is None:
        return None
    bodies: list[PlainBody] = []
    names: tuple[str, ...] = ()
    alike: re.Pattern[str] | None = None
    at = root.end()
    while True:
        if alike is not None and (found := alike.match(text, at)) is not None:
            name, inner, *texts = found.groups()
            leaves = list(zip(names, texts, strict=True))
        elif (found := _BODY.match(text, at)) is not None:
            name, inner, _ = found.groups()
            leaves = _LEAF.findall(inner)
        elif (found := _NESTED.match(text, at)) is not None:
            name, inner, *_ = found.groups()
            bodies.append(PlainBody(name, [], _digest(name, inner), _rows(inner)))
            at = found.end()
            continue
        else:
            break
        bodies.append(PlainBody(name, leaves, _digest(name, inner)))
        at = found.end()
        if len(bodies) == 1 and text.startswith(f"<{name}>", at):  # usually all have the shape of the first
            names = tuple(leaf for leaf, _ in leaves)
            alike = _shaped(name, names) if sum(map(len, names)) <= _MOST_SHAPED else None
    if text[at:].rstrip(" \t\n") != f"</{root[1]}>":
        return None
    return PlainDocument(root[1], bodies)


def _digest(name: str, inner: str) -> str:
    return sha256(f'<{name} xmlns="{_CEB}">{inner}</{name}>'.encode()).hexdigest()


def _rows(inner: str) -> tuple[PlainRow, ...]:
    return tuple([PlainRow(name, text, _LEAF.findall(row)) for name, text, row in _CHILD.findall(inner)])


@lru_cache(maxsize=128)
def _shaped(name: str, leaves: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that matches what `_BODY` matches, for exactly these leaves; their texts are groups.

    The names come from outside: at most `_MOST_SHAPED` characters, so that the cache is bounded.
    """
    row = "".join(f"{_WS}<{leaf}>({_TEXT})</{leaf}>" for leaf in leaves)
    return re.compile(f"<({name})>({row}{_WS})</{name}>{_WS}")


def _text(body: bytes) -> str | None:
    if len(body) > _MOST_BYTES:
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _unpack(packed: str) -> bytes | None:
    for blank in "\n \t":
        packed = packed.replace(blank, "")
    try:
        business = binascii.a2b_base64(packed, strict_mode=True)
    except ValueError:
        return None
    return None if packed.endswith("===") else business or None
