"""What a stranger can make larger in an input: units to repeat, and the positions of a document they go to."""

from collections.abc import Callable, Mapping
from typing import Final

Grow = Callable[[int], str]
"""About so many characters."""


def repeated(unit: str, before: str = "", after: str = "") -> Grow:
    """Repeat one text, with others around all of it."""
    return lambda size: before + unit * max(1, size // len(unit)) + after


def numbered(form: str) -> Grow:
    """Repeat a text in which `{n}` is another number each time."""
    return lambda size: "".join([form.replace("{n}", str(n)) for n in range(max(1, size // (len(form) + 3)))])


def _halves(first: Grow, second: Grow, between: str = "", after: str = "") -> Grow:
    return lambda size: first(size // 2) + between + second(size // 2) + after


def _nested(size: int) -> str:
    return "<a>" * (size // 7) + "</a>" * (size // 7)


def _long_name_above(size: int) -> str:
    name = "n" * min(40_000, size // 4)
    return f"<{name}>" + "<x/>" * (size // 8) + f"</{name}>"


IN_CONTENT: Final[Mapping[str, Grow]] = {
    "comments": repeated("<!--x-->"),
    "comment of xmlns": repeated("&xmlns", "<!--", "-->"),
    "comment of xmlns values": repeated("""& xmlns="'""", "<!--", "-->"),
    "comment of a field": repeated(" ", "<!--<status>", "-->"),
    "comment of fields": repeated("<status>", "<!--", "-->"),
    "comment of tags": repeated("<ceb:Order a='", "<!--", "-->"),
    "instructions": repeated("<?p q?>"),
    "CDATA sections": repeated("<![CDATA[x]]>"),
    "CDATA of brackets": repeated("]]<", "<![CDATA[", "]]>"),
    "known elements": repeated("<ceb:Order/>"),
    "known wrappers": repeated("<ceb:BaseSubscribe><ceb:status>ALL</ceb:status></ceb:BaseSubscribe>"),
    "known values": repeated("<ceb:orderNo>x</ceb:orderNo>"),
    "unknown elements": repeated("<x/>"),
    "unknown names": numbered("<x{n}/>"),
    "undeclared prefixes": repeated("<q:x/>"),
    "signatures": repeated('<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>'),
    "nesting": _nested,
    "rows of nesting": repeated("<a>" * 9 + "</a>" * 9),
    "rows of rows": repeated(f"<ceb:Order>{'<ceb:OrderList/>' * 900}</ceb:Order>"),
    "rows of values": repeated(f"<ceb:OrderHead>{'<ceb:appType>xx</ceb:appType>' * 900}</ceb:OrderHead>"),
    "a long name": repeated("n", "<", "/>"),
    "rows below a long name": _long_name_above,
    "attributes in rows": repeated('<x a="1" b="2"/>'),
    "attributes": _halves(repeated(" "), numbered(' a{n}=""'), "<x", "/>"),
    "namespaces in rows": repeated('<x xmlns:p="urn:p"/>'),
    "relative namespaces": repeated('<x xmlns:p="p"/>'),
    "namespaces above rows": lambda size: (
        "<x" + numbered(' xmlns:n{n}="urn:{n}"')(size // 2) + ">" + "<y/>" * (size // 8) + "</x>"
    ),
    "text": repeated("x"),
    "blanks": repeated(" "),
    "lines": repeated("\n"),
    "references": repeated("&amp;"),
    "Chinese": repeated("汉"),
    "digits": repeated("9"),
    "zeros": repeated("0"),
    "Base64 in pieces": repeated("QUJD\n"),
    "bracketed codes": repeated("[Code:1;Desc:"),
    "open comments": repeated("<!--"),
    "open CDATA": repeated("<![CDATA["),
    "open instructions": repeated("<?x "),
    "open tags": repeated("<a "),
    "open values": repeated('<a b="'),
    "ampersands": repeated("&"),
}  # fmt: skip
MOST_TELLING: Final = {
    name: IN_CONTENT[name]
    for name in (
        *("comments", "comment of xmlns", "comment of a field", "comment of fields", "comment of tags"),
        *(
            "known elements",
            "known wrappers",
            "unknown names",
            "nesting",
            "rows of values",
            "rows below a long name",
        ),
        *(
            "attributes",
            "namespaces above rows",
            "relative namespaces",
            "text",
            "references",
            "bracketed codes",
        ),
        *("Base64 in pieces", "zeros", "open comments"),
    )
}
"""For positions that differ little from others."""
IN_TAG: Final[Mapping[str, Grow]] = {
    "attributes": numbered(' a{n}=""'),
    "a long value": repeated("x", ' a="', '"'),
    "xml: attributes": numbered(' xml:a{n}=""'),
    "namespaces": numbered(' xmlns:n{n}="urn:{n}"'),
    "namespaces of ours": numbered(' xmlns:n{n}="http://www.chinaport.gov.cn/ceb"'),
    "relative namespaces": numbered(' xmlns:n{n}="r{n}"'),
    "namespaces with ampersands": numbered(' xmlns:n{n}="urn:&amp;"'),
    "a long namespace": repeated("x", ' xmlns:n="urn:', '"'),
    "a long prefix": repeated("n", " xmlns:", '="urn:n"'),
    "xmlns": repeated("xmlns", " "),
    "blanks": repeated(" "),
    "open values": repeated(' a="'),
}
