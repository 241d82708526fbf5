"""A running node learns which field cures a code, and tells its enterprise; its keeper may die meanwhile."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.command_line import invoke
from tests.documents import inventory, receipt
from tests.door_node import ANN, DoorNode
from tests.platforms import Platform
from tests.waiting import until

COP_NOS = [f"COP-{number}" for number in range(4)]
NAMES = {"cop_code": ANN.cop_codes[0], "dxp_id": ANN.dxp_ids[0]}


def answer(node: DoorNode, name: str, status: str, info: str, time: str) -> None:
    """Lay an answer to each declaration where customs lays them."""
    told = {"returnStatus": status, "returnInfo": info, "returnTime": time}
    part = node.site.folder / f"{name}.part"
    part.write_bytes(receipt("CEB622Message", *({"copNo": one, **told} for one in COP_NOS)))
    part.rename(node.site.folder / "customs/in" / f"{name}.xml")


def submitted(platform: Platform, node: DoorNode, body: bytes) -> None:
    """Hand a message in and wait until customs has it."""
    reply = platform.submit(body)
    assert reply.status == 202, reply.body
    until(lambda: reply.json()["id"] in node.at_customs(), bool)


def learned(node: DoorNode, code: str) -> dict[str, Any]:
    told = invoke("codes", "show", code, "--json", "-c", node.site.config)
    found = json.loads(told.stdout)["learned"]
    return found[0]["counts"] if found else {}


def standing(platform: Platform) -> dict[str, Any]:
    reply = platform.ask("GET", "/v1/declarations?type=CEB621Message&key=copNo%3DCOP-1")
    shown: dict[str, Any] = reply.json()
    return shown


def test_node_learns_which_field_cures_a_code(tmp_path: Path) -> None:
    node = DoorNode(tmp_path, {})
    with node.running(), closing(node.platform("ann")) as ann:
        submitted(ann, node, inventory(*COP_NOS, **NAMES))
        answer(node, "one", "100", "[Code:13127;Desc:订购人姓名[张三]不一致]", "20250102030405678")
        until(lambda: learned(node, "13127"), bool)
        node.kill("keep")
        body = inventory(*COP_NOS, app_type="2", app_time="20250102030406", **NAMES).decode()
        submitted(ann, node, body.replace("<ceb:buyerName>张三", "<ceb:buyerName>李四").encode())
        text = "新增申报成功;对应电商平台为[4400000002]订单号为[ORDER-1]支付信息不存在"
        answer(node, "two", "2", text, "20250102040405678")
        until(lambda: learned(node, "payment_missing"), bool)
        answer(node, "three", "800", "[Code:2600;Desc:放行]", "20250102050405678")
        counts = until(lambda: learned(node, "13127"), lambda found: found["cured"] > 0)
        assert (counts["seen"], counts["declarations"], counts["cured"]) == (4, 4, 4)
        assert counts["fields"] == [{"name": "InventoryHead/buyerName", "n": 4}]

        answers = standing(ann)["answers"]
        assert [[news["code"] for news in one["meaning"]["news"]] for one in answers] == [
            ["13127"], ["payment_missing"], ["2600"],
        ]  # fmt: skip
        (name, *_) = answers[0]["meaning"]["news"]
        assert (name["who"], name["cured_by"]) == (["broker", "platform"], ["InventoryHead/buyerName"])
        (one,) = standing(ann)["declarations"]
        assert (one["business"], one["outcome"], one["tax"]) == ("800", "accepted", None)
