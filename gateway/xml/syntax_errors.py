"""What libxml2 reports of bytes that are not XML → the text of ours that says it.

libxml2's own words are English, name its functions, and quote the document, so they are not passed on.
"""

from collections.abc import Mapping
from typing import Final

from lxml import etree

_E: Final = etree.ErrorTypes
_VARIANTS: Final[Mapping[str, tuple[int, ...]]] = {
    "end_tag": (_E.ERR_TAG_NAME_MISMATCH, _E.ERR_LTSLASH_REQUIRED),
    "unfinished": (_E.ERR_TAG_NOT_FINISHED,),
    "after_root": (_E.ERR_DOCUMENT_END,),
    "no_root": (_E.ERR_DOCUMENT_EMPTY,),
    "character": (_E.ERR_INVALID_CHAR,),
    "ampersand": (_E.ERR_ENTITYREF_SEMICOL_MISSING, _E.ERR_ENTITYREF_NO_NAME),
    "entity": (_E.ERR_UNDECLARED_ENTITY, _E.WAR_UNDECLARED_ENTITY),
    "reference": (_E.ERR_INVALID_HEX_CHARREF, _E.ERR_INVALID_DEC_CHARREF, _E.ERR_INVALID_CHARREF),
    "tag": (_E.ERR_NAME_REQUIRED, _E.ERR_GT_REQUIRED, _E.ERR_SPACE_REQUIRED),
    "attribute": (
        _E.ERR_LT_IN_ATTRIBUTE,
        _E.ERR_ATTRIBUTE_NOT_STARTED,
        _E.ERR_ATTRIBUTE_NOT_FINISHED,
        _E.ERR_ATTRIBUTE_WITHOUT_VALUE,
        _E.ERR_EQUAL_REQUIRED,
    ),
    "attribute_twice": (_E.ERR_ATTRIBUTE_REDEFINED, _E.NS_ERR_ATTRIBUTE_REDEFINED),
    "comment": (_E.ERR_COMMENT_NOT_FINISHED, _E.ERR_HYPHEN_IN_COMMENT),
    "cdata": (_E.ERR_CDATA_NOT_FINISHED, _E.ERR_MISPLACED_CDATA_END),
    "instruction": (_E.ERR_PI_NOT_STARTED, _E.ERR_PI_NOT_FINISHED),
    "declaration": (
        _E.ERR_RESERVED_XML_NAME,
        _E.ERR_XMLDECL_NOT_STARTED,
        _E.ERR_XMLDECL_NOT_FINISHED,
        _E.ERR_VERSION_MISSING,
        _E.ERR_STANDALONE_VALUE,
        _E.ERR_ENCODING_NAME,
    ),
    "prefix": (_E.NS_ERR_UNDEFINED_NAMESPACE,),
    "namespace": (_E.NS_ERR_XML_NAMESPACE, _E.NS_ERR_QNAME, _E.NS_ERR_EMPTY, _E.NS_ERR_COLON),
}
_BY_CODE: Final[Mapping[int, str]] = {code: variant for variant, codes in _VARIANTS.items() for code in codes}


def variant_of(code: int, message: str) -> str:
    """Return the variant of the rule `not_xml` for an error of libxml2; empty for one that has no text of its own.

    One code stands for a name missing after `&` and for one missing in a tag; only the message tells them apart.
    """
    if code == _E.ERR_NAME_REQUIRED and "EntityRef" in message:
        return "ampersand"
    return _BY_CODE.get(code, "")
