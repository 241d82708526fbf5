"""A second opinion on validity: the field tables of the specification, interpreted in plain Python.

Written from the description of those tables alone and sharing no code with the schemas: rows in, verdict out.
The verdict is a bare yes or no; nothing here explains anything.
"""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

from lxml import etree

CEB = "http://www.chinaport.gov.cn/ceb"
DXP = "http://www.chinaport.gov.cn/dxp"
DS = "http://www.w3.org/2000/09/xmldsig#"
SPACE = " \t\r\n"
Edition = Literal["202205", "2018-113"]
_NEW = frozenset(f"CEB{number}Message" for number in range(213, 217))
"""Messages that the edition of 2018 does not have."""
_BEFORE = re.compile(
    r"2018-113 XSD: (?:(?P<type>\S+) \(xs:\w+(?P<rule>[^)]*)\) )?minOccurs=(?P<least>\d+)(?: maxOccurs=(?P<most>\w+))?"
)
"""What the notes of a row say of the edition of 2018, where it differs."""


@dataclass(kw_only=True)
class Row:
    """One row of a table with the rows nested in it, in document order."""

    name: str
    type: str
    required: bool
    namespace: str
    most: int | None = 1
    fixed: str | None = None
    default: str | None = None
    at_least: int = 0
    collapse: bool = False
    attributes: list["Row"] = field(default_factory=list)
    children: list["Row"] = field(default_factory=list)

    @property
    def is_signature(self) -> bool:
        return self.type == "ds:SignatureType"

    @property
    def tag(self) -> str:
        return f"{{{DS}}}Signature" if self.is_signature else f"{{{self.namespace}}}{self.name}"

    def walk(self) -> Iterator["Row"]:
        yield self
        for child in self.children:
            yield from child.walk()

    def walk_lengths(self) -> list[int]:
        """Every length and digit limit that the table names."""
        return [int(part) for row in self.walk() for part in re.findall(r"\d+", row.type)]


def read_tables(spec: Path, edition: Edition = "202205") -> dict[str, Row]:
    """Read every table as of an edition; the key is the root element."""
    tables: dict[str, Row] = {}
    for folder, namespace in ((spec / "ceb" / "fields", CEB), (spec / "dxp-fields", DXP)):
        for path in sorted(folder.glob("*.csv")):
            if edition == "202205" or path.stem not in _NEW:
                root = _read_table(path, namespace, edition)
                tables[root.name] = root
    return tables


def _read_table(path: Path, namespace: str, edition: Edition) -> Row:
    found: dict[str, Row] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        for now in csv.DictReader(file):
            line = now if edition == "202205" else _before(now)
            if line is None or "XSD" not in line["source"]:
                continue
            row = _read_row(line, namespace)
            parent = found.get(line["path"].rpartition("/")[0])
            found[line["path"]] = row
            if parent is not None:
                (parent.attributes if line["element"].startswith("@") else parent.children).append(row)
    return next(iter(found.values()))


def _before(line: dict[str, str]) -> dict[str, str] | None:
    """Return the line as the edition of 2018 has it, by its note; None: the element is newer."""
    notes = line["notes"]
    if "not in 2018-113 XSD" in notes:
        return None
    said = _BEFORE.search(notes)
    if said is None:
        assert "2018-113" not in notes, notes
        return line
    rule = said["rule"] if said["type"] else line["enum_or_rule"]
    if said["most"]:
        rule = f"{rule}; maxOccurs={said['most']}"
    return line | {
        "type": said["type"] or line["type"],
        "required": "N" if said["least"] == "0" else "Y",
        "enum_or_rule": rule,
    }


def _read_row(line: dict[str, str], namespace: str) -> Row:
    rule = line["enum_or_rule"]
    said = dict(re.findall(r"(fixed|default|minLength|maxOccurs|whiteSpace)=([^;]*)", rule))
    most = said.get("maxOccurs", "1").strip()
    return Row(
        name=line["element"].removeprefix("@").removeprefix("ds:"),
        type=line["type"],
        required=line["required"] == "Y",
        namespace=namespace,
        most=None if most == "unbounded" else int(most),
        fixed=said.get("fixed"),
        default=said.get("default"),
        at_least=int(said.get("minLength", 0)),
        collapse=said.get("whiteSpace", "").strip() == "collapse",
    )


def judge(root: etree._Element, tables: dict[str, Row], *, signature_required: bool) -> bool:
    """Say whether the document is what its table says; a Signature is optional everywhere when not required."""
    table = tables.get(etree.QName(root).localname)
    if table is None or root.tag != table.tag:
        return False
    ids = [str(node.get("Id")).strip(SPACE) for node in root.iter("*") if "Id" in node.attrib]
    return len(set(ids)) == len(ids) and _element(root, table, signature_required)


def _element(node: etree._Element, row: Row, strict: bool) -> bool:
    if row.is_signature or row.type == "anyType":
        return True
    if not _attributes(node, row):
        return False
    children = list(node.iterchildren("*"))
    text = (node.text or "") + "".join(child.tail or "" for child in node)
    if row.type == "any":
        return len(children) <= 1 and not text.strip(SPACE)
    if row.type == "complexType":
        if not row.children:
            return not children and not text
        return not text.strip(SPACE) and _sequence(children, row.children, strict)
    return not children and _leaf(text, row)


def _attributes(node: etree._Element, row: Row) -> bool:
    known = {attribute.name: attribute for attribute in row.attributes}
    for name, attribute in known.items():
        value = node.get(name)
        if value is None and attribute.required:
            return False
        if value is not None and not (_value(value, attribute) and attribute.fixed in (None, value)):
            return False
    return all(name in known for name in node.attrib)


def _sequence(children: list[etree._Element], rows: list[Row], strict: bool) -> bool:
    at = 0
    for row in rows:
        count = 0
        while at < len(children) and children[at].tag == row.tag and (row.most is None or count < row.most):
            if not _element(children[at], row, strict):
                return False
            at, count = at + 1, count + 1
        needed = row.required and (strict or not row.is_signature)
        if needed and count == 0:
            return False
    return at == len(children)


def _leaf(text: str, row: Row) -> bool:
    if text == "" and (row.fixed is not None or row.default is not None):
        return True
    return _value(text, row) and row.fixed in (None, text)


def _value(text: str, row: Row) -> bool:
    kind = row.type
    if kind.startswith("C"):
        return _characters(text, row)
    text = _time_text(text) if kind in {"date", "dateTime"} else _collapsed(text)
    if kind in _SPECIAL:
        return _SPECIAL[kind](text)
    digits = [int(part) for part in kind.removeprefix("N").split(",")]
    return _integer(text, digits[0]) if len(digits) == 1 else _decimal(text, *digits)


def _collapsed(text: str) -> str:
    return re.sub(f"[{SPACE}]+", " ", text).strip(" ")


def _time_text(text: str) -> str:
    """The standard lets blanks stand around a time; libxml2 only behind its zone, and its verdict counts."""
    bare = text.rstrip(SPACE)
    return bare if re.search(r"(Z|[+-][0-9]{2}:[0-9]{2})$", bare[10:]) else text


def _characters(text: str, row: Row) -> bool:
    if row.collapse:
        text = _collapsed(text)
    exact = re.fullmatch(r"C(\d+)", row.type)
    if exact:
        return len(text) == int(exact[1])
    most = row.type.removeprefix("C..")
    return row.at_least <= len(text) and (most == "" or len(text) <= int(most))


def _integer(text: str, digits: int | None) -> bool:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        return False
    number = int(text)
    return -(2**31) <= number < 2**31 and (digits is None or number == 0 or len(str(abs(number))) <= digits)


def _decimal(text: str, total: int, fraction: int) -> bool:
    if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", text):
        return False
    shown = format(abs(Decimal(text)), "f")
    whole, _, part = shown.partition(".")
    whole, part = whole.lstrip("0"), part.rstrip("0")
    return len(part) <= fraction and len(whole) + len(part) <= total


def _base64(text: str) -> bool:
    letters = text.replace(" ", "")
    shape = r"[A-Za-z0-9+/]*([AQgw]==|[AEIMQUYcgkosw048]=)?"
    return len(letters) % 4 == 0 and bool(re.fullmatch(shape, letters))


def _datetime(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9-]{10}T[0-9:]{8}([.][0-9]+)?(Z|[+-][0-9:]{5})?", text)) and _date(text)


def _date(text: str) -> bool:
    try:
        datetime.fromisoformat(re.sub(r"[.][0-9]+", "", text))
    except ValueError:
        return False
    return True


def _plain_date(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9-]{10}(Z|[+-][0-9:]{5})?", text)) and _date(text[:10])


def _identifier(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", text))


_SPECIAL: dict[str, Callable[[str], bool]] = {
    "Int": lambda text: _integer(text, None),
    "base64Binary": _base64,
    "dateTime": _datetime,
    "date": _plain_date,
    "ID": _identifier,
}
