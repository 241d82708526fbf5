"""Headless Chromium, as Debian ships it, for pages that people use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM: Final = Path("/usr/bin/chromium")
DRIVER: Final = Path("/usr/bin/chromedriver")
_WAIT_S: Final = 60
_DROP: Final = """
const [target, input] = arguments;
const dropped = new DataTransfer();
for (const file of input.files) dropped.items.add(file);
target.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: dropped}));
input.remove();
"""


class Page:
    """A page in the browser, spoken of by the ids of its elements."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def at(self, name: str) -> WebElement:
        return self.driver.find_element("id", name)

    def text(self, name: str) -> str:
        return self.at(name).text

    def until_text(self, name: str, text: str) -> str:
        """Wait until an element shows a text; returns all that it shows."""
        WebDriverWait(self.driver, _WAIT_S).until(
            lambda _: text in self.text(name), f"{name} shows {self.text(name)!r} and not {text!r}"
        )
        return self.text(name)

    def rows(self, name: str) -> list[list[str]]:
        """The cells of the body of a table."""
        rows: list[list[str]] = self.driver.execute_script(
            "return [...document.getElementById(arguments[0]).rows].map((row) => [...row.cells].map((cell) => cell.innerText))",
            name,
        )
        return rows

    def until_rows(self, name: str, count: int, text: str = "") -> list[list[str]]:
        """Wait until a table has so many rows that hold a text."""
        WebDriverWait(self.driver, _WAIT_S).until(
            lambda _: sum(any(text in cell for cell in row) for row in self.rows(name)) == count,
            f"not {count} rows with {text!r} in {name}",
        )
        return self.rows(name)

    def drop(self, name: str, file: Path) -> None:
        """Drop a file on an element, as a hand does."""
        loader = self.driver.execute_script(
            "const one = document.createElement('input'); one.type = 'file'; document.body.append(one); return one;"
        )
        loader.send_keys(str(file))
        self.driver.execute_script(_DROP, self.at(name), loader)

    def errors(self) -> list[str]:
        """What the browser complained of: scripts that failed, things that the page's policy forbade."""
        told = self.driver.get_log("browser")  # type: ignore[no-untyped-call]  # forgets what it has told
        return [one["message"] for one in told if one["level"] == "SEVERE"]


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A browser whose profile and downloads are in a folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "--headless=new", f"--user-data-dir={folder / 'profile'}", "--window-size=1100,1400", "--lang=zh-CN",
        "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--no-first-run",
        "--proxy-server=direct://",
    ):  # fmt: skip
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    downloads = folder / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield Page(driver)
    finally:
        driver.quit()
