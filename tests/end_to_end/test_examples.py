"""What docs/examples and docs/client.md show to platforms is run, against a real gateway with customs behind it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.client import GatewayClient, ProblemView, Submitted
from gateway.config.site import DEMO
from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld
from gateway.views.api import StatusView, TimelineView
from tests.generated import REPOSITORY
from tests.platforms import rng

EXAMPLES = REPOSITORY / "docs" / "examples"
COMMANDS = {
    "curl": ["sh", str(EXAMPLES / "submit.sh")],
    "python": [sys.executable, "-I", str(EXAMPLES / "submit.py")],
    "java": ["java", str(EXAMPLES / "Submit.java")],
    "php": ["php", str(EXAMPLES / "submit.php")],
}
NEEDS = {"curl": ("curl", "jq"), "java": ("java", "javac"), "php": ("php",)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    world = LocalWorld(tmp_path_factory.mktemp("examples"))
    text = world.site.config.read_text("utf-8")
    world.site.config.write_text(text.replace("[journal]\n", "[journal]\nevery_s = 0.1\n"), "utf-8")
    with world:
        yield world


def inventories(file: Path, *numbers: str) -> Path:
    whole = compose(
        "CEB621Message", cop_code=DEMO.cop_codes[0], dxp_id=DEMO.dxp_ids[0], rng=rng(len(str(file))),
        bodies=len(numbers), overrides={"copNo": "NUMBER"},
    ).body.decode()  # fmt: skip
    for number in numbers:
        whole = whole.replace("<ceb:copNo>NUMBER<", f"<ceb:copNo>{number}<", 1)
    file.write_text(whole, "utf-8")
    return file


def environment(world: LocalWorld, **more: str) -> dict[str, str]:
    token_file = world.site.token_file(next(iter(world.site.tokens)))
    return os.environ | {"GATEWAY_URL": world.address, "GATEWAY_TOKEN_FILE": str(token_file), **more}


def run(language: str, world: LocalWorld, file: Path) -> subprocess.CompletedProcess[str]:
    missing = [tool for tool in NEEDS.get(language, ()) if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not on this machine")
    return subprocess.run(
        [*COMMANDS[language], str(file)],
        env=environment(world), capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("language", COMMANDS)
def test_example_submits_waits_for_its_answers_and_acknowledges(
    world: LocalWorld, tmp_path: Path, language: str
) -> None:
    file = inventories(tmp_path / "declared.xml", f"{language}-1-T100", f"{language}-2-TOK")
    done = run(language, world, file)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    (accepted,) = [line for line in lines if line.startswith("accepted: ")]
    assert lines[-1] == accepted.replace("accepted", "decided")
    assert any(line.startswith("CEB622Message 100 refused") for line in lines)
    assert any(line.startswith("CEB622Message 800 ") for line in lines)
    with closing(GatewayClient(world.address, next(iter(world.site.tokens.values())))) as client:
        read = client.acknowledge(0)
        assert not isinstance(read, ProblemView)
        assert read.cursor > 0
        assert client.content(accepted.split()[1]) == file.read_bytes()


@pytest.mark.parametrize("language", COMMANDS)
def test_example_shows_the_problem_when_the_gateway_refuses(
    world: LocalWorld, tmp_path: Path, language: str
) -> None:
    file = inventories(tmp_path / "broken.xml", "C1")
    file.write_text(re.sub("<ceb:copNo>.*?</ceb:copNo>", "", file.read_text("utf-8")), "utf-8")
    done = run(language, world, file)
    assert done.returncode == 1, done.stdout
    assert "invalid-message" in done.stderr
    assert "copNo" in done.stderr
    assert "报文不符合海关规范" in done.stderr


def test_example_of_the_client_does_what_its_page_says(world: LocalWorld, tmp_path: Path) -> None:
    (code,) = re.findall(
        r"^```python\n(.*?)^```$",
        (REPOSITORY / "docs" / "client.md").read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    file = inventories(tmp_path / "declared.xml", "client-1-TOK")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(world, MESSAGE=str(file)), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"accepted [0-9A-F-]{36} first\n", done.stdout)
    assert done.stdout.endswith("evidence True\n")


def test_client_reads_back_all_that_belongs_to_a_message(world: LocalWorld, tmp_path: Path) -> None:
    body = inventories(tmp_path / "declared.xml", "client-2-TOK").read_bytes()
    with closing(GatewayClient(world.address, next(iter(world.site.tokens.values())))) as client:
        submitted = client.submit(body)
        assert isinstance(submitted, Submitted)
        first = next(
            receipt
            for page in client.pages(wait_s=30)
            for receipt in page.receipts
            if receipt.bodies[0].fields.get("copNo") == "client-2-TOK"
        )
        bytes_of_it = client.receipt_content(first.id)
        assert isinstance(bytes_of_it, bytes)
        assert first.message_type.encode() in bytes_of_it
        status = client.message(submitted.message.id)
        assert isinstance(status, StatusView)
        assert status.state in {"sending", "sent"}
        key = " ".join(f"{name}={text}" for name, text in submitted.message.declarations[0].key.items())
        timeline = client.declaration("CEB621Message", key)
        assert isinstance(timeline, TimelineView)
        assert timeline.answers
