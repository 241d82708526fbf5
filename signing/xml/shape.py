"""The one shape of a Signature that is believed (docs/spec/signing.md, Structure); everything else is refused.

Exactly one Signature in the document, a child of the root, over the whole document and nothing else. This
excludes signature wrapping, and there is no reference to follow and no transform to run.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass

from lxml import etree

from signing.errors import SigningError
from signing.keys.suite import C14N, C14N_WITH_COMMENTS, DSIG, ENVELOPED, Suite, UnknownSuite, suite_of

_KEY_INFO_CONTENT = frozenset({"KeyName", "KeyValue", "X509Data"})
_X509_CONTENT = frozenset({"X509Certificate", "X509SKI", "X509SubjectName", "X509IssuerSerial", "X509CRL"})
_ATTRIBUTES = frozenset({"Id"})
"""Attributes that any element of a Signature may have; `Algorithm` and `URI` are read separately."""
_OF_REFERENCE = frozenset({"Id", "URI"})
_REFERENCE = f"{{{DSIG}}}Reference"
_WHITE = re.compile(r"[ \t\r\n]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The content of a Signature with the accepted structure; nothing is verified yet."""

    element: etree._Element
    signed_info: etree._Element
    suite: Suite
    digest: bytes
    value: bytes
    key_name: str
    """Empty when there is no KeyName."""
    certificate: bytes | None
    """DER; None when X509Certificate is not Base64."""


def read_signature(root: etree._Element) -> Parts:
    """Read the one Signature of a document; raises SigningError that names the part with a wrong structure."""
    element = _the_signature(root)
    signed_info, value, key_info = _named(element, "SignedInfo", "SignatureValue", "KeyInfo")
    method, signature_method, reference = _named(
        signed_info, "CanonicalizationMethod", "SignatureMethod", "Reference"
    )
    if _algorithm(method) not in (C14N, C14N_WITH_COMMENTS):
        raise _refused(method, f"canonicalisation {_algorithm(method)!r}", f"use {C14N}")
    digest_method, digest = _reference(reference)
    suite = suite_of(_algorithm(signature_method), _algorithm(digest_method))
    if isinstance(suite, UnknownSuite):
        raise _refused(signature_method, f"unknown {suite}", "use one of the suites customs accepts")
    key_name, certificate = _key_info(key_info)
    return Parts(
        element=element,
        signed_info=signed_info,
        suite=suite,
        digest=_decoded(digest),
        value=_decoded(value),
        key_name=key_name,
        certificate=certificate,
    )


def _the_signature(root: etree._Element) -> etree._Element:
    found = list(root.iter(f"{{{DSIG}}}Signature"))
    if not found:
        raise SigningError("the document has no Signature", fix="sign it")
    if len(found) > 1:
        raise SigningError(f"the document has {len(found)} Signatures", fix="exactly one is allowed")
    if found[0].getparent() is not root:
        raise _refused(found[0], "the Signature is not a child of the root", "put it there")
    return found[0]


def _reference(reference: etree._Element) -> tuple[etree._Element, etree._Element]:
    """Accept only the whole document and the enveloped transform; returns (DigestMethod, DigestValue)."""
    if reference.get("URI") != "":
        raise _refused(reference, f"the Reference names {reference.get('URI')!r}", 'use URI=""')
    transforms, digest_method, digest = _named(reference, "Transforms", "DigestMethod", "DigestValue")
    for transform in _children(transforms):
        if transform.tag != f"{{{DSIG}}}Transform" or _algorithm(transform) != ENVELOPED:
            raise _refused(transform, f"transform {transform.get('Algorithm')!r}", f"use {ENVELOPED} only")
    if len(transforms) != 1:
        raise _refused(transforms, f"{len(transforms)} transforms", f"use {ENVELOPED} once")
    return digest_method, digest


def _key_info(key_info: etree._Element) -> tuple[str, bytes | None]:
    names = _children_of_kinds(key_info, _KEY_INFO_CONTENT)
    data = [child for child in names if _local(child) == "X509Data"]
    certificates = [
        child
        for one in data
        for child in _children_of_kinds(one, _X509_CONTENT)
        if _local(child) == "X509Certificate"
    ]
    if len(certificates) != 1:
        raise _refused(
            key_info, f"{len(certificates)} certificates", "put the signer's certificate, one, there"
        )
    key_names = [_plain(child).strip() for child in names if _local(child) == "KeyName"]
    if len(key_names) > 1:
        raise _refused(
            key_info, f"{len(key_names)} KeyNames", "put the certificate's serial number there, once"
        )
    try:
        certificate = _decoded(certificates[0])
    except SigningError:
        certificate = None
    return (key_names[0] if key_names else ""), certificate


def _named(element: etree._Element, *names: str) -> list[etree._Element]:
    """Return the children, which must be exactly these, in this order."""
    children = _children(element)
    if [child.tag for child in children] != [f"{{{DSIG}}}{name}" for name in names]:
        raise _refused(element, f"{_local(element)} does not hold {', '.join(names)}", "write exactly these")
    return children


def _children_of_kinds(element: etree._Element, names: frozenset[str]) -> list[etree._Element]:
    children = _children(element)
    for child in children:
        if _local(child) not in names or child.tag != f"{{{DSIG}}}{_local(child)}":
            raise _refused(child, f"{_local(child)} has no place in {_local(element)}", "leave it out")
    return children


def _children(element: etree._Element) -> list[etree._Element]:
    """Return the child elements; between them only white space is allowed, no text, comment or PI."""
    children = list(element)
    if any(not isinstance(child.tag, str) for child in children):
        raise _refused(element, "a comment or processing instruction in the Signature", "sign without it")
    if _loose(element.text) or any(_loose(child.tail) for child in children):
        raise _refused(element, f"text between the elements of {_local(element)}", "leave it out")
    allowed = _OF_REFERENCE if element.tag == _REFERENCE else _ATTRIBUTES
    if not allowed.issuperset(element.keys()):
        raise _refused(element, f"an attribute on {_local(element)}", "leave it out")
    return children


def _algorithm(element: etree._Element) -> str:
    """Return the Algorithm of an empty method element; parameters of any kind are refused."""
    if len(element) or _loose(element.text) or element.keys() != ["Algorithm"]:
        raise _refused(element, f"{_local(element)} has parameters", "write only Algorithm")
    return element.get("Algorithm", "")


def _plain(element: etree._Element) -> str:
    """Return the text of an element that contains only text: a comment inside could hide a part of it."""
    if len(element) or not _ATTRIBUTES.issuperset(element.keys()):
        raise _refused(element, f"{_local(element)} holds more than text", "write text only")
    return element.text or ""


def _decoded(element: etree._Element) -> bytes:
    """Decode Base64 with line breaks; only the canonical encoding is accepted, so that no byte can be changed."""
    text = _WHITE.sub("", _plain(element))
    try:
        value = b64decode(text, validate=True)
    except (Base64Error, ValueError) as err:
        raise _refused(element, f"{_local(element)} is not Base64", "write it as it was signed") from err
    if not value or b64encode(value).decode() != text:
        raise _refused(
            element, f"{_local(element)} is not Base64 in its one form", "write it as it was signed"
        )
    return value


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _loose(text: str | None) -> bool:
    """Whether the text contains anything but white space."""
    return bool(text) and bool(_WHITE.sub("", text or ""))


def _refused(element: etree._Element, what: str, fix: str) -> SigningError:
    return SigningError(what, where=f"line {element.sourceline}", fix=fix)
