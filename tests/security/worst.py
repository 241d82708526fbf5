"""The worst inputs known, for whoever hands in for `OWNER`: each once cost a gateway seconds, minutes or gigabytes.

`endless` is none that can be mended: it meets an expression of exponential time in a schema of the operator's own
(`pathological_rules`), and stands for the input nobody has thought of.
"""

import json
import shutil
from base64 import b64encode
from pathlib import Path
from typing import Final, NamedTuple

from gateway.config.gateway_toml import LimitsConfig
from gateway.config.site import NewEnterprise
from gateway.mapping.translate import translate
from gateway.rules.loading import RULES
from tests.documents import CEB, HEAD, document, element, guid, order
from tests.unit.mapping_examples import mappings

OWNER: Final = NewEnterprise(
    id="flood", name="Flood", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",)
)
_MEGABYTE: Final = 1024 * 1024
_NEARLY_ALL: Final = 4 * _MEGABYTE - 4096
_NOTE: Final = 'name="note" type="ceb:C..1000" minOccurs="0">'
_EXPONENTIAL: Final = (
    'name="note" minOccurs="0"><xs:simpleType><xs:restriction base="ceb:C..1000">'
    '<xs:pattern value="(a|aa)+b"/></xs:restriction></xs:simpleType></xs:element><!--'
)


class Input(NamedTuple):
    """A body and how it is handed in over HTTP."""

    name: str
    body: bytes
    query: str = ""
    media_type: str = "application/xml"


def pathological_rules(folder: Path) -> Path:
    """Write the rules as shipped, but for the note of a payment; returns the folder."""
    for part in ("xsd", "mappings"):
        shutil.copytree(RULES / part, folder / part)
    schema = folder / "xsd" / "202205" / "import" / "payment.xsd"
    text = schema.read_text("utf-8")
    assert text.count(_NOTE) == 1
    before, _, after = text.partition(_NOTE)
    documentation, end, rest = after.partition("</xs:element>")
    schema.write_text(f"{before}{_EXPONENTIAL}{documentation}-->{rest}", "utf-8")
    assert end
    return folder


def payments(count: int, *, note: str = "", code: str = "", dxp_id: str = "", first: int = 0) -> bytes:
    """Write the source of a payment message, for the mapping that is shipped."""
    one = {
        "transaction": "", "order_no": "O-1", "declared_at": 1794350000, "amount_fen": 100, "paid_at": 1794350000,
        "platform": {"code": "4400000002", "name": "Platform"},
        "payer": {"id_number": "9", "name": "赵样例", "phone": "1"},
    }  # fmt: skip
    noted = one | ({"note": note} if note else {})
    sender = {"code": code or OWNER.cop_codes[0], "name": "Sender", "dxp_id": dxp_id or OWNER.dxp_ids[0]}
    rows = [noted | {"transaction": f"PAY-{first + number}"} for number in range(count)]
    return json.dumps({"sender": sender, "payments": rows}).encode()


def endless() -> bytes:
    """Write a message of payments whose notes are judged in exponential time."""
    source = payments(100, note="a" * 30)
    return translate(source, mappings()["payments"], LimitsConfig()).document


def worst() -> list[Input]:
    """Write them all; some megabytes each."""
    me = order(cop_code=OWNER.cop_codes[0], dxp_id=OWNER.dxp_ids[0])
    end = b"</ceb:CEB311Message>"
    transfer = b"</ceb:BaseTransfer>"
    subscribe = element("BaseSubscribe", status="ALL", dxpMode="DXP", dxpAddress="DXPENT0000000002").encode()
    blanks = subscribe.replace(
        b"</ceb:BaseSubscribe>", b"<!--<status>" + b" " * 6000 + b"--></ceb:BaseSubscribe>"
    )
    many = order(
        *(f"ORDER-{number}" for number in range(100)),
        cop_code=OWNER.cop_codes[0],
        dxp_id=OWNER.dxp_ids[0],
    )
    namespaces = b"".join(b' xmlns:n%d="urn:n%d"' % (number, number) for number in range(500))
    deep = b"<a>" * 200 + b"</a>" * 200
    wide = me.replace(b'encoding="UTF-8"', b'encoding="GB18030"').decode().encode("gb18030")
    wide = wide.replace(transfer, transfer + subscribe * 4)
    rows = (_NEARLY_ALL - len(me)) // 60
    envelope = (
        f'{HEAD}<DxpMsg xmlns="http://www.chinaport.gov.cn/dxp"><Data>'.encode()
        + b64encode(b"<!-- -->" * (_NEARLY_ALL // 11))
        + b"</Data></DxpMsg>"
    )
    return [
        Input("endless", endless()),
        Input("endless source", payments(100, note="a" * 30), "?mapping=payments", "application/json"),
        Input("blanks behind a start tag", me.replace(transfer, transfer + blanks)),
        Input("namespaces that are none", me.replace(b"?>", b"?><!--&" + b"xmlns" * 30_000 + b"-->", 1)),
        Input("namespaces", many.replace(b' xmlns:xsi="', namespaces + b' xmlns:xsi="', 1)),
        Input("faulty bodies", document("CEB311Message", "<ceb:Order/>" * 190_000)),
        Input("faulty rows", me.replace(b"<ceb:OrderList>", b"<ceb:OrderList/>" * (rows * 3) + b"<ceb:OrderList>")),
        Input("deep", me.replace(end, deep + end)),
        Input("two encodings", wide.replace(end, b"<!--" + b"\xb0\xa1" * 1_900_000 + b"-->" + end)),
        Input("envelope", envelope),
        Input("json", payments(100)[:-1] + b',"x":[' + b"1," * ((_NEARLY_ALL - 60_000) // 2) + b"1]}",
              "?mapping=payments", "application/json"),
        Input("csv", b"a,b,c\n" + b'"x",y,z\n' * (_NEARLY_ALL // 8), "?mapping=inventories", "text/csv"),
        Input("comments", f'{HEAD}<ceb:CEB311Message xmlns:ceb="{CEB}" guid="{guid(1)}" version="1.0">'.encode()
              + b"<!---->" * (_NEARLY_ALL // 7) + end),
    ]  # fmt: skip
