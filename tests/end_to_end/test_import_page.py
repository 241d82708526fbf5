"""The page for people with a browser and a sheet, driven by a real one: drop, refused rows, mend, what customs said."""

from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from selenium.webdriver.support.ui import Select

from gateway.config.site import NewEnterprise
from gateway.model import EnterpriseId
from gateway.simulator.world import LocalWorld
from tests.browser import CHROMIUM, DRIVER, Page, browser
from tests.import_sources import inventories
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="needs Debian's chromium and chromium-driver"
)

OURS = NewEnterprise(id="ours", name="Ours", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",))
HOSTILE = "<img src=x onerror=alert(1)>"
"""As the head of a column: were it HTML, an alert would stop the browser's driver."""
PERSONS = ("990101198001010002", "钱样例", "13000000002")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    with LocalWorld(tmp_path_factory.mktemp("world"), transport="amqp", enterprises=(OURS,)) as made:
        yield made


@pytest.fixture
def page(world: LocalWorld, tmp_path: Path) -> Iterator[Page]:
    with browser(tmp_path) as made:
        made.driver.get(f"{world.address}/import")
        yield made
        assert made.errors() == []


def enter(page: Page, world: LocalWorld) -> None:
    page.at("token").send_keys(world.site.tokens[EnterpriseId(OURS.id)])
    page.at("token").submit()
    page.until_text("mapping", "inventories")
    assert page.at("token").get_attribute("value") == "", "the token is not left in the page"
    Select(page.at("mapping")).select_by_value("inventories")


def test_sheet_is_dropped_mended_and_answered_for(page: Page, world: LocalWorld, tmp_path: Path) -> None:
    enter(page, world)
    sheet = tmp_path / "parcels.csv"
    lines = inventories(5, wrong=[3]).decode().rstrip("\n").split("\n")
    sheet.write_text("\n".join([f"{lines[0]},{HOSTILE}", *(f"{line}," for line in lines[1:])]), "utf-8")

    page.drop("drop", sheet)

    page.until_text("state", "处理完毕")
    assert (page.text("taken"), page.text("refused-count"), page.text("messages")) == ("4", "1", "1")
    ((_, row, column, why, how),) = page.until_rows("refused-rows", 1)
    assert row == "4", "row 1 holds the heads"
    assert "原产国" in column
    assert why.count("\n") >= 1
    assert how.count("\n") >= 1
    assert HOSTILE in page.text("state"), "a column that no rule reads is named, as text"
    shown = page.driver.page_source
    assert not any(value in shown for value in PERSONS)

    page.until_rows("answer-rows", 4, "已有回执")
    assert {cells[1] for cells in page.rows("answer-rows")} == {"2", "3", "4", "5", "6"}, (
        "the refused row too"
    )
    page.driver.save_screenshot(str(tmp_path / "answered.png"))

    page.at("get-refused").click()
    (refused,) = until(lambda: list((tmp_path / "downloads").glob("*.xlsx")))
    mended = mend(refused, tmp_path / "mended.xlsx")
    page.drop("drop", mended)
    page.until_text("job-name", "mended.xlsx")
    page.until_text("state", "处理完毕")
    assert (page.text("taken"), page.text("refused-count")) == ("1", "0")
    page.until_rows("answer-rows", 1, "已有回执")
    page.driver.save_screenshot(str(tmp_path / "mended.png"))

    declared = [key for line in world.customs_saw() for key in line["keys"]]
    assert sorted(key["copNo"] for key in declared) == [f"C-{number:07}" for number in range(1, 6)]


def mend(refused: Path, into: Path) -> Path:
    """Set right what was refused, in the file that the page gave back."""
    book = openpyxl.load_workbook(refused)
    table = book.worksheets[0]
    heads = [cell.value for cell in table[1]]
    assert "网关：未接收原因" in heads
    table.cell(2, heads.index("origin") + 1).value = "609"
    book.save(into)
    return into


def test_who_has_no_token_is_told(page: Page) -> None:
    page.at("token").send_keys("nobody")
    page.at("token").submit()

    page.until_text("message", "身份未通过验证")
    assert not page.at("hand-in").is_displayed()
    (unauthorised,) = page.errors()  # the browser itself tells of every 401
    assert "401" in unauthorised


def test_page_keeps_no_token(page: Page, world: LocalWorld) -> None:
    enter(page, world)
    kept = page.driver.execute_script(
        "return JSON.stringify([localStorage.length, sessionStorage.length, document.cookie, location.href])"
    )
    assert kept == f'[0,0,"","{world.address}/import"]'
    page.driver.refresh()
    assert page.at("enter").is_displayed()
    assert not page.at("hand-in").is_displayed()
