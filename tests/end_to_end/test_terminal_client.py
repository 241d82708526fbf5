"""A terminal client's own DxpMsg arrives inside DxpMsgSv with the same bytes, whichever door it came by."""

import base64
import json
from contextlib import closing
from pathlib import Path

import pytest

from gateway.model import Envelope
from gateway.xml.envelope import unwrap, wrap
from signing.xml.splice import sign
from tests.documents import order
from tests.door_node import ANN, DoorNode, FolderPlace
from tests.waiting import until

CUSTOMS = "DXPEDCCEB0000002"


def plain(number: int, business: bytes) -> bytes:
    head = Envelope(
        cop_msg_id=f"TERMINAL-{number}",
        sender_id=ANN.dxp_ids[0],
        receiver_ids=(CUSTOMS,),
        creat_time="2025-01-02T12:05:06",
        msg_type="CEB311Message",
    )
    return wrap(business, head)


def handwritten(number: int, business: bytes) -> bytes:
    """As no serialiser of ours would write it: quotes, white space, a prefix, a comment, lines of Base64, CRLF."""
    data = base64.encodebytes(business).replace(b"\n", b"\r\n")
    return (
        b"<?xml version='1.0' encoding='utf-8' standalone='yes'?>\r\n<!-- before -->\r\n"
        b"<d:DxpMsg  ver = '1.0'\r\n  xmlns:d='http://www.chinaport.gov.cn/dxp' >\r\n"
        b"  <d:TransInfo><!-- \xe7\xbb\x88\xe7\xab\xaf --><d:CopMsgId>TERMINAL-%d</d:CopMsgId>\r\n"
        b"    <d:SenderId\t>%s</d:SenderId ><d:ReceiverIds><d:ReceiverId>%s</d:ReceiverId></d:ReceiverIds>\r\n"
        b"    <d:CreatTime>2025-01-02T12:05:06</d:CreatTime><d:MsgType>CEB311Message</d:MsgType>\r\n"
        b"  </d:TransInfo>\r\n  <d:Data>\r\n%s</d:Data>\r\n  <d:AddInfo><d:FileName>a&#x20;b.xml</d:FileName>"
        b"</d:AddInfo>\r\n</d:DxpMsg>\r\n<!-- behind -->\r\n"
        % (number, ANN.dxp_ids[0].encode(), CUSTOMS.encode(), data)
    )


def element_of(document: bytes) -> bytes:
    """The root element, tags and all, cut out by plain search."""
    start = min(at for at in (document.find(b"<DxpMsg"), document.find(b"<d:DxpMsg")) if at >= 0)
    return document[start : document.rindex(b"DxpMsg>") + len(b"DxpMsg>")]


@pytest.mark.parametrize("door", ["http", "folder"])
def test_dxp_msg_of_a_terminal_client_arrives_inside_dxp_msg_sv_with_the_same_bytes(
    tmp_path: Path, door: str
) -> None:
    place = FolderPlace.make(tmp_path / "ann")
    node = DoorNode(tmp_path, {"ann": place.toml()}, envelope="DxpMsgSv")
    signer = node.app().keyring().in_memory()["node"]
    handed_in = {
        f"TERMINAL-{number}": write(number, sign(order(f"ORDER-{number}"), signer).body)
        for number, write in enumerate((plain, handwritten), start=1)
    }
    node.start()
    try:
        for name, body in handed_in.items():
            if door == "http":
                with closing(node.platform("ann")) as ann:
                    reply = ann.submit(body)
                assert reply.status == 202, reply.body
            else:
                place.lay(f"{name}.xml", body)
        folder = node.site.folder / "customs/out"
        files = until(lambda: sorted(folder.glob("[!.]*")), lambda found: len(found) == len(handed_in))
        if door == "folder":
            reports = until(lambda: place.shown("reports"), lambda found: len(found) == len(handed_in))
            assert {json.loads(place.read(f"reports/{name}"))["state"] for name in reports} == {"accepted"}
            until(lambda: place.names("in"), lambda found: not found)
            assert {name: place.read(f"done/{name}") for name in place.names("done")} == {
                f"{name}.xml": body for name, body in handed_in.items()
            }
    finally:
        node.stop()
    for file in files:
        raw = file.read_bytes()
        opened = unwrap(raw)
        assert opened.transfer is not None
        body = handed_in[opened.envelope.cop_msg_id]
        assert raw.startswith(b"<?xml")
        assert raw.count(element_of(body)) == 1, "byte for byte"
        assert raw.endswith(element_of(body) + b"</DxpMsgSv>")
        assert opened.business == unwrap(body).business
