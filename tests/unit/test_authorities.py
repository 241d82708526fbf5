"""Who may answer for whom: `authority` and `answers_for`."""

from pathlib import Path

import msgspec
import pytest

from gateway.config.gateway_toml import LOCAL, Config, load_config
from gateway.config.site import write_site
from gateway.errors import ConfigError
from gateway.receipts.authorities import Authorities
from tests.command_line import invoke, lines
from tests.unit.test_new_messages import config, destination


def links(**said: dict[str, object]) -> Config:
    made = [destination(name, "import") for name in said]
    return config(*(msgspec.structs.replace(one, **said[one.name]) for one in made))


COMMON = Authorities(links(a={}, b={}, partner={"authority": "partner"}, sibling={"authority": "partner"}))


@pytest.mark.parametrize(
    ("origins", "carriers", "may"),
    [
        ("a", "a", True),
        ("a", "b", True),
        ("partner", "a", False),
        ("a", "partner", False),
        ("partner", "sibling", True),
        ("partner", "a partner", True),
        ("partner a", "b", True),
        ("gone", "a", True),
        ("a", "gone", True),
        ("partner", "gone", False),
        (LOCAL, LOCAL, True),
        ("a", LOCAL, False),
        (LOCAL, "a", False),
        ("a", "", False),
    ],
)
def test_by_default_destinations_answer_for_themselves_and_their_authority(
    origins: str, carriers: str, may: bool
) -> None:
    assert COMMON.may_answer(origins.split(), carriers.split()) is may


def test_names_stand_in_place_of_the_authority() -> None:
    named = Authorities(
        links(
            a={"answers_for": ("partner",)}, b={}, partner={"authority": "partner"}, none={"answers_for": ()}
        )
    )
    assert named.answers_for("a") == ("a", "partner")
    assert named.answers_for("none") == ("none",)
    assert named.answers_for("b") == ("a", "b", "none")


SECOND = '\n[[destination]]\nname = "partner"\n{}\n[destination.folder]\nsend_dir = "state/o"\nreceive_dir = "state/i"\n'


def test_check_tells_who_answers_for_whom_where_there_are_several(tmp_path: Path) -> None:
    file = write_site(tmp_path).config

    def told() -> dict[str, str]:
        checks = lines(invoke("check", "-c", file, "--json"))
        return {one["name"]: one["detail"] for one in checks if one["name"].endswith("answers for")}

    assert told() == {}
    file.write_text(
        file.read_text("utf-8") + SECOND.format('authority = "partner"\nanswers_for = ["customs"]'), "utf-8"
    )
    assert told() == {"customs answers for": "itself alone", "partner answers for": "itself and customs"}


def test_a_name_that_is_no_destination_is_refused(tmp_path: Path) -> None:
    file = write_site(tmp_path).config
    file.write_text(file.read_text("utf-8") + SECOND.format('answers_for = ["custom"]'), "utf-8")
    with pytest.raises(ConfigError, match="there is no destination custom") as caught:
        load_config(file)
    assert "answers_for" in caught.value.where
