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
from gateway.rules.texts import fault_of
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
        yield fault_of(
            "submission.signature_inside",
            path=path_of(inside),
            line=place.line,
            column=place.column,
            element="ds:Signature",
            name_zh="签名节点",
        )
    relative = next((name for name in names(root) if name and not _ABSOLUTE.match(name)), None)
    if relative is not None:
        shown = relative[:_SHOWN]
        yield fault_of("submission.relative_namespace", {"name": shown}, path=path_of(root), value=shown)


def _other(header: Header, error: SigningError) -> Fault:
    words = {"reason": error.what, "advice": error.fix}
    return fault_of("submission.not_signable", words, path=f"/{header.message_type.name}")
