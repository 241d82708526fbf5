"""Documents made from the field tables, and the ways to spoil them; all from one seeded `Random`."""

import string
from collections.abc import Callable
from copy import deepcopy
from random import Random

from lxml import etree

from tests.property.field_tables import CEB, DS, Row

LETTERS = string.ascii_letters + string.digits + "中文字 &<>'\"𠮷"
VALUES = (
    *(
        "",
        " ",
        "x",
        "1",
        "0",
        "-1",
        "+1",
        "-0",
        "1.",
        ".5",
        ".",
        "1e5",
        "1,000",
        "１",
        "1 2",
        " 7 ",
        "\n12\t",
    ),
    *("0000000000000000000000000000001", "1.50000000000000000000000000", "12345678901234.12345", "0.000001"),
    *("123456789012345.12345", "99999999999999999999", "0.123456", "-12345678901234.12345", "00.10"),
    *("2147483647", "2147483648", "-2147483648", "-2147483649", "999999999", "1000000000", "99999", "100000"),
    *("142", "143", " 142 ", "3", "4", "1.0", "2.0", "true", "NaN", "INF"),
    *("AAAA", "AAA", "AA==", "AB==", "A===", "AAA=", "AA AA", "AAAA====", "中"),
    *(
        "2024-02-29",
        "2023-02-29",
        "2024-02-29T23:59:59",
        "2024-02-29T23:59:59.123+08:00",
        "2024-02-29T23:59:59Z",
    ),
    *("2024-02-29 23:59:59", "2024-2-9", "2024-13-01T00:00:00", "2024-01-01T25:00:00", "20240229"),
)
SAMPLES = {
    "base64Binary": ["", "QUJD", "QUI=", "QQ==", "QUJD\nQUJD"],
    "dateTime": ["2024-11-11T08:00:00", "2024-11-11T08:00:00.000+08:00"],
    "date": ["2024-11-11"],
    "Int": ["0", "1", str(2**31 - 1), str(-(2**31))],
}
SIGNATURE = f"""<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>
<ds:CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>
<ds:SignatureMethod Algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1"/>
<ds:Reference URI=""><ds:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/>
<ds:DigestValue>AAAA</ds:DigestValue></ds:Reference></ds:SignedInfo>
<ds:SignatureValue>AAAA</ds:SignatureValue><ds:KeyInfo><ds:KeyName>k</ds:KeyName></ds:KeyInfo></ds:Signature>"""


def compose(row: Row, random: Random) -> etree._Element:
    """Make a valid document of that table."""
    if row.is_signature:
        return etree.fromstring(SIGNATURE)
    prefix: str | None = random.choice([None, "p"])
    node = etree.Element(row.tag, nsmap={prefix: row.namespace})  # type: ignore[dict-item]  # None: no prefix
    for attribute in row.attributes:
        if attribute.required or random.random() < 0.3:
            node.set(attribute.name, attribute.fixed or _text(attribute, random))
    for child in row.children:
        count = random.choice([1, 1, 2, 3]) if child.most != 1 else 1
        if child.required or random.random() < 0.5:
            node.extend(compose(child, random) for _ in range(min(count, child.most or count)))
    if row.type in {"any", "anyType"}:
        if random.random() < 0.5:
            etree.SubElement(node, random.choice(["free", f"{{{CEB}}}Order", "{urn:x}y"])).text = "z"
    elif row.type != "complexType":
        node.text = _text(row, random)
    elif row.children and random.random() < 0.3:
        node.text = "\n\t"
    return node


def _text(row: Row, random: Random) -> str:
    if row.fixed is not None:
        return random.choice([row.fixed, ""])
    if row.default is not None and random.random() < 0.3:
        return ""
    if row.type in SAMPLES:
        return random.choice(SAMPLES[row.type])
    if row.type == "ID":
        return f"id{random.randrange(10**9)}"
    if row.type.startswith("N"):
        digits = [int(part) for part in row.type[1:].split(",")]
        return _number(digits[0], digits[1] if len(digits) > 1 else 0, random)
    return _letters(row, random)


def _letters(row: Row, random: Random) -> str:
    most = int(row.type.removeprefix("C").removeprefix("..") or 40)
    least = row.at_least if ".." in row.type else most
    length = random.choice([least, most, random.randint(least, most)])
    return "x" * length if row.collapse else "".join(random.choice(LETTERS) for _ in range(length))


def _number(total: int, fraction: int, random: Random) -> str:
    part = random.randint(0, fraction)
    whole = random.randint(1, min(total - part, 9 if not fraction else total))
    text = "".join(random.choice("123456789") for _ in range(whole))
    text += "." + "".join(random.choice("123456789") for _ in range(part)) if part else ""
    return random.choice(["", "-", "+", "00", " "]) + text


def _targets(root: etree._Element) -> list[etree._Element]:
    """Every element that the tables speak of: nothing inside a Signature or a free element."""
    found = [root]
    for node in found:
        if node.tag != f"{{{DS}}}Signature" and etree.QName(node).localname not in {"Message", "RecMapId"}:
            found.extend(node.iterchildren("*"))
    return found


def _inner(root: etree._Element, random: Random) -> etree._Element:
    nodes = [node for node in _targets(root) if node.tag != f"{{{DS}}}Signature"]
    return random.choice(nodes)


def _below(root: etree._Element, random: Random) -> etree._Element:
    return random.choice(_targets(root)[1:] or [root])


def _parent(node: etree._Element) -> etree._Element:
    parent = node.getparent()
    return node if parent is None else parent


def drop(root: etree._Element, row: Row, random: Random) -> None:
    node = _below(root, random)
    if node is not root:
        _parent(node).remove(node)


def duplicate(root: etree._Element, row: Row, random: Random) -> None:
    node = _below(root, random)
    if node is not root:
        copy = deepcopy(node)
        copy.tail = None
        _parent(node).insert(_parent(node).index(node) + random.choice([0, 1]), copy)


def add(root: etree._Element, row: Row, random: Random) -> None:
    made = compose(random.choice(list(row.walk())[1:]), random)
    node = random.choice([made, etree.Element(f"{{{row.namespace}}}extra"), etree.Element("bare")])
    parent = _inner(root, random)
    parent.insert(random.randint(0, len(parent)), node)


def reorder(root: etree._Element, row: Row, random: Random) -> None:
    node = _below(root, random)
    parent = _parent(node)
    if parent is not node:
        parent.insert(random.randrange(len(parent)), node)


def rename(root: etree._Element, row: Row, random: Random) -> None:
    node = _inner(root, random)
    name = etree.QName(node).localname
    others = [other.name for other in row.walk() if not other.is_signature]
    tags = [
        f"{{{row.namespace}}}{name}x",
        name,
        f"{{urn:other}}{name}",
        f"{{{row.namespace}}}{random.choice(others)}",
    ]
    node.tag = random.choice(tags)


def revalue(root: etree._Element, row: Row, random: Random) -> None:
    node = _inner(root, random)
    if len(node) == 0:
        node.text = random.choice(VALUES)


def resize(root: etree._Element, row: Row, random: Random) -> None:
    """Give a text a length at, or just beyond, one of the limits of the tables."""
    node = _inner(root, random)
    sizes = [*row.walk_lengths(), 1]
    size = random.choice(sizes) + random.choice([-1, 0, 1])
    if len(node) == 0:
        node.text = random.choice(["A", "中", "9", "𠮷"]) * size


def blank(root: etree._Element, row: Row, random: Random) -> None:
    node = _inner(root, random)
    if len(node) == 0:
        node.text = random.choice([None, "", " ", "\t\n"])


def crowd(root: etree._Element, row: Row, random: Random) -> None:
    """Repeat one element up to its limit or one beyond it."""
    node = _below(root, random)
    limits = [other.most for other in row.walk() if other.tag == node.tag and other.most]
    if node is root or len(node) > 40:
        return
    parent = _parent(node)
    count = max(limits or [1]) + random.choice([-1, 0])
    same = len(parent.findall(str(node.tag)))
    for _ in range(count + 1 - same):
        copy = deepcopy(node)
        copy.tail = None
        parent.insert(parent.index(node), copy)


def attribute(root: etree._Element, row: Row, random: Random) -> None:
    node = random.choice([root, _inner(root, random)])
    names = [
        *map(str, node.attrib),
        "extra",
        "guid",
        "version",
        "ver",
        "Ver",
        "Id",
        "Encode",
        "name",
        f"{{{CEB}}}guid",
    ]
    name = random.choice(names)
    if random.random() < 0.3:
        etree.strip_attributes(node, name)
    else:
        node.set(
            name, random.choice([*VALUES[:9], "1.0", "A" * 36, "A" * 37, "A" * 10, "A" * 11, "id1", "1id"])
        )


def stray_text(root: etree._Element, row: Row, random: Random) -> None:
    text = random.choice(["x", "\n ", "\u00a0", "\u3000"])
    node = _inner(root, random)
    if len(node) and random.random() < 0.5:
        node[-1].tail = text
    else:
        node.text = (node.text or "") + text


def annotate(root: etree._Element, row: Row, random: Random) -> None:
    """Put in a comment or a processing instruction, which never matters."""
    node = _inner(root, random)
    made = random.choice([etree.Comment("c"), etree.ProcessingInstruction("p", "q")])
    if random.random() < 0.5 or len(node):
        node.append(made)
    else:
        made.tail, node.text = node.text, None
        node.insert(0, made)


Mutation = Callable[[etree._Element, Row, Random], None]
MUTATIONS: tuple[Mutation, ...] = (
    *(drop, duplicate, add, reorder, rename, revalue, resize, blank, crowd, attribute, stray_text, annotate),
)


def spoil(root: etree._Element, row: Row, mutations: list[Mutation], random: Random) -> etree._Element:
    """Apply the mutations in turn and give the document as it is read back from its text."""
    for mutate in mutations:
        mutate(root, row, random)
    return etree.fromstring(etree.tostring(root))
