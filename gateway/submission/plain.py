"""Reads the header in one pass, for an unsigned message in plain form; everything else is left to the tree parser.

The outcome is that of decode, identify and validate (view `declared`): `read_plain` returns the header that
they would return for a valid document, or None, which says nothing about the document.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.config.gateway_toml import LimitsConfig
from gateway.model import Header
from gateway.rules.plain_form import PlainForm, PlainForms
from gateway.submission.identify import CEB, DS, declaration_of
from gateway.submission.repeated import named_twice
from gateway.xml.decode import SMALLEST_ELEMENT
from signing.keys.suite import XSI, Suite
from signing.xml.c14n import Namespaces, start_tag
from signing.xml.markup import MOST_NAMESPACES
from signing.xml.splice import Draft, draft_canonical

_NAMESPACES: Final = frozenset({CEB, DS, XSI, "http://www.w3.org/2001/XMLSchema"})
"""Namespaces declared on a root in practice; a document with others is left to the tree parser."""
_START: Final = re.compile(
    r"""(?>(?:<\?xml\ version="1\.0"(?:\ encoding="[Uu][Tt][Ff]-8")?(?:\ standalone="(?:yes|no)")?[ ]?\?>)?)[ \t\n]*+
        <(?:(?P<prefix>[a-z]++):)?(?P<name>[A-Za-z0-9]++)
        (?P<attributes>(?>(?:[ \t\n]++[A-Za-z0-9:]++="[ !#-%'-;=?-~]*+")*))[ \t\n]*+>""",
    re.VERBOSE | re.ASCII,
)
_ATTRIBUTE: Final = re.compile(r'([A-Za-z0-9:]++)="([^"]*+)"')
_PREFIX: Final = re.compile(r"(?!xml)[a-z][a-z0-9]*+")
_END: Final = re.compile(r"[ \t\n]*+")
_NO_CHARACTERS: Final = ("\ufffe", "\uffff")
"""Not in XML although in UTF-8; two searches cost less than two more characters in every class of a form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A valid message that was read without a tree."""

    header: Header
    body: bytes
    form: PlainForm
    declarations: tuple[re.Match[str], ...]
    """What its expression found of each declaration; of the body as text, with LF as line ends."""
    name: str
    """Of the root, with its prefix."""
    attributes: Mapping[str, str]
    """Of the root."""
    namespaces: Namespaces
    inside: int
    """Byte offset behind the root start tag as written."""
    place: int
    """Byte offset of the root end tag, where a Signature is inserted."""
    end: int
    """Byte offset behind the root end tag."""

    def draft(self, suite: Suite) -> Draft:
        """Prepare the signing; never raises.

        From the root start tag to the root end tag, plain form is canonical form, except that tag itself and CR LF.
        """
        start = start_tag(self.name, self.namespaces, self.attributes).encode()
        rest = self.body[self.inside : self.end].replace(b"\r\n", b"\n")
        return draft_canonical(start + rest, suite, place=self.place, namespaces=self.namespaces)


def read_plain(body: bytes, forms: PlainForms, limits: LimitsConfig) -> Plain | None:
    """Read and check an unsigned declaration message in plain form; None when it is not one, or exceeds a limit.

    Also None when it names a version of a declaration twice: the tree parser compares the two.
    """
    if len(body) > limits.size_bytes or _many_elements(body, limits.elements):
        return None
    try:
        text = body.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        return None
    start = _START.match(text)
    form = None if start is None else forms.form(start["name"], start["prefix"] or "")
    if start is None or form is None or form.depth > limits.depth:
        return None
    root = _root(start, form)
    found = None if root is None else _inside(text, start.end(), form)
    if root is None or found is None:
        return None
    attributes, namespaces = root
    bodies, after = found
    declarations = tuple([declaration_of(form.kind, form.body.texts(one)) for one in bodies])
    if named_twice(declarations):
        return None
    sender = form.after.texts(after)
    place = body.rindex(form.end.encode())
    return Plain(
        header=Header(
            message_type=form.kind,
            edition=forms.edition,
            guid=attributes.get("guid", ""),
            cop_code=sender.get("copCode", ""),
            cop_name=sender.get("copName", ""),
            dxp_id=sender.get("dxpId", ""),
            signed=False,
            declarations=declarations,
        ),
        body=body,
        form=form,
        declarations=tuple(bodies),
        name=form.name,
        attributes=attributes,
        namespaces=namespaces,
        inside=body.index(b">", body.index(b"<" + form.name.encode())) + 1,
        place=place,
        end=place + len(form.end),
    )


def _many_elements(body: bytes, most: int) -> bool:
    return len(body) > most * SMALLEST_ELEMENT and body.count(b"</") > most


def _root(start: re.Match[str], form: PlainForm) -> tuple[Mapping[str, str], Namespaces] | None:
    """Return (attributes, namespaces) of the root, None where one of them is not allowed."""
    attributes: dict[str, str] = {}
    namespaces: dict[str | None, str] = {}
    pairs = _ATTRIBUTE.findall(start["attributes"])
    if len(pairs) > MOST_NAMESPACES:
        return None
    for name, value in pairs:
        if name == "xmlns":
            namespaces[None] = value
        elif name.startswith("xmlns:") and _PREFIX.fullmatch(name, len("xmlns:")):
            namespaces[name[len("xmlns:") :]] = value
        elif name in form.attributes and form.attributes[name].fullmatch(value):
            attributes[name] = value
        else:
            return None
    if len(attributes) + len(namespaces) != len(pairs):  # one of them twice
        return None
    if namespaces.get(start["prefix"]) != CEB or not _NAMESPACES.issuperset(namespaces.values()):
        return None
    return (attributes, namespaces) if form.required <= attributes.keys() else None


def _inside(text: str, at: int, form: PlainForm) -> tuple[list[re.Match[str]], re.Match[str]] | None:
    """Match the content of the root up to the end of the document; returns (bodies, what follows them) or None."""
    before = form.before.pattern.match(text, at)
    if before is None:
        return None
    bodies: list[re.Match[str]] = []
    match, place = form.body.pattern.match, before.end()
    while found := match(text, place):
        bodies.append(found)
        place = found.end()
    after = form.after.pattern.match(text, place)
    if after is None or not 0 < len(bodies) <= form.most or not text.startswith(form.end, after.end()):
        return None
    if not _END.fullmatch(text, after.end() + len(form.end)) or any(one in text for one in _NO_CHARACTERS):
        return None
    return bodies, after
