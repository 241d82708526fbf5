"""[[door]] tables: each kind is read, mistakes are named, and no two doors share a place."""

import re
from pathlib import Path

import pytest

from gateway.config.doors import AmqpDoor, FolderDoor, RabbitmqDoor, kind_of
from gateway.config.enterprises import load_doors
from gateway.config.site import DEMO, enterprise_toml
from gateway.doors.drop.queue import link_of
from gateway.errors import ConfigError
from gateway.model import EnterpriseId

BASE = f'name = "x"\ncop_codes = ["1"]\ndxp_ids = ["D"]\ntoken_sha256 = "{"0" * 64}"\n'
FOLDER = (
    '[[door]]\nkind = "folder"\ndir = "{0}/in"\nreports_dir = "{0}/reports"\nrejected_dir = "{0}/rejected"\n'
)
RABBITMQ = (
    '[[door]]\nkind = "rabbitmq"\nhosts = ["amqp://mq:5672"]\nqueue = "{0}"\nreply_queue = "{0}-replies"\n'
)
AMQP = '[[door]]\nkind = "amqp"\nurl = "amqp://mq:5672"\nqueue = "{0}"\nreply_queue = "{0}-replies"\n'


def write(folder: Path, **doors: str) -> Path:
    for owner, toml in doors.items():
        (folder / f"{owner}.toml").write_text(BASE + toml, "utf-8")
    return folder


def test_every_kind_is_read_and_paths_count_from_the_folder_of_enterprises(tmp_path: Path) -> None:
    toml = (
        FOLDER.format("/srv/ann").replace('"/srv/ann/in"', '"../ann/in"')
        + RABBITMQ.format("q")
        + AMQP.format("a")
    )
    doors = load_doors(write(tmp_path, ann=toml, bob=""))
    assert list(doors) == ["ann"], "those that have some"
    folder, rabbitmq, amqp = doors[EnterpriseId("ann")]
    assert isinstance(folder, FolderDoor)
    assert (folder.dir, folder.reports_dir, folder.done_dir) == (
        tmp_path / "../ann/in",
        Path("/srv/ann/reports"),
        None,
    )
    assert folder.stable_s == 5.0, "nobody has said that files are renamed"
    assert [kind_of(one) for one in (folder, rabbitmq, amqp)] == ["folder", "rabbitmq", "amqp"]
    assert isinstance(rabbitmq, RabbitmqDoor)
    assert isinstance(amqp, AmqpDoor)
    link = link_of(rabbitmq)
    assert (link.send_queue, link.receive_queues, link.exchange, link.prefetch) == (
        "q-replies",
        ("q",),
        "",
        20,
    )
    assert (link_of(amqp).send_address, link_of(amqp).receive_address) == ("a-replies", "a")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[[door]]\nkind = "ftp"\n', "ftp"),
        ('[[door]]\ndir = "x"\n', "kind"),
        (FOLDER.format("x") + "stabel_s = 1\n", "stabel_s"),
        (FOLDER.format("x") + "stable_s = -1\n", ">= 0"),
        (RABBITMQ.format("q").replace('reply_queue = "q-replies"\n', ""), "reply_queue"),
        (RABBITMQ.format("q") + "prefetch = 0\n", ">= 1"),
        (FOLDER.format("x").replace("x/reports", "x/in"), "takes from where this one puts"),
        (FOLDER.format("x").replace("x/rejected", "x/y/../in/"), "takes from where this one puts"),
        (RABBITMQ.format("q").replace("q-replies", "q"), "takes from where this one puts"),
    ],
)
def test_mistake_is_named_with_its_file_and_a_cure(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_doors(write(tmp_path, ann=toml))
    assert said in str(caught.value)
    assert "ann.toml" in caught.value.where
    assert caught.value.fix


@pytest.mark.parametrize(
    ("ann", "bob"),
    [
        (FOLDER.format("x"), FOLDER.format("x")),
        (FOLDER.format("x"), FOLDER.format("y").replace("y/in", "x/in")),
        (FOLDER.format("x"), FOLDER.format("y").replace("y/reports", "x/reports")),
        (FOLDER.format("x"), FOLDER.format("y").replace("y/rejected", "x/in")),
        (RABBITMQ.format("q"), RABBITMQ.format("q")),
        (RABBITMQ.format("q"), RABBITMQ.format("p").replace("p-replies", "q-replies")),
        (RABBITMQ.format("q"), RABBITMQ.format("q-replies")),
        (AMQP.format("q"), AMQP.format("q")),
    ],
)
def test_no_two_enterprises_share_a_place(tmp_path: Path, ann: str, bob: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_doors(write(tmp_path, ann=ann, bob=bob))
    assert "of its own" in caught.value.fix


def test_doors_of_one_enterprise_may_report_to_one_place(tmp_path: Path) -> None:
    toml = RABBITMQ.format("q") + RABBITMQ.format("p").replace("p-replies", "q-replies")
    assert len(load_doors(write(tmp_path, ann=toml))[EnterpriseId("ann")]) == 2


def test_commented_tables_of_a_new_enterprise_are_right_once_the_hashes_are_gone(tmp_path: Path) -> None:
    """Every key of every kind stands there."""
    text = enterprise_toml(DEMO, "token")
    start, end = text.index("# [[door]]"), text.index("# Its answers can be fetched")
    text = text[:end]
    (tmp_path / "ann.toml").write_text(
        text[:start] + re.sub(r"^# ", "", text[start:], flags=re.MULTILINE), "utf-8"
    )
    doors = load_doors(tmp_path)[EnterpriseId("ann")]
    assert [kind_of(door) for door in doors] == ["folder", "rabbitmq", "amqp"]
    for door in doors:
        keys = door.__struct_fields__
        assert [key for key in keys if f"\n# {key} = " not in text] == []
