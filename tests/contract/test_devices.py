"""What every key behind a device promises; a kind adds a line to KINDS."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1

from gateway.config.keys import KeyConfig, Pkcs11, Remote, Ukey
from gateway.errors import ConfigError
from gateway.keys.keyring import Loader, show_certificate
from gateway.keys.signer_service import SignerConfig, SignerService, SignerTable
from gateway.simulator.settings import UkeySection
from gateway.simulator.ukey import UkeyServer
from signing.errors import KeyUnavailable, WrongPin
from signing.keys.pool import Member
from signing.keys.sm2_certificate import make_self_signed_sm2
from signing.xml.splice import sign
from signing.xml.verify import verify
from tests.device_keys import PIN, card, write_pair
from tests.documents import order
from tests.servers.certificates import Authority
from tests.servers.softhsm import MODULE, SoftHsm, der_of, needs_softhsm
from tests.waiting import PATIENCE_S

DATA = "<ds:SignedInfo>这些字节</ds:SignedInfo>".encode()


@dataclass
class World:
    """One device, and how to make it fail."""

    table: KeyConfig
    folder: Path
    stop: object = None
    tries: object = None
    environment: dict[str, str] = field(default_factory=dict)
    opened: list[Member] = field(default_factory=list)

    def member(self, *, operator: bool = False) -> Member:
        loader = Loader(health_dir=self.folder / "state", operator=operator, environment=self.environment)
        (member,) = loader.load(self.table.name, [self.table]).members
        self.opened.append(member)
        return member

    def close(self) -> None:
        for member in self.opened:
            assert member.device is not None
            member.device.close()

    def fail(self) -> None:
        self.stop()  # type: ignore[operator]


def pin_file(folder: Path, pin: str = PIN) -> Path:
    file = folder / "pin"
    file.write_text(f"{pin}\n")
    return file


@contextmanager
def ukey(folder: Path) -> Iterator[World]:
    with card(folder) as server:
        yield World(
            table=KeyConfig(
                name="card",
                kind="ukey",
                certificate=folder / "card.crt",
                password_file=pin_file(folder),
                timeout_s=PATIENCE_S / 2,
                ukey=Ukey(url=f"ws://127.0.0.1:{server.port}"),
            ),
            folder=folder,
            stop=server.stop,
            tries=lambda: server.card.tries,
        )


@contextmanager
def pkcs11(folder: Path) -> Iterator[World]:
    import pkcs11 as library  # noqa: PLC0415 (an extra)

    key, certificate = write_pair(folder, "card")
    # the module reads its configuration once a process, so the tests of one process share a folder of tokens
    hsm = shared_hsm(folder)
    label = f"token-{folder.name}"[:32]
    hsm.token(label, key, pin=PIN)
    library.lib(str(MODULE)).reinitialize()  # which tokens there are it finds out once
    yield World(
        table=KeyConfig(
            name="card",
            kind="pkcs11",
            certificate=certificate,
            password_file=pin_file(folder),
            pkcs11=Pkcs11(module=MODULE, token=label, label="customs"),
        ),
        folder=folder,
        stop=hsm.remove,
    )
    if not any(hsm.tokens.iterdir()):
        hsm.put_back()


_HSM: dict[int, SoftHsm] = {}


def shared_hsm(folder: Path) -> SoftHsm:
    if os.getpid() not in _HSM:
        _HSM[os.getpid()] = SoftHsm(folder.parent / "softhsm")
        os.environ["SOFTHSM2_CONF"] = str(_HSM[os.getpid()].config)
    return _HSM[os.getpid()]


def client_of(service: SignerService, folder: Path) -> Remote:
    """How the gateway of this folder reaches the signer."""
    return Remote(
        url=f"https://127.0.0.1:{service.port}",
        key="there",
        ca_file=folder / "ca.crt",
        client_certificate=folder / "client.crt",
        client_key=folder / "client.key",
    )


@contextmanager
def remote(folder: Path) -> Iterator[World]:
    with signer(folder) as service:
        yield World(
            table=KeyConfig(
                name="card",
                kind="remote",
                certificate=folder / "card.crt",
                timeout_s=PATIENCE_S / 2,
                remote=client_of(service, folder),
            ),
            folder=folder,
            stop=service.stop,
        )


@contextmanager
def signer(
    folder: Path, *, clients: tuple[str, ...] = ("gateway-1",), key: KeyConfig | None = None
) -> Iterator[SignerService]:
    private, certificate = write_pair(folder, "card") if key is None else (Path(), Path())
    authority = Authority("Signers")
    authority.write(folder / "ca.crt")
    authority.issue("signer", folder / "server.crt", folder / "server.key", server=True)
    authority.issue("gateway-1", folder / "client.crt", folder / "client.key")
    table = SignerTable(
        port=0,
        certificate=folder / "server.crt",
        key=folder / "server.key",
        ca_file=folder / "ca.crt",
        state_dir=folder / "signer-state",
        clients=clients,
    )
    served = key or KeyConfig(name="there", kind="pem", file=private, certificate=certificate)
    service = SignerService(SignerConfig(signer=table, key=(served,)))
    service.start()
    try:
        yield service
    finally:
        service.stop()


KINDS = {"ukey": ukey, "pkcs11": pkcs11, "remote": remote}


@pytest.fixture(
    params=[pytest.param(name, marks=needs_softhsm if name == "pkcs11" else ()) for name in KINDS]
)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with KINDS[request.param](tmp_path) as made:
        yield made
        made.close()


def test_it_signs_as_its_certificate_says_and_again_after_it_was_closed(world: World) -> None:
    member = world.member()
    public = x509.load_der_x509_certificate(member.signer.certificate_der).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    for _ in range(3):
        public.verify(member.signer.sign(DATA), DATA, padding.PKCS1v15(), SHA1())  # noqa: S303 (the suite)
        assert member.device is not None
        member.device.close()
    assert member.signer.key_name in member.signer.key_info


def test_probe_passes_while_it_is_well_and_says_what_is_wrong_when_it_is_gone(world: World) -> None:
    member = world.member()
    assert member.device is not None
    member.device.probe()
    world.fail()
    with pytest.raises(KeyUnavailable) as caught:
        member.device.probe()
    assert caught.value.where
    assert PIN not in str(caught.value)


def test_device_that_is_gone_is_unavailable_and_nothing_else(world: World) -> None:
    member = world.member()
    member.signer.sign(DATA)
    world.fail()
    with pytest.raises(KeyUnavailable) as caught:
        member.signer.sign(DATA)
    assert not isinstance(caught.value, WrongPin)


def test_node_starts_while_the_device_is_gone(world: World) -> None:
    world.fail()
    assert world.member().signer.suite.name == "rsa-sha1"


@pytest.mark.parametrize("kind", [ukey, pytest.param(pkcs11, marks=needs_softhsm)])
def test_wrong_pin_is_tried_once_and_not_again_by_a_new_process_until_the_file_changes(
    kind: object, tmp_path: Path
) -> None:
    with kind(tmp_path) as world:  # type: ignore[operator]
        pin_file(tmp_path, "00000000")
        with pytest.raises(WrongPin) as caught:
            world.member().signer.sign(DATA)
        assert "00000000" not in str(caught.value)
        for _ in range(3):
            with pytest.raises(WrongPin, match="not tried again"):
                world.member().signer.sign(DATA)
        if world.tries is not None:
            assert world.tries() == 1
        outdated = world.member()
        pin_file(tmp_path)
        world.member().signer.sign(DATA)
        with pytest.raises(WrongPin):
            outdated.signer.sign(DATA)


def test_operator_who_asks_has_the_same_pin_tried_once_more(tmp_path: Path) -> None:
    with ukey(tmp_path) as world:
        pin_file(tmp_path, "00000000")
        for _ in range(2):
            with pytest.raises(WrongPin):
                world.member().signer.sign(DATA)
        with pytest.raises(WrongPin):
            world.member(operator=True).signer.sign(DATA)
        assert world.tries() == 2  # type: ignore[operator]


def test_pin_may_come_from_the_environment(tmp_path: Path) -> None:
    with card(tmp_path) as server:
        table = KeyConfig(
            name="card",
            kind="ukey",
            certificate=tmp_path / "card.crt",
            password_env="CARD_PIN",
            ukey=Ukey(url=f"ws://127.0.0.1:{server.port}"),
        )
        assert World(table=table, folder=tmp_path, environment={"CARD_PIN": PIN}).member().signer.sign(DATA)
        with pytest.raises(ConfigError, match="CARD_PIN"):
            World(table=table, folder=tmp_path).member()


@pytest.mark.parametrize("text", ["读卡器", "50070"])
def test_card_reader_error_is_not_taken_for_a_wrong_pin(text: str, tmp_path: Path) -> None:
    with card(tmp_path, reader_errors=1.0) as server:
        table = KeyConfig(
            name="card",
            kind="ukey",
            certificate=tmp_path / "card.crt",
            password_file=pin_file(tmp_path),
            ukey=Ukey(url=f"ws://127.0.0.1:{server.port}", harmless_errors=(text,)),
        )
        member = World(table=table, folder=tmp_path).member()
        with pytest.raises(KeyUnavailable, match="card reader") as caught:
            member.signer.sign(DATA)
        assert not isinstance(caught.value, WrongPin)
        server.card.reader_errors = 0.0
        assert member.signer.sign(DATA)


def test_dark_card_is_given_up_after_its_time_out(tmp_path: Path) -> None:
    with card(tmp_path) as server:
        server.card.dark = True
        table = KeyConfig(
            name="card",
            kind="ukey",
            certificate=tmp_path / "card.crt",
            password_file=pin_file(tmp_path),
            timeout_s=0.1,
            ukey=Ukey(url=f"ws://127.0.0.1:{server.port}"),
        )
        member = World(table=table, folder=tmp_path).member()
        with pytest.raises(KeyUnavailable, match="no answer within"):
            member.signer.sign(DATA)


def test_card_with_another_certificate_is_noticed(tmp_path: Path) -> None:
    with card(tmp_path) as server:
        _, other = write_pair(tmp_path, "other")
        table = KeyConfig(
            name="card",
            kind="ukey",
            certificate=other,
            password_file=pin_file(tmp_path),
            ukey=Ukey(url=f"ws://127.0.0.1:{server.port}"),
        )
        member = World(table=table, folder=tmp_path).member()
        for ask in (member.device.probe, lambda: member.signer.sign(DATA)):  # type: ignore[union-attr]
            with pytest.raises(KeyUnavailable, match=r"another certificate|the configured certificate"):
                ask()
        assert show_certificate(table) == der_of(tmp_path / "card.crt")


def test_factory_pin_is_a_warning(tmp_path: Path) -> None:
    with card(tmp_path) as server:
        table = KeyConfig(
            name="card",
            kind="ukey",
            certificate=tmp_path / "card.crt",
            password_file=pin_file(tmp_path, "8" * 8),
            ukey=Ukey(url=f"ws://127.0.0.1:{server.port}"),
        )
        (warning,) = World(table=table, folder=tmp_path).member().warnings
        assert "delivered with" in warning


def test_signer_lets_in_nobody_without_a_certificate_of_its_ca(tmp_path: Path) -> None:
    with remote(tmp_path) as world:
        Authority("Strangers").issue("gateway-1", tmp_path / "client.crt", tmp_path / "client.key")
        with pytest.raises(KeyUnavailable):
            world.member().signer.sign(DATA)


def test_signer_lets_in_only_the_clients_that_it_names(tmp_path: Path) -> None:
    with signer(tmp_path, clients=("gateway-2",)) as service:
        table = KeyConfig(
            name="card",
            kind="remote",
            certificate=tmp_path / "card.crt",
            remote=client_of(service, tmp_path),
        )
        world = World(table=table, folder=tmp_path)
        with pytest.raises(KeyUnavailable, match="403"):
            world.member().signer.sign(DATA)
        world.close()


def test_gateway_does_not_talk_to_a_signer_that_another_ca_vouches_for(tmp_path: Path) -> None:
    with remote(tmp_path) as world:
        Authority("Strangers").write(tmp_path / "ca.crt")
        with pytest.raises(KeyUnavailable, match="cannot be asked"):
            world.member().signer.sign(DATA)


def test_signer_serves_a_usb_key_and_tells_its_quarantine(tmp_path: Path) -> None:
    with card(tmp_path) as server:
        table = KeyConfig(
            name="there",
            kind="ukey",
            certificate=tmp_path / "card.crt",
            password_file=pin_file(tmp_path),
            timeout_s=5.0,
            ukey=Ukey(url=f"ws://127.0.0.1:{server.port}"),
        )
        with signer(tmp_path, key=table) as service:
            wanted = KeyConfig(
                name="card",
                kind="remote",
                certificate=tmp_path / "card.crt",
                timeout_s=PATIENCE_S / 2,
                remote=client_of(service, tmp_path),
            )
            world = World(table=wanted, folder=tmp_path)
            member = world.member()
            assert member.signer.sign(DATA)
            server.card.dark = True
            with pytest.raises(KeyUnavailable, match="503"):
                member.signer.sign(DATA)
            with pytest.raises(KeyUnavailable, match="the signer says"):
                member.device.probe()  # type: ignore[union-attr]
            world.close()


@pytest.mark.parametrize(("asked", "suite"), [("", "sm2-sm3"), ("sm2-sha1", "sm2-sha1")])
def test_card_issued_from_2022_on_signs_sm2(asked: str, suite: str, tmp_path: Path) -> None:
    key, certificate = tmp_path / "sm2.key", tmp_path / "sm2.crt"
    for file, content in zip((key, certificate), make_self_signed_sm2("样例公司"), strict=True):
        file.touch(0o600)
        file.write_bytes(content)
    server = UkeyServer(UkeySection(key=key, certificate=certificate, pin=PIN, port=0, sign_s=0.0))
    server.start()
    table = KeyConfig(
        name="card",
        kind="ukey",
        certificate=certificate,
        suite=asked,  # type: ignore[arg-type]  # a parameter of the test
        password_file=pin_file(tmp_path),
        ukey=Ukey(url=f"ws://127.0.0.1:{server.port}"),
    )
    member = World(table=table, folder=tmp_path).member()
    try:
        assert member.signer.suite.name == suite
        signed = sign(order(), member.signer).body
        assert verify(signed).valid
    finally:
        server.stop()
