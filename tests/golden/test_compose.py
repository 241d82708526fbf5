"""Composed samples, byte for byte: who changes the composer sees what changes for demo, tests and benchmarks."""

from pathlib import Path

import pytest

from gateway.samples.compose import Style
from tests.customs_side import sample

FOLDER = Path(__file__).parent / "composed"
GOLDEN = {
    "CEB621Message.xml": Style(indent="  "),
    "CEB303Message.xml": Style(
        prefix="", indent="\t", newline="\r\n", bom=True, xsi=False, extend=True, subscribe=1
    ),
    "CEB411Message.xml": Style(encoding="GB18030"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_composed_message_equals_the_kept_one(name: str) -> None:
    composed = sample(name.removesuffix(".xml"), seed=20241111, style=GOLDEN[name])

    assert composed.body == (FOLDER / name).read_bytes()
