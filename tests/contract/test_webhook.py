"""What the webhook transport promises, against real servers on loopback."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gateway.config.links import Webhook
from gateway.errors import ConfigError, DeliveryError, LeaseEndedError, ReceiverGoneError
from gateway.ports import Parcel
from gateway.transports.webhook.transport import WebhookTransport, read_secrets
from spool.lease import Lease
from tests.servers.certificates import Authority
from tests.servers.receiver import Handler, Receiver, answers, hangs, takes_but_never_ends, trickles


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path) as made:
        yield made


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def takes_and_closes(handler: Handler) -> None:
    handler.take()
    handler.close_connection = True


def letter(entry: int = 1, body: bytes = b'{"a":1}') -> Parcel:
    return Parcel(
        entry=entry,
        cop_msg_id=f"ann/erp/{entry}",
        message_type="CEB312Message",
        body=body,
        file_name=f"{entry}.json",
    )


def config(receiver: Receiver, **settings: object) -> Webhook:
    given = {"url": receiver.url, "secret_file": receiver.secret_file, "allow_private": True, "timeout_s": 5}
    return Webhook(**{**given, **settings})  # type: ignore[arg-type]


def send(settings: Webhook, *deliveries: Parcel) -> list[DeliveryError | None]:
    with closing(WebhookTransport(settings)) as transport:
        return [delivery.error for delivery in transport.send(deliveries or [letter()])]


def failure(settings: Webhook) -> DeliveryError:
    (error,) = send(settings)
    assert error is not None
    assert error.temporary
    assert error.where
    return error


def test_a_delivery_that_is_not_ours_any_more_is_not_sent(receiver: Receiver) -> None:
    first, last = send(config(receiver), msgspec.structs.replace(letter(1), lease=Lease.of(-1)), letter(2))

    assert isinstance(first, LeaseEndedError)
    assert last is None
    assert [taken.id for taken in receiver.taken] == ["ann/erp/2"]


def test_a_delivery_is_signed_named_and_whole(receiver: Receiver) -> None:
    body = '{"说":"申报成功"}'.encode() * 10_000

    assert send(config(receiver), letter(7, body)) == [None]

    (taken,) = receiver.taken
    assert (taken.id, taken.body) == ("ann/erp/7", body)
    assert receiver.verifies(taken)
    assert abs(int(taken.headers["webhook-timestamp"]) - time.time()) < 60
    assert taken.headers["Content-Type"] == "application/json"


def test_both_secrets_sign_while_one_takes_the_place_of_the_other(receiver: Receiver) -> None:
    old = receiver.secret_file.read_text("ascii")
    receiver.secret_file.write_text(f"whsec_{'QUJD' * 8}\n{old}", "ascii")

    assert send(config(receiver)) == [None]

    assert receiver.verifies(receiver.taken[0])
    assert receiver.taken[0].headers["webhook-signature"].count("v1,") == 2


def test_one_connection_serves_many_deliveries_and_is_made_anew_when_it_was_closed(
    receiver: Receiver,
) -> None:
    with closing(WebhookTransport(config(receiver))) as transport:
        assert [one.error for one in transport.send([letter(number) for number in range(5)])] == [None] * 5
        assert receiver.connections == 1
        receiver.behaviour = takes_and_closes
        list(transport.send([letter(5)]))
        receiver.behaviour = lambda handler: handler.take()
        assert [one.error for one in transport.send([letter(6)])] == [None]
    assert [one.id for one in receiver.taken] == [f"ann/erp/{number}" for number in range(7)]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_confirmation(receiver: Receiver, status: int) -> None:
    receiver.behaviour = answers(status)
    assert send(config(receiver)) == [None]


@pytest.mark.parametrize("status", [400, 401, 404, 500, 502])
def test_every_other_answer_is_a_failure_for_now(receiver: Receiver, status: int) -> None:
    receiver.behaviour = answers(status)
    assert str(status) in failure(config(receiver)).what


def test_a_redirect_is_a_failure_and_not_followed(receiver: Receiver, tmp_path: Path) -> None:
    with Receiver(tmp_path) as elsewhere:
        receiver.behaviour = answers(307, Location=elsewhere.url)
        assert "redirect" in failure(config(receiver)).what
        assert elsewhere.requests == []


def test_410_says_that_the_receiver_is_gone(receiver: Receiver) -> None:
    receiver.behaviour = answers(410)
    assert isinstance(failure(config(receiver)), ReceiverGoneError)


@pytest.mark.parametrize("status", [429, 503])
def test_the_time_that_it_asks_for_is_heard(receiver: Receiver, status: int) -> None:
    receiver.behaviour = answers(status, Retry_After="120")
    assert failure(config(receiver)).retry_after_s == 120

    receiver.behaviour = answers(status, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT")
    assert failure(config(receiver)).retry_after_s > 1e9

    receiver.behaviour = answers(status, Retry_After="soon")
    assert failure(config(receiver)).retry_after_s == 0


@pytest.mark.parametrize("behaviour", [hangs, trickles])
def test_the_deadline_is_that_of_the_whole_request(
    receiver: Receiver, release: threading.Event, behaviour: type
) -> None:
    receiver.behaviour = behaviour(release)
    error = failure(config(receiver, timeout_s=0.5))

    assert "0.5 s" in error.what
    release.set()


def test_an_answer_that_never_ends_is_a_confirmation_all_the_same(
    receiver: Receiver, release: threading.Event
) -> None:
    receiver.behaviour = takes_but_never_ends(release)
    assert send(config(receiver), letter(1), letter(2)) == [None, None]
    assert receiver.connections == 2, "one whose answer has no end is not used again"


def test_an_answer_without_bound_is_not_read_without_bound(receiver: Receiver) -> None:
    def endless(handler: object) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-Long: y\r\n" * 20_000)  # type: ignore[attr-defined]

    receiver.behaviour = endless
    assert "more than 65536 bytes" in failure(config(receiver)).what


def test_what_is_not_http_is_a_failure(receiver: Receiver) -> None:
    def ssh(handler: object) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")  # type: ignore[attr-defined]
        handler.close_connection = True  # type: ignore[attr-defined]

    receiver.behaviour = ssh
    assert "not HTTP" in failure(config(receiver)).what


def test_a_receiver_that_is_down_fails_and_is_found_again_without_help(receiver: Receiver) -> None:
    with closing(WebhookTransport(config(receiver))) as transport:
        receiver.stop()
        (first,) = transport.send([letter()])
        receiver.start()
        (second,) = transport.send([letter()])
    assert first.error is not None
    assert "cannot be reached" in first.error.what
    assert second.error is None


def test_own_networks_are_refused_unless_the_channel_says_so(receiver: Receiver, tmp_path: Path) -> None:
    url = receiver.url.replace("http:", "https:")
    error = failure(config(receiver, url=url, allow_private=False))
    assert "127.0.0.1" in error.what
    assert "allow_private" in error.fix
    assert receiver.connections == 0


def test_the_address_that_was_judged_is_the_one_connected_to(receiver: Receiver) -> None:
    answered = []

    def rebinding(host: str, port: int) -> list[tuple[object, ...]]:
        answered.append(host)
        address = "127.0.0.1" if len(answered) == 1 else "127.0.0.9"
        return [(2, (address, port))]

    settings = config(receiver, url=receiver.url.replace("127.0.0.1", "erp.example.com"))
    with closing(WebhookTransport(settings, look_up=rebinding)) as transport:  # type: ignore[arg-type]
        assert [one.error for one in transport.send([letter()])] == [None]
    assert answered == ["erp.example.com"]
    assert receiver.taken[0].headers["Host"] == f"erp.example.com:{receiver.port}"


def test_https_asks_for_a_certificate_of_the_authority_and_for_the_name(tmp_path: Path) -> None:
    authority, stranger = Authority("ours"), Authority("another")
    for one, name in ((authority, "ours.pem"), (stranger, "another.pem")):
        one.write(tmp_path / name)
    files = tmp_path / "server.pem", tmp_path / "server.key"
    authority.issue("localhost", *files, server=True)
    with Receiver(tmp_path, tls=files) as receiver:
        assert send(config(receiver, ca_file=tmp_path / "ours.pem")) == [None]
        error = failure(config(receiver, ca_file=tmp_path / "another.pem"))
        assert "certificate is not trusted" in error.what
        settings = config(
            receiver, ca_file=tmp_path / "ours.pem", url=receiver.url.replace("127.0.0.1", "erp.example.com")
        )
        transport = WebhookTransport(settings, look_up=lambda _, port: [(2, ("127.0.0.1", port))])  # type: ignore[list-item]
        with closing(transport):
            (wrong_name,) = transport.send([letter()])
    assert wrong_name.error is not None
    assert "certificate is not trusted" in wrong_name.error.what
    assert len(receiver.taken) == 1


@pytest.mark.parametrize(
    "text", ["", "hunter22", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!!", "uvw1\nxyz2\nuvw3"]
)
def test_a_bad_secret_is_told_without_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "erp.secret").write_text(text, "ascii")
    with pytest.raises(ConfigError) as caught:
        read_secrets(tmp_path / "erp.secret")
    assert "openssl rand" in caught.value.fix
    told = str(caught.value)
    assert not any(word in told for line in text.split() if (word := line.removeprefix("whsec_")))
