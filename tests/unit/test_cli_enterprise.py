"""`gateway enterprise`: tenants by file, tokens that are shown once."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pytest

from gateway.app.build import App
from gateway.config.enterprises import load_enterprises
from gateway.config.site import SENSIBLE, write_site
from gateway.model import Enterprise, EnterpriseId, Quota
from tests.command_line import invoke, lines


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("template") / "site", port=0).folder


@pytest.fixture
def site(template: Path, tmp_path: Path) -> Path:
    return Path(copytree(template, tmp_path / "site")) / "gateway.toml"


def loaded(site: Path, name: str) -> Enterprise:
    return load_enterprises(site.parent / "enterprises")[EnterpriseId(name)]


def test_added_enterprise_is_let_in_with_the_token_that_is_shown(site: Path) -> None:
    options = ("--name", "示例店铺", "--cop-code", "1", "--cop-code", "2", "--dxp-id", "D1", "--key", "node")
    (line,) = lines(invoke("enterprise", "add", "shop", *options, "-c", site, "--json"))
    one = loaded(site, "shop")
    assert one.token_sha256 == (hashlib.sha256(line["token"].encode()).hexdigest(),)
    assert (one.name, one.key) == ("示例店铺", "node")
    assert (sorted(one.cop_codes), sorted(one.dxp_ids)) == (["1", "2"], ["D1"])
    assert (site.parent / "enterprises" / "shop.toml").stat().st_mode & 0o777 == 0o600


def test_codes_that_it_acts_for_are_written_shown_and_missed_where_a_dxp_id_is_shared(site: Path) -> None:
    options = ("--cop-code", "1", "--dxp-id", "D1", "--acts-for", "E1", "--acts-for", "E2", "-c", site)
    assert invoke("enterprise", "add", "shop", *options).exit_code == 0
    assert loaded(site, "shop").acts_for == {"E1", "E2"}
    (line,) = lines(invoke("enterprise", "show", "shop", "-c", site, "--json"))
    assert line["acts_for"] == ["E1", "E2"]
    for arguments in (("list",), ("show", "shop")):
        assert "E1 E2" in invoke("enterprise", *arguments, "-c", site).stdout

    alone = invoke("enterprise", "add", "alone", "--cop-code", "2", "--dxp-id", "D2", "-c", site)
    shared = invoke("enterprise", "add", "twin", "--cop-code", "3", "--dxp-id", "D1", "-c", site)
    assert "shared" not in alone.stderr
    assert "D1 is shared with shop" in shared.stderr


def test_enterprise_is_never_replaced_and_names_and_keys_are_checked(site: Path) -> None:
    before = loaded(site, "demo")
    options = ("--cop-code", "1", "--dxp-id", "D", "-c", site)
    assert invoke("enterprise", "add", "demo", *options).exit_code == 2
    assert invoke("enterprise", "add", "../x", *options).exit_code == 2
    assert invoke("enterprise", "add", "new", *options, "--key", "none").exit_code == 2
    assert invoke("enterprise", "add", "new", "-c", site).exit_code == 2
    assert loaded(site, "demo") == before
    assert len(list((site.parent / "enterprises").iterdir())) == 1


def test_list_and_show_never_tell_a_token(site: Path) -> None:
    token = (site.parent / "demo.token").read_text().strip()
    for arguments in (("list",), ("show", "demo"), ("list", "--json"), ("show", "demo", "--json")):
        result = invoke("enterprise", *arguments, "-c", site)
        assert result.exit_code == 0
        assert "4400000001" in result.stdout
        assert token not in result.stdout


def test_new_token_stands_beside_the_old_one_and_nothing_else_changes(site: Path) -> None:
    file = site.parent / "enterprises" / "demo.toml"
    file.write_text(file.read_text() + "# agreed with Zhang on the telephone\n")
    before = loaded(site, "demo")
    (line,) = lines(invoke("enterprise", "rotate-token", "demo", "-c", site, "--json"))
    after = loaded(site, "demo")
    assert after.token_sha256 == (*before.token_sha256, digest(line["token"]))
    assert (after.name, after.cop_codes, after.dxp_ids) == (before.name, before.cop_codes, before.dxp_ids)
    assert "# agreed with Zhang" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def test_old_tokens_end_when_somebody_says_so(site: Path) -> None:
    tokens = [
        lines(invoke("enterprise", "rotate-token", "demo", "-c", site, "--json"))[0]["token"] for _ in "12"
    ]
    (view,) = lines(invoke("enterprise", "show", "demo", "-c", site, "--json"))
    assert view["tokens"] == 3
    result = invoke("enterprise", "end-token", "demo", "--sha256", digest(tokens[0])[:12], "-c", site)
    assert result.exit_code == 0
    assert digest(tokens[0]) not in loaded(site, "demo").token_sha256
    assert len(loaded(site, "demo").token_sha256) == 2
    assert invoke("enterprise", "end-token", "demo", "-c", site).exit_code == 0
    assert loaded(site, "demo").token_sha256 == (digest(tokens[1]),)
    assert invoke("enterprise", "end-token", "demo", "-c", site).exit_code == 1, "the last one stays"
    (line,) = lines(invoke("enterprise", "rotate-token", "demo", "--end-old", "-c", site, "--json"))
    assert loaded(site, "demo").token_sha256 == (digest(line["token"]),)


def test_token_is_added_to_a_file_of_any_form(site: Path) -> None:
    file = site.parent / "enterprises" / "demo.toml"
    (old,) = loaded(site, "demo").token_sha256
    plain = [line for line in file.read_text().splitlines() if not line.startswith("token_sha256")]
    tables = "\n[quota]\nmessages_per_minute = 5\n"
    for tokens, kept in (
        (f'token_sha256 = "{old}"', (old,)),
        (f'token_sha256 = [\n  "{old}",  # agreed by telephone\n]', (old,)),
        (f'token_sha256 = "{old}"  # agreed with Zhang', (old,)),
        (f'token_sha256=["{old}"]   # agreed with Zhang', (old,)),
        ("", ()),
    ):
        file.write_text("\n".join([*plain, tokens]) + tables)
        (line,) = lines(invoke("enterprise", "rotate-token", "demo", "-c", site, "--json"))
        assert loaded(site, "demo").token_sha256 == (*kept, digest(line["token"]))
        assert ("# agreed with Zhang" in file.read_text()) == ("Zhang" in tokens)
        quota = loaded(site, "demo").quota
        assert quota is not None
        assert quota.messages_per_minute == 5


def test_file_that_cannot_be_changed_by_one_value_stays_as_it_is(site: Path) -> None:
    file = site.parent / "enterprises" / "demo.toml"
    text = file.read_text().replace("token_sha256", '"token_sha256"')
    file.write_text(text)
    result = invoke("enterprise", "rotate-token", "demo", "-c", site)
    assert (result.exit_code, "cannot change token_sha256 by itself" in result.stderr) == (2, True)
    assert file.read_text() == text


def test_tokens_are_bounded(site: Path) -> None:
    results = [invoke("enterprise", "rotate-token", "demo", "-c", site) for _ in range(10)]
    assert [one.exit_code for one in results] == [0] * 9 + [2]


def test_disabling_can_be_undone(site: Path) -> None:
    assert invoke("enterprise", "disable", "demo", "-c", site).exit_code == 0
    assert loaded(site, "demo").disabled
    assert invoke("enterprise", "disable", "demo", "--undo", "-c", site).exit_code == 0
    assert not loaded(site, "demo").disabled


def test_disabling_works_on_a_file_that_does_not_say_whether_it_is(site: Path) -> None:
    file = site.parent / "enterprises" / "demo.toml"
    file.write_text(file.read_text().replace("disabled = false", ""))
    assert invoke("enterprise", "disable", "demo", "-c", site).exit_code == 0
    assert loaded(site, "demo").disabled


@pytest.mark.parametrize("command", ["show", "rotate-token", "disable"])
def test_unknown_enterprise_ends_with_1(site: Path, command: str) -> None:
    result = invoke("enterprise", command, "nobody", "-c", site)
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_token_may_have_a_last_day_which_ends_with_it(site: Path) -> None:
    (first,) = loaded(site, "demo").token_sha256
    rotate = ("enterprise", "rotate-token", "demo", "-c", site, "--json")
    tokens = [lines(invoke(*rotate, "--until", day))[0]["token"] for day in ("2099-06-30", "2099-12-31")]
    one = loaded(site, "demo")
    assert one.token_sha256 == (first, *map(digest, tokens))
    assert {name[:8]: f"{end:%Y-%m-%d}" for name, end in one.token_until.items()} == {
        digest(tokens[0])[:8]: "2099-07-01",
        digest(tokens[1])[:8]: "2100-01-01",
    }
    (view,) = lines(invoke("enterprise", "show", "demo", "-c", site, "--json"))
    assert view["until"] == {digest(tokens[0])[:8]: "2099-06-30", digest(tokens[1])[:8]: "2099-12-31"}
    assert "2099-12-31" in invoke("enterprise", "show", "demo", "-c", site).stdout
    assert invoke("enterprise", "end-token", "demo", "--sha256", digest(tokens[0]), "-c", site).exit_code == 0
    assert list(loaded(site, "demo").token_until) == [digest(tokens[1])]
    invoke("enterprise", "rotate-token", "demo", "--end-old", "-c", site)
    assert loaded(site, "demo").token_until == {}


def test_a_date_for_a_token_that_is_not_there_is_a_mistake(site: Path) -> None:
    file = site.parent / "enterprises" / "demo.toml"
    file.write_text(
        file.read_text().replace("# token_until = {}", f'token_until = {{"{"0" * 64}" = 2099-01-01}}')
    )
    result = invoke("enterprise", "list", "-c", site)
    assert (result.exit_code, "token_until names a token" in result.stderr) == (1, True)


def test_check_warns_of_tokens_and_keys_that_end_soon(site: Path) -> None:
    today = datetime.now(UTC).date()
    (site.parent / "enterprises" / "demo.hmac").write_text("s" * 40)
    file = site.parent / "enterprises" / "demo.toml"
    hmac = f'\n[[hmac]]\nkey = "demo-1"\nsecret_file = "demo.hmac"\nuntil = {today - timedelta(days=3)}\n'
    file.write_text(file.read_text() + hmac)
    for days in (200, 10):
        until = f"{today + timedelta(days=days)}"
        assert invoke("enterprise", "rotate-token", "demo", "--until", until, "-c", site).exit_code == 0
    told = [
        (one["grade"], one["detail"])
        for one in lines(invoke("check", "-c", site, "--json"))
        if one["name"] == "enterprise demo"
    ]
    newest = loaded(site, "demo").token_sha256[-1][:8]
    assert told == [
        ("warn", f"token {newest}: its last day is {today + timedelta(days=10)}, within 14 days"),
        ("warn", f"hmac demo-1: its last day was {today - timedelta(days=3)}"),
    ]


def test_a_new_enterprise_has_a_quota_and_one_without_gets_that_of_the_node(site: Path) -> None:
    add = ("enterprise", "add", "acme", "--cop-code", "1", "--dxp-id", "D", "-c", site)
    assert invoke(*add).exit_code == 0
    assert loaded(site, "acme").quota == SENSIBLE
    assert App(site).enterprises[EnterpriseId("demo")].quota == Quota(
        messages_per_minute=60_000, declarations_per_minute=600_000, bytes_per_minute=6_000_000_000
    )
    with site.open("a", encoding="utf-8") as config:
        config.write("\n[quota]\nmessages_per_minute = 7\nopen_entries = 8\n")
    quota = App(site).enterprises[EnterpriseId("demo")].quota
    assert quota is not None
    assert (quota.messages_per_minute, quota.declarations_per_minute, quota.open_entries) == (7, 600_000, 8)
    shown = lines(invoke("enterprise", "show", "demo", "-c", site, "--json"))[0]["quota"]
    assert shown["messages_per_minute"] == 7
    assert App(site).enterprises[EnterpriseId("acme")].quota == SENSIBLE


BROKEN = {
    "no TOML": "cop_codes = [",
    "a key that nobody knows": 'name = "B"\ncop_codes = ["9"]\ndxp_ids = ["D9"]\nnonsense = 1\n',
    "not UTF-8": b"name = '\xff'".decode("latin-1"),
    "a slip in a door": 'name = "B"\ncop_codes = ["9"]\ndxp_ids = ["D9"]\n[[door]]\nnonsense = 1\n',
}


@pytest.fixture(params=BROKEN)
def beside_a_broken_one(request: pytest.FixtureRequest, site: Path) -> Path:
    (site.parent / "enterprises" / "broken.toml").write_text(BROKEN[request.param], encoding="latin-1")
    return site


def test_commands_do_their_work_for_the_others_when_one_file_is_broken(beside_a_broken_one: Path) -> None:
    site = beside_a_broken_one
    at = ("-c", site)
    added = invoke("enterprise", "add", "shop", "--cop-code", "1", "--dxp-id", "D1", *at, "--json")
    assert added.exit_code == 0
    assert lines(added)[0]["token"]
    shown = invoke("enterprise", "show", "shop", *at, "--json")
    assert (shown.exit_code, lines(shown)[0]["id"]) == (0, "shop")
    for done in (added, shown):
        assert "broken" in done.stderr, "it is named"
    for command in (("rotate-token", "shop"), ("end-token", "shop"), ("disable", "shop")):
        assert invoke("enterprise", *command, *at).exit_code == 0
    assert lines(invoke("enterprise", "show", "shop", *at, "--json"))[0]["disabled"] is True


def test_list_shows_the_others_names_the_broken_one_and_ends_with_1(beside_a_broken_one: Path) -> None:
    at = ("-c", beside_a_broken_one)
    listed = invoke("enterprise", "list", *at)
    assert listed.exit_code == 1
    assert "demo" in listed.stdout
    assert "broken" in listed.stdout
    assert "broken" in listed.stderr
    machine = invoke("enterprise", "list", *at, "--json")
    told = {one["id"]: one for one in lines(machine)}
    assert (machine.exit_code, told["demo"]["left_out"]) == (1, [])
    assert told["broken"]["left_out"]


def test_broken_one_is_shown_as_far_as_it_can_be_read_and_what_is_wrong(beside_a_broken_one: Path) -> None:
    shown = invoke("enterprise", "show", "broken", "-c", beside_a_broken_one)
    assert shown.exit_code == 1
    assert "broken" in shown.stdout
    assert "broken.toml" in shown.stderr
    assert invoke("enterprise", "show", "nobody", "-c", beside_a_broken_one).exit_code == 1


@pytest.mark.parametrize("how", ["no TOML", "a key that nobody knows", "not UTF-8"])
def test_broken_file_is_never_changed(site: Path, how: str) -> None:
    file = site.parent / "enterprises" / "broken.toml"
    file.write_text(BROKEN[how], encoding="latin-1")
    for command in ("rotate-token", "end-token", "disable"):
        result = invoke("enterprise", command, "broken", "-c", site)
        assert result.exit_code == 2
        assert "broken.toml" in result.stderr
    assert file.read_text(encoding="latin-1") == BROKEN[how]


def test_enterprise_with_a_slip_in_a_door_can_still_be_shut_out(site: Path) -> None:
    file = site.parent / "enterprises" / "broken.toml"
    file.write_text(BROKEN["a slip in a door"], encoding="latin-1")
    assert invoke("enterprise", "disable", "broken", "-c", site).exit_code == 0
    assert "disabled = true" in file.read_text()


def test_two_with_one_token_are_shown_as_left_out_and_mended_by_a_new_token(site: Path) -> None:
    folder = site.parent / "enterprises"
    (folder / "twin.toml").write_text((folder / "demo.toml").read_text())
    assert invoke("enterprise", "list", "-c", site).exit_code == 1
    assert invoke("enterprise", "rotate-token", "twin", "--end-old", "-c", site).exit_code == 0
    assert invoke("enterprise", "list", "-c", site).exit_code == 0
