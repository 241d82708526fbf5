"""`[[deliver]]`: what is right is read, what is wrong is told with its place."""

from pathlib import Path

import pytest

from gateway.config.enterprises import load_channels, load_enterprises
from gateway.config.site import DEMO, write_site
from gateway.errors import ConfigError

WEBHOOK = '[deliver.webhook]\nurl = "https://erp.example.com/in"\nsecret_file = "erp.secret"\n'


def folder_with(tmp_path: Path, toml: str, *, disabled: bool = False) -> Path:
    site = write_site(tmp_path / "site")
    file = site.enterprises / f"{DEMO.id}.toml"
    text = file.read_text("utf-8")
    file.write_text(
        (text.replace("disabled = false", "disabled = true") if disabled else text) + toml, "utf-8"
    )
    return site.enterprises


def error_of(tmp_path: Path, toml: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_channels(folder_with(tmp_path, toml), lease_s=60)
    return caught.value


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, f'[[deliver]]\nname = "erp"\n{WEBHOOK}')
    (channel,) = load_channels(folder, lease_s=60)
    assert channel.lane == f"@home/{DEMO.id}/erp"
    assert channel.deliver.webhook is not None
    assert channel.deliver.webhook.secret_file == folder / "erp.secret"
    assert list(load_enterprises(folder)) == [DEMO.id]


def test_who_is_disabled_gets_nothing(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, f'[[deliver]]\nname = "erp"\n{WEBHOOK}', disabled=True)
    assert load_channels(folder, lease_s=60) == ()


def test_the_commented_template_is_right_when_it_is_not_commented(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    file = site.enterprises / f"{DEMO.id}.toml"
    head, _, rest = file.read_text("utf-8").partition("# [[deliver]]\n")
    lines = ["[[deliver]]", *(line.removeprefix("# ") for line in rest.splitlines())]
    file.write_text(head + "\n".join("" if line == "#" else line for line in lines), "utf-8")

    found = load_channels(site.enterprises, lease_s=60)

    assert [one.deliver.kind for one in found] == ["webhook", "folder", "sftp", "rabbitmq", "amqp"]


@pytest.mark.parametrize(
    ("toml", "what"),
    [
        ('[[deliver]]\nname = "erp"\n', "0 ways out"),
        (f'[[deliver]]\nname = "erp"\n{WEBHOOK}[deliver.folder]\nsend_dir = "/x"\n', "2 ways out"),
        (f'[[deliver]]\nname = "erp"\n{WEBHOOK}' * 2, "one name"),
        (f'[[deliver]]\nname = "ERP/1"\n{WEBHOOK}', "Expected `str` matching"),
        (f'[[deliver]]\nname = "erp"\n{WEBHOOK}secret = "abc"\n', "unknown field `secret`"),
        (f'[[deliver]]\nname = "erp"\n{WEBHOOK.replace("https", "http")}', "unencrypted"),
        (f'[[deliver]]\nname = "erp"\n{WEBHOOK.replace("https", "ftp")}', "no address of a web server"),
        (f'[[deliver]]\nname = "erp"\n{WEBHOOK.replace("erp.e", "me:secret@erp.e")}', "user name"),
        (f'[[deliver]]\nname = "erp"\n{WEBHOOK.replace("/in", ":99999/")}', "url cannot be read"),
        (f'[[deliver]]\nname = "erp"\n{WEBHOOK}timeout_s = 45.0\n', "more than half of lease_s"),
        (f'[[deliver]]\nname = "erp"\ncontent = "raw"\n{WEBHOOK}', "is not for [deliver.webhook]"),
        (
            '[[deliver]]\nname = "erp"\n[deliver.folder]\nsend_dir = "/x"\nreceive_dir = "/y"\n',
            "receive_dir is not for",
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, toml: str, what: str) -> None:
    error = error_of(tmp_path, toml)
    assert what in error.what
    assert f"{DEMO.id}.toml" in error.where
    assert error.fix
    assert "secret@" not in str(error)


def test_a_missing_url_is_told_with_one_of_a_web_server(tmp_path: Path) -> None:
    error = error_of(tmp_path, '[[deliver]]\nname = "erp"\n[deliver.webhook]\nsecret_file = "erp.secret"\n')
    assert "https://" in error.fix
