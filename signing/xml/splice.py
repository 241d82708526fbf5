"""Sign by splice: insert one ds:Signature into the bytes and change no other byte; and remove it again.

Follows the verified recipe of docs/spec/signing.md, What is signed: deleting the Signature element and nothing
else gives back the text that was digested, and the canonical SignedInfo always has xmlns:xsi in scope,
as the verifying side assumes.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from lxml import etree

from signing.errors import SigningError
from signing.keys.files import Signer
from signing.keys.suite import C14N, DSIG, ENVELOPED, XSI, Suite
from signing.xml.c14n import Namespaces, canonical_document, inherited_attributes, start_tag
from signing.xml.document import Document, adopt, parse
from signing.xml.outline import child_span, child_start, root_end

Range = tuple[int, int]
"""Byte offsets (start, end) of a ds:Signature element in a signed document."""
SIGNATURE: Final = f"{{{DSIG}}}Signature"

_METHODS = f'<ds:CanonicalizationMethod Algorithm="{C14N}"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="'
_REFERENCE = (
    '"></ds:SignatureMethod><ds:Reference URI=""><ds:Transforms>'
    f'<ds:Transform Algorithm="{ENVELOPED}"></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="'
)
_DIGEST = '"></ds:DigestMethod><ds:DigestValue>'
_SIGNED_INFO_END = "</ds:DigestValue></ds:Reference></ds:SignedInfo>"
_OPEN = f'<ds:Signature xmlns:ds="{DSIG}"><ds:SignedInfo>'
_OPEN_WITH_XSI = f'<ds:Signature xmlns:ds="{DSIG}"><ds:SignedInfo xmlns:xsi="{XSI}">'
_KEPT_CHARACTERS = 1000
"""Most characters of namespaces and prefixes in a start tag that is cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed document, and the data that a record of the signing needs."""

    body: bytes
    span: Range
    """Position of the Signature in `body`: `cut(body, span)` is the original document."""
    digest: bytes
    """The raw DigestValue: 20 bytes for SHA-1, 32 for SM3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that signing needs to know of one document; valid as long as its bytes do not change."""

    suite: str
    """Name of the suite of the digest."""
    place: int
    """Byte offset at which the Signature is inserted."""
    digest: bytes
    """The raw DigestValue."""
    start_tag: str
    """Canonical start tag of SignedInfo, with the namespaces in scope there."""
    xsi_in_scope: bool
    """Whether the root declares xmlns:xsi, so that SignedInfo does not need to."""


def sign(body: bytes, signer: Signer, *, before: str = "") -> Signed:
    """Insert one ds:Signature right before the root end tag, or before the root's child `before`.

    `before` is a local name (`ExtendMessage` in export messages); if the root has no such child, the
    Signature goes to the end. BOM, line ends and encoding (UTF-8, GB18030, GBK, GB2312) stay unchanged.
    Blocks as long as `signer.sign` does. Raises SigningError for a document that is not well-formed or has a
    DOCTYPE, another encoding, an empty root tag or a Signature already; and what `signer` raises.
    """
    return finish(body, _draft(parse(body), signer.suite, before), signer)


def draft(body: bytes, root: etree._Element, suite: Suite, *, before: str = "") -> Draft:
    """Do the part of `sign` that needs no key, with a tree of `body` that the caller has parsed.

    The parser must have kept white space, comments and processing instructions, and read no DTD. Raises
    SigningError as `sign` does.
    """
    return _draft(adopt(body, root), suite, before)


def draft_canonical(canonical: bytes, suite: Suite, *, place: int, namespaces: Namespaces) -> Draft:
    """Do the same as `draft` for a caller that already has the canonical form of its unsigned document.

    `place`: byte offset in the document as written; `namespaces`: those that its root declares. The root must
    have no `xml:` attributes.
    """
    return _drafted(canonical, suite, place, namespaces, {})


def finish(body: bytes, draft: Draft, signer: Signer) -> Signed:
    """Sign the document from which the draft was made. Blocks and raises as `signer.sign` does.

    Raises SigningError for a draft of another suite than the signer's.
    """
    suite = signer.suite
    if draft.suite != suite.name:
        raise SigningError(f"the draft is for {draft.suite}, the key signs {suite.name}", fix="sign anew")
    signed_info = "".join(
        (
            *(_METHODS, suite.signature_method, _REFERENCE, suite.digest_method),
            *(_DIGEST, b64encode(draft.digest).decode(), _SIGNED_INFO_END),
        )
    )
    value = b64encode(signer.sign((draft.start_tag + signed_info).encode())).decode()
    opening = _OPEN if draft.xsi_in_scope else _OPEN_WITH_XSI
    signature = (
        f"{opening}{signed_info}<ds:SignatureValue>{value}</ds:SignatureValue>{signer.key_info}</ds:Signature>"
    ).encode()
    place = draft.place
    return Signed(
        body=b"".join((body[:place], signature, body[place:])),
        span=(place, place + len(signature)),
        digest=draft.digest,
    )


def cut(body: bytes, span: Range) -> bytes:
    """Return `body` without the bytes of `span`; raises SigningError for a span that is not inside it."""
    start, end = span
    if not 0 <= start < end <= len(body):
        raise SigningError(
            f"span {start} to {end} is not inside {len(body)} bytes", fix="use this body's span"
        )
    return body[:start] + body[end:]


def strip(body: bytes) -> tuple[bytes, Range]:
    """Remove the one Signature child of the root, whoever wrote it; returns (remaining bytes, span).

    Raises SigningError when the document cannot be parsed or does not have exactly one such child.
    """
    document = parse(body)
    found = list(document.root.iterchildren(SIGNATURE))
    if len(found) != 1:
        raise SigningError(f"the root has {len(found)} Signature children", fix="exactly one is expected")
    span = child_span(document, found[0])
    return cut(body, span), span


def digest_of(document: bytes | etree._ElementTree, suite: Suite) -> bytes:
    """Digest an unsigned document as Reference URI="" does (docs/spec/signing.md, What is digested).

    A tree must have been parsed with white space, comments and processing instructions kept.
    """
    tree = parse(document).tree if isinstance(document, bytes) else document
    return suite.digest_of(canonical_document(tree))


def _place(document: Document, before: str) -> int:
    child = next(document.root.iterchildren(f"{{*}}{before}"), None) if before else None
    return root_end(document) if child is None else child_start(document, child)


def _draft(document: Document, suite: Suite, before: str) -> Draft:
    if next(document.root.iter(SIGNATURE), None) is not None:
        raise SigningError(
            "the document has a Signature already", fix="send it as it is, or take that one out"
        )
    inherited = inherited_attributes((document.root,))
    canonical = canonical_document(document.tree)
    return _drafted(canonical, suite, _place(document, before), document.root.nsmap, inherited)


def _drafted(
    canonical: bytes, suite: Suite, place: int, scope: Namespaces, inherited: Mapping[str, str]
) -> Draft:
    return Draft(
        suite=suite.name,
        place=place,
        digest=suite.digest_of(canonical),
        start_tag=_signed_info_tag(scope, inherited),
        xsi_in_scope=scope.get("xsi") == XSI,
    )


def _signed_info_tag(scope: Namespaces, inherited: Mapping[str, str]) -> str:
    """Return the canonical start tag of SignedInfo, the same for all documents of one sender.

    Only short ones are cached, because they are built from text of unauthenticated callers.
    """
    if inherited or sum([len(prefix or "") + len(uri) for prefix, uri in scope.items()]) > _KEPT_CHARACTERS:
        return _written_tag(scope, inherited)
    return _kept_tag(tuple(scope.items()))


@lru_cache(maxsize=256)
def _kept_tag(scope: tuple[tuple[str | None, str], ...]) -> str:
    return _written_tag(dict(scope), {})


def _written_tag(scope: Namespaces, inherited: Mapping[str, str]) -> str:
    return start_tag("ds:SignedInfo", {**scope, "ds": DSIG, "xsi": XSI}, inherited)
