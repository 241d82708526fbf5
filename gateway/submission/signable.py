"""Makes the draft of an examined unsigned document, or reports why it cannot be signed.

The gateway must be able to send what it accepts: a document without canonical form, or with a Signature in a wrong
place, is refused at the door, so that it does not block the forwarder later.
"""

import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

from gateway.errors import Refused
from gateway.model import Fault, Header
from gateway.rules.explain import path_of
from gateway.xml.decode import positions_of
from gateway.xml.positions import UNKNOWN
from signing.errors import SigningError
from signing.keys.suite import Suite
from signing.xml.markup import names
from signing.xml.splice import SIGNATURE, Draft, draft

_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:")
_SHOWN: Final = 100


def drafted(body: bytes, root: etree._Element, header: Header, suite: Suite) -> Draft:
    """Prepare everything for signing that needs no key. Raises Refused `invalid-message`.

    Rules `signature_inside`, `relative_namespace` (Canonical XML 1.0, 1.3) and `not_signable`.
    """
    try:
        return draft(body, root, suite, before=header.message_type.signature_before)
    except SigningError as error:
        raise Refused("invalid-message", [*_reasons(body, root)] or [_other(header, error)]) from error


def _reasons(body: bytes, root: etree._Element) -> Iterator[Fault]:
    inside = next(root.iter(SIGNATURE), None)
    if inside is not None:
        place = positions_of(body, root, [inside]).get(inside, UNKNOWN)
        yield Fault(
            path=path_of(inside),
            line=place.line,
            column=place.column,
            element="ds:Signature",
            name_zh="签名节点",
            rule="signature_inside",
            message="a ds:Signature that is not a child of the root: customs takes one Signature, over all of it",
            message_zh="ds:Signature不是根元素的子节点：海关报文只能有一个签名，且位于根元素之下",
            fix="take it out, or sign the document as a whole",
            fix_zh="请删除该节点，或对整份报文加签",
        )
    relative = next((name for name in names(root) if name and not _ABSOLUTE.match(name)), None)
    if relative is not None:
        yield Fault(
            path=path_of(root),
            value=relative[:_SHOWN],
            rule="relative_namespace",
            message=f"the namespace name {relative[:_SHOWN]!r} is relative, so the document cannot be signed",
            message_zh=f"命名空间“{relative[:_SHOWN]}”是相对地址，报文无法签名",
            fix="remove the declaration, or write an absolute name, for instance urn:example",
            fix_zh="请删除该声明，或改为绝对名称，例如urn:example",
        )


def _other(header: Header, error: SigningError) -> Fault:
    return Fault(
        path=f"/{header.message_type.name}",
        rule="not_signable",
        message=f"the document cannot be signed: {error.what}",
        message_zh="报文无法签名：没有可供签名的规范形式",
        fix=error.fix,
        fix_zh="请检查报文的编码、命名空间和根元素，改正后重新提交",
    )
