"""XML of anybody's that a message carries: the element in ExtendMessage, about which customs' schema says nothing."""

from dataclasses import dataclass

from lxml import etree

from gateway.errors import Refused
from gateway.mapping.functions import NotApplicableError
from gateway.mapping.sources.item import NOT_IN_XML
from gateway.xml.decode import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """Check that a text is one element of XML, and write it in canonical form, with the namespaces that it needs."""

    @property
    def shown(self) -> str:
        """Its name in the trace."""
        return "xml"

    def __call__(self, text: str) -> str:
        """Return the element; of an empty text nothing. Raises NotApplicableError."""
        if not text.strip():
            return ""
        if NOT_IN_XML.search(text):
            raise NotApplicableError("not_markup")
        try:
            root = parse(text.encode())
        except Refused as refused:
            raise NotApplicableError("not_markup") from refused
        return etree.tostring(root, method="c14n", with_comments=False).decode()
