"""`gateway codes`: what is learned is shown, exported and imported; what few have in common is not."""

from contextlib import closing
from pathlib import Path
from shutil import copytree

import pytest
from rich.cells import cell_len

from gateway.config.gateway_toml import LimitsConfig
from gateway.config.site import DEMO, write_site
from gateway.keys.node_key import node_key
from gateway.receipts.learning.code_scan import CodeScan
from spool.entry import Tally
from tests.command_line import Node, lines, node_at
from tests.documents import inventory, receipt
from tests.spool_samples import START

REFUSED = {"returnStatus": "100", "returnTime": "20250102030405678"}
RELEASED = {"returnStatus": "800", "returnTime": "20250102040405678", "returnInfo": "[Code:2600;Desc:放行]"}
BUYER = "<ceb:buyerName>张三", "<ceb:buyerName>李四"
ADDRESS = "100: 收货地址*不存在"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("site") / "s", enterprises=(DEMO,), port=0).folder


@pytest.fixture
def node(template: Path, tmp_path: Path) -> Node:
    return node_at(Path(copytree(template, tmp_path / "site")))


def learn(node: Node) -> None:
    with closing(node.app.spool()) as spool:
        while CodeScan(spool, node.app.rules, LimitsConfig(), ["demo"]).look():
            continue


def correct(node: Node, info: str, *cop_nos: str) -> None:
    """Have these refused with a text, corrected by another name of the buyer, and released."""
    names = {"cop_code": DEMO.cop_codes[0], "dxp_id": DEMO.dxp_ids[0]}
    node.accept(inventory(*cop_nos, **names))
    node.collect(
        *(receipt("CEB622Message", {"copNo": one, "returnInfo": info, **REFUSED}) for one in cop_nos)
    )
    again = inventory(*cop_nos, app_type="2", app_time="20250102030406", **names).decode().replace(*BUYER)
    node.accept(again.encode())
    node.collect(*(receipt("CEB622Message", {"copNo": one, **RELEASED}) for one in cop_nos))
    learn(node)


@pytest.fixture
def taught(node: Node) -> Node:
    correct(node, "[Code:13127;Desc:x]", *(f"COP-{number}" for number in range(4)))
    correct(node, "收货地址(示例)不存在", "COP-A", "COP-B", "COP-C")
    correct(node, "运单(示例)重复", "COP-X", "COP-Y")
    return node


def test_list_shows_codes_with_what_changed_most_often_in_80_columns(taught: Node) -> None:
    told = taught.run("codes", "list")
    assert told.exit_code == 0
    first, *rows = told.stdout.splitlines()
    assert first.split() == ["code", "seen", "cured", "last", "seen", "changed", "most", "often"]
    assert [row.split()[0] for row in rows][:2] == ["2600", "13127"]
    assert "InventoryHead/buyerName" in rows[1]
    assert max(map(cell_len, told.stdout.splitlines())) <= 80


def test_texts_that_only_two_declarations_had_are_shown_nowhere(taught: Node) -> None:
    (address,) = [
        line for line in lines(taught.run("codes", "list", "--json")) if line["code"].startswith("100")
    ]
    assert (address["code"], address["learned"][0]["counts"]["cured"]) == (ADDRESS, 3)
    assert taught.run("codes", "show", "100: 运单").exit_code == 1
    assert "重复" not in taught.run("codes", "export").stdout


def test_all_shows_our_tables_too(node: Node) -> None:
    assert lines(node.run("codes", "list", "--json")) == []
    every = {line["code"]: line for line in lines(node.run("codes", "list", "--all", "--json"))}
    assert {"1300", "22001", "501", "-621029", "payment_missing"} <= set(every)
    assert every["1313"]["meaning"]["who"] == ["nobody"]
    assert max(map(cell_len, node.run("codes", "list", "--all").stdout.splitlines())) <= 80


def test_show_says_what_a_code_means_who_acts_and_what_cured_it(taught: Node) -> None:
    told = taught.run("codes", "show", "13127").stdout
    for text in ("清单与订单的订购人姓名不一致", "报关企业 / the broker", "100 %  InventoryHead/buyerName"):
        assert text in told
    assert "100 %  InventoryHead/buyerName" in taught.run("codes", "show", "100: 收货").stdout
    assert "never seen here" in taught.run("codes", "show", "22007").stdout
    assert "仅在部分关区出现" in taught.run("codes", "show", "22007").stdout
    unknown = taught.run("codes", "show", "4711")
    assert (unknown.exit_code, "no table explains 4711" in unknown.stderr) == (1, True)


def test_trace_says_what_cured_a_code_once_three_were_cured_of_it(taught: Node) -> None:
    told = taught.run("trace", "CEB621Message copNo=COP-1").stdout
    assert "13127: 清单与订单的订购人姓名不一致" in told
    assert "often cured by: InventoryHead/buyerName" in told
    (life, *_) = lines(taught.run("trace", "CEB621Message copNo=COP-A", "--json"))
    answers = life["declarations"][0]["answers"]
    assert answers[0]["meaning"]["cured_by"] == ["InventoryHead/buyerName"]
    assert answers[1]["meaning"]["cured_by"] == []
    (life, *_) = lines(taught.run("trace", "CEB621Message copNo=COP-X", "--json"))
    assert life["declarations"][0]["answers"][0]["meaning"]["cured_by"] == []


def test_what_one_node_exports_another_imports_once_and_keeps_apart(
    taught: Node, template: Path, tmp_path: Path
) -> None:
    other = node_at(Path(copytree(template, tmp_path / "other")))
    key, file = str(node_key(taught.app.config).public), tmp_path / "codes.txt"
    assert taught.run("codes", "export", "-o", file).exit_code == 0
    content = file.read_text("utf-8")
    for secret in ("张三", "李四", "COP-", "示例", "demo"):
        assert secret not in content

    for taken in (True, False):
        (told,) = lines(other.run("codes", "import", file, "--key", key, "--json"))
        assert (told["taken"], told["codes"]) == (taken, 3)
        assert lines(other.run("codes", "list", "--json")) == [], "it is not what this node has seen"
        (shown,) = lines(other.run("codes", "show", "13127", "--json"))
        (learned,) = shown["learned"]
        assert (learned["origin"], learned["counts"]["cured"]) == (told["origin"], 4)
    assert "nothing new" in other.run("codes", "import", file, "--key", key).stdout


def test_import_needs_the_key_of_the_node_that_wrote_it(taught: Node, template: Path, tmp_path: Path) -> None:
    other = node_at(Path(copytree(template, tmp_path / "other")))
    file = tmp_path / "codes.txt"
    taught.run("codes", "export", "-o", file)
    wrong = other.run("codes", "import", file, "--key", str(node_key(other.app.config).public))
    assert (wrong.exit_code, "not signed by" in wrong.stderr) == (2, True)
    own = taught.run("codes", "import", file, "--key", str(node_key(taught.app.config).public))
    assert (own.exit_code, "wrote that file itself" in own.stderr) == (2, True)


def test_counts_of_very_many_nodes_are_not_taken(taught: Node, template: Path, tmp_path: Path) -> None:
    other = node_at(Path(copytree(template, tmp_path / "other")))
    with closing(other.app.spool()) as spool:
        for number in range(100):
            seen = Tally(
                name="code.seen", subject="1300", origin=f"o{number}", n=1, first_at=START, last_at=START
            )
            assert spool.replace_tallies(seen.origin, [seen], scan=f"codes of {seen.origin}", reached=1)
    file = tmp_path / "codes.txt"
    taught.run("codes", "export", "-o", file)
    full = other.run("codes", "import", file, "--key", str(node_key(taught.app.config).public))
    assert (full.exit_code, "no more are taken" in full.stderr) == (2, True)
