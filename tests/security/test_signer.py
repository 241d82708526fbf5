"""What strangers, and clients of the CA, can do to a remote signer: no more than is theirs."""

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.config.keys import KeyConfig
from gateway.errors import ConfigError
from gateway.keys import signer_http
from gateway.keys.signer_service import SignerConfig, SignerService, SignerTable, load_signer_config
from gateway.simulator.world import WatchedProcess
from signing.errors import KeyUnavailable
from tests.device_keys import write_pair
from tests.servers.certificates import Authority
from tests.signer_process import client, listening, signer

DATA = b"<ds:SignedInfo/>"
OURS = '[[key]]\nname = "ours"\nkind = "pem"\nfile = "ours.key"\ncertificate = "ours.crt"\n'
TO = {"Content-Type": "application/octet-stream"}


@contextlib.contextmanager
def service(folder: Path, *, connections_of_address: int = 32) -> Iterator[SignerService]:
    """In this process, with gateway-1 for the key `ours` and gateway-2 for `theirs`."""
    authority = Authority("Signers")
    authority.write(folder / "ca.crt")
    authority.issue("signer", folder / "server.crt", folder / "server.key", server=True)
    for number in (1, 2):
        authority.issue(f"gateway-{number}", folder / f"{number}.crt", folder / f"{number}.key")
    keys = []
    for name, clients in (("ours", ()), ("theirs", ("gateway-2",))):
        private, certificate = write_pair(folder, name)
        keys.append(KeyConfig(name=name, kind="pem", file=private, certificate=certificate, clients=clients))
    table = SignerTable(
        port=0,
        certificate=folder / "server.crt",
        key=folder / "server.key",
        ca_file=folder / "ca.crt",
        state_dir=folder / "state",
        clients=("gateway-1",),
        connections_of_address=connections_of_address,
    )
    served = SignerService(SignerConfig(signer=table, key=tuple(keys)))
    served.start()
    try:
        yield served
    finally:
        served.stop()


def context(folder: Path, number: int = 1) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=folder / "ca.crt")
    tls.load_cert_chain(folder / f"{number}.crt", folder / f"{number}.key")
    return tls


def connect(served: SignerService, folder: Path, number: int = 1) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("127.0.0.1", served.port, timeout=60, context=context(folder, number))


def ask(
    connection: http.client.HTTPSConnection, method: str, path: str, body: bytes | None = None
) -> tuple[int, object]:
    connection.request(method, path, body, TO if body is not None else {})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def is_closed(stranger: socket.socket) -> bool:
    try:
        return stranger.recv(1) == b""
    except ConnectionError:
        return True


def threads(process: WatchedProcess) -> int:
    return len(list(Path(f"/proc/{process.process.pid}/task").iterdir()))


def descriptors(process: WatchedProcess) -> int:
    return len(list(Path(f"/proc/{process.process.pid}/fd").iterdir()))


def test_silent_strangers_cost_no_threads_and_keep_nobody_out(tmp_path: Path) -> None:
    write_pair(tmp_path, "ours")
    with signer(tmp_path, OURS) as process, contextlib.ExitStack() as strangers:
        address = listening(process)
        door = urlsplit(address)
        for number in range(600):
            silent = socket.create_connection(
                (door.hostname, door.port), 60, source_address=(f"127.0.0.{2 + number % 3}", 0)
            )
            strangers.enter_context(silent)
            if number % 2:
                silent.sendall(b"\x16\x03\x01\x02\x00\x01")  # begins a handshake
        with contextlib.closing(client(tmp_path, address, "ours")) as honest:
            assert honest.sign(DATA)
            assert threads(process) < 20
            assert descriptors(process) < signer_http.STRANGERS + 40
    lines = [json.loads(line) for line in (tmp_path / "signer.log").read_text("utf-8").splitlines()]
    assert 0 < len([line for line in lines if line["event"] == "signer.refused"]) < 20


def test_a_handshake_has_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signer_http, "_HANDSHAKE_S", 0.2)
    with service(tmp_path) as served, socket.create_connection(("127.0.0.1", served.port), 60) as slow:
        slow.sendall(b"\x16")
        assert is_closed(slow)


def test_a_body_has_a_deadline_and_so_has_the_wait_for_the_next_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signer_http, "_BODY_S", 0.2)
    monkeypatch.setattr(signer_http, "_IDLE_S", 0.5)
    with service(tmp_path) as served:
        for sent in (b"POST /v1/keys/ours/sign HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1", b"POST /"):
            with (
                socket.create_connection(("127.0.0.1", served.port), 60) as raw,
                context(tmp_path).wrap_socket(raw, server_hostname="127.0.0.1") as slow,
            ):
                slow.sendall(sent)
                assert is_closed(slow)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"X: " + b"a" * 100_000, b"431"),
        (b"Content-Length: 1048577", b"413"),
        (b"Content-Length: -1", b"400"),
        (b"Transfer-Encoding: chunked", b"413"),
        (b"Content-Length: 1\r\nContent-Length: 2", b"400"),
        (b"\x1b[2J: a", b"400"),
    ],
)
def test_what_is_too_large_or_malformed_is_refused_unread_and_the_connection_ends(
    tmp_path: Path, head: bytes, status: bytes
) -> None:
    with (
        service(tmp_path) as served,
        socket.create_connection(("127.0.0.1", served.port), 60) as raw,
        context(tmp_path).wrap_socket(raw, server_hostname="127.0.0.1") as hostile,
    ):
        hostile.sendall(b"POST /v1/keys/ours/sign HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n")
        answer = b""
        while part := hostile.recv(65536):
            answer += part
        assert answer.startswith(b"HTTP/1.1 " + status)


def test_connections_of_one_address_are_bounded(tmp_path: Path) -> None:
    with service(tmp_path, connections_of_address=3) as served, contextlib.ExitStack() as open_ones:
        for _ in range(3):
            one = open_ones.enter_context(contextlib.closing(connect(served, tmp_path)))
            assert ask(one, "POST", "/v1/keys/ours/sign", DATA)[0] == 200
        with (
            contextlib.closing(connect(served, tmp_path)) as fourth,
            pytest.raises((OSError, http.client.HTTPException)),
        ):
            ask(fourth, "POST", "/v1/keys/ours/sign", DATA)
        assert ask(one, "POST", "/v1/keys/ours/sign", DATA)[0] == 200


def test_a_client_uses_and_sees_only_the_keys_that_are_for_it(tmp_path: Path) -> None:
    with service(tmp_path) as served:
        for number, mine, other in ((1, "ours", "theirs"), (2, "theirs", "ours")):
            with contextlib.closing(connect(served, tmp_path, number)) as connection:
                status, told = ask(connection, "GET", "/v1/keys")
                assert status == 200
                assert isinstance(told, dict)
                assert [key["name"] for key in told["keys"]] == [mine]
                assert ask(connection, "POST", f"/v1/keys/{mine}/sign", DATA)[0] == 200
                assert ask(connection, "POST", f"/v1/keys/{other}/sign", DATA)[0] == 403
                assert ask(connection, "GET", f"/v1/keys/{other}")[0] == 403


def test_every_signature_is_a_line_in_the_log_and_refusals_are_told(tmp_path: Path) -> None:
    write_pair(tmp_path, "ours")
    write_pair(tmp_path, "theirs")
    theirs = OURS.replace("ours", "theirs") + 'clients = ["gateway-2"]\n'
    with signer(tmp_path, OURS + theirs) as process:
        address = listening(process)
        with contextlib.closing(client(tmp_path, address, "ours")) as ours:
            for number in range(3):
                ours.sign(b"%d" % number)
        with contextlib.closing(client(tmp_path, address, "theirs")) as other:
            for _ in range(5):
                with pytest.raises(KeyUnavailable, match="403"):
                    other.sign(DATA)
    lines = [json.loads(line) for line in (tmp_path / "signer.log").read_text("utf-8").splitlines()]
    signed = [line for line in lines if line["event"] == "signer.signed"]
    assert [line["sha256"] for line in signed] == [sha256(b"%d" % number).hexdigest() for number in range(3)]
    assert {(line["client"], line["key_name"], line["address"]) for line in signed} == {
        ("gateway-1", "ours", "127.0.0.1")
    }
    (refused,) = [line for line in lines if line["event"] == "signer.refused"]
    assert (refused["client"], refused["key_name"], refused["reason"]) == (
        "gateway-1",
        "theirs",
        "not-allowed",
    )


def test_a_key_that_nobody_may_use_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "signer.toml"
    head = '[signer]\ncertificate = "a"\nkey = "b"\nca_file = "c"\nstate_dir = "d"\n'
    file.write_text(head + OURS, "utf-8")
    with pytest.raises(ConfigError, match="nobody may use key ours"):
        load_signer_config(file)
    file.write_text(head + OURS + 'clients = ["gateway-1"]\n', "utf-8")
    assert load_signer_config(file).key[0].clients == ("gateway-1",)
