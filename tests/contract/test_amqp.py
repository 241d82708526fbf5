"""What only AMQP promises: verdicts with reasons, releases, logins, large messages, silence survived."""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.config.links import Amqp
from gateway.errors import ConfigError, DeliveryError
from gateway.ports import Parcel
from gateway.transports.amqp10.transport import AmqpFeed, AmqpTransport
from tests.contract.conftest import NOT_NOW, REFUSED, AmqpMedium, parcel
from tests.waiting import PATIENCE_S


def fates(config: Amqp, *parcels: Parcel) -> list[DeliveryError | None]:
    transport = AmqpTransport(config)
    deliveries = {delivery.entry: delivery.error for delivery in transport.send(parcels)}
    transport.close()
    return [deliveries[parcel.entry] for parcel in parcels]


def frame(body: bytes) -> bytes:
    """A SASL frame of AMQP."""
    return (len(body) + 8).to_bytes(4, "big") + b"\x02\x01\x00\x00" + body


@contextmanager
def speaking(say: Callable[[socket.socket], None]) -> Iterator[int]:
    """A peer that does as scripted with its first client, then hangs up; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                say(connection)

        speaker = threading.Thread(target=serve)
        speaker.start()
        yield listener.getsockname()[1]
        speaker.join()


def write_certificate(file: Path, key_file: Path) -> None:
    """A certificate for localhost that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@contextmanager
def encrypting(target: int, certificate: Path, key: Path) -> Iterator[int]:
    """A TLS door in front of a port of this machine; yields its own port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def serve(raw: socket.socket) -> None:
        with (
            suppress(OSError),
            raw,
            context.wrap_socket(raw, server_side=True) as outer,
            socket.create_connection(("127.0.0.1", target)) as inner,
        ):
            back = threading.Thread(target=copy, args=(inner, outer))
            back.start()
            copy(outer, inner)
            back.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                serve(listener.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        door = threading.Thread(target=accept)
        door.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        door.join()


def changed(config: Amqp, **values: object) -> Amqp:
    return msgspec.structs.replace(config, **values)


def test_rejection_is_final_and_says_why(amqp: AmqpMedium) -> None:
    good, bad = fates(amqp.config, parcel(1), parcel(2, REFUSED))
    assert good is None
    assert bad is not None
    assert not bad.temporary
    assert "not a declaration" in bad.what


def test_release_may_be_tried_again(amqp: AmqpMedium) -> None:
    (error,) = fates(amqp.config, parcel(1, NOT_NOW))
    assert error is not None
    assert error.temporary


def test_more_parcels_than_credit_are_all_sent(amqp: AmqpMedium) -> None:
    assert set(fates(amqp.config, *(parcel(entry) for entry in range(1500)))) == {None}
    assert len(amqp.taken) == 1500


def test_password_is_offered_and_its_refusal_told_with_the_cure(amqp: AmqpMedium, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    said: list[bytes] = []

    def broker(connection: socket.socket) -> None:
        header = b"AMQP\x03\x01\x00\x00"
        mechanisms = b"\x00\x53\x40\xc0\x08\x01\xa3\x05PLAIN"  # sasl-mechanisms
        refused = b"\x00\x53\x44\xc0\x03\x01\x50\x01"  # sasl-outcome, code auth
        connection.sendall(header + frame(mechanisms))
        while b"secret" not in b"".join(said) and (heard := connection.recv(4096)):
            said.append(heard)
        connection.sendall(frame(refused))

    with speaking(broker) as port:
        config = changed(
            amqp.config,
            url=f"amqp://127.0.0.1:{port}",
            user="gateway",
            password_file=tmp_path / "password",
        )
        (error,) = fates(config, parcel(1))

    assert b"PLAIN" in b"".join(said)
    assert b"\0gateway\0secret" in b"".join(said)
    assert error is not None
    assert error.temporary
    assert "destination.amqp.user" in error.fix


def test_mechanism_that_the_server_lacks_is_told_at_once(amqp: AmqpMedium) -> None:
    (error,) = fates(changed(amqp.config, user="gateway"), parcel(1))
    assert error is not None
    assert error.temporary
    assert "in time" not in error.what
    assert "destination.amqp.user" in error.fix


def test_missing_password_file_is_told_with_its_path(amqp: AmqpMedium, tmp_path: Path) -> None:
    config = changed(amqp.config, user="gateway", password_file=tmp_path / "none")
    (error,) = fates(config, parcel(1))
    assert error is not None
    assert error.where == str(tmp_path / "none")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:5672", "http://host", "amqp://", "amqp://host:port", "amqp://user:secret@host"]
)
def test_wrong_url_is_a_configuration_error(amqp: AmqpMedium, url: str) -> None:
    with pytest.raises(ConfigError, match="address of the broker") as error:
        AmqpTransport(changed(amqp.config, url=url))
    assert "secret" not in str(error.value)


def test_missing_queue_is_told(amqp: AmqpMedium) -> None:
    feed = AmqpFeed(changed(amqp.config, receive_address="elsewhere"))
    with pytest.raises(DeliveryError, match="elsewhere") as error:
        feed.receive(limit=1, timeout_s=PATIENCE_S)
    assert "receive_address" in error.value.fix


def test_arrivals_not_done_are_bounded_by_prefetch(amqp: AmqpMedium) -> None:
    for number in range(10):
        amqp.offer(b"%d" % number, f"r{number}")
    feed = AmqpFeed(changed(amqp.config, prefetch=4))
    in_hand = [*feed.receive(limit=10, timeout_s=PATIENCE_S)]
    while len(in_hand) < 4:
        in_hand += feed.receive(limit=10, timeout_s=PATIENCE_S)
    assert list(feed.receive(limit=10, timeout_s=0.05)) == []
    feed.done(in_hand)
    assert feed.receive(limit=10, timeout_s=PATIENCE_S)
    feed.close()


def test_two_feeds_share_the_receipts(amqp: AmqpMedium) -> None:
    first, second = AmqpFeed(changed(amqp.config, prefetch=1)), AmqpFeed(amqp.config)
    amqp.offer(b"1", "r1")
    amqp.offer(b"2", "r2")
    one = first.receive(limit=1, timeout_s=PATIENCE_S)
    two = second.receive(limit=1, timeout_s=PATIENCE_S)
    assert {one[0].body, two[0].body} == {b"1", b"2"}
    first.close()
    assert second.receive(limit=1, timeout_s=PATIENCE_S)[0].body == one[0].body
    second.close()


def test_server_that_drops_silent_clients_is_found_again() -> None:
    medium = AmqpMedium(idle_timeout_s=2.0)
    transport = AmqpTransport(medium.config)
    feed = medium.feed()
    assert [delivery.error for delivery in transport.send([parcel(1)])] == [None]
    # The feed sends its heartbeats while it waits; the transport is left alone meanwhile and is cut off.
    assert list(feed.receive(limit=1, timeout_s=6.0)) == []
    assert [delivery.error for delivery in transport.send([parcel(2)])] == [None]
    medium.offer(b"1", "r1")
    assert feed.receive(limit=1, timeout_s=PATIENCE_S)[0].body == b"1"
    transport.close()
    feed.close()
    medium.stop()


def test_silent_server_is_given_up_after_the_time_out(amqp: AmqpMedium) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never says a word
        port = silent.getsockname()[1]
        (error,) = fates(changed(amqp.config, url=f"amqp://127.0.0.1:{port}", timeout_s=0.2), parcel(1))
    assert error is not None
    assert error.temporary
    assert "in time" in error.what


def test_garbage_from_the_other_side_is_a_temporary_error(amqp: AmqpMedium) -> None:
    with speaking(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        (error,) = fates(changed(amqp.config, url=f"amqp://127.0.0.1:{port}"), parcel(1))
    assert error is not None
    assert error.temporary


def test_certificate_of_an_unknown_authority_is_refused(amqp: AmqpMedium, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    config = changed(amqp.config, url=amqp.config.url.replace("amqp:", "amqps:"), ca_file=tmp_path / "ca.pem")
    (error,) = fates(config, parcel(1))
    assert error is not None
    assert error.temporary
    assert amqp.taken == []


def test_tls_with_a_certificate_of_the_named_authority(amqp: AmqpMedium, tmp_path: Path) -> None:
    write_certificate(tmp_path / "ca.pem", tmp_path / "key.pem")
    write_certificate(tmp_path / "other.pem", tmp_path / "other.key")
    with encrypting(amqp.server.port, tmp_path / "ca.pem", tmp_path / "key.pem") as port:
        config = changed(amqp.config, url=f"amqps://localhost:{port}", ca_file=tmp_path / "ca.pem")
        body = bytes(range(256)) * 1000
        assert fates(config, parcel(1, body)) == [None]
        assert amqp.taken == [body]

        (error,) = fates(changed(config, ca_file=tmp_path / "other.pem"), parcel(2))
        assert error is not None
        assert error.temporary
        assert len(amqp.taken) == 1


def test_missing_library_is_a_configuration_error_and_only_when_used() -> None:
    program = (
        "import sys; sys.modules['proton'] = None\n"
        "from gateway.config.gateway_toml import Amqp\n"
        "from gateway.errors import ConfigError\n"
        "from gateway.transports.amqp10.transport import AmqpTransport\n"
        "try:\n"
        "    AmqpTransport(Amqp(url='amqp://h', send_address='a', receive_address='b'))\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "python-qpid-proton" in run.stdout
    assert "[amqp]" in run.stdout
